"""Weight loader: takes the unlocked parameter stream apart into requantise entries and weight tiles."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.array import WeightWrite
from hw.layouts import LOADER_WORDS, beat_layout, loader_fields
from hw.post import EntryWrite
from pymodel.config import Config
from pymodel.parameters import ENTRY_BYTES
from pymodel.program import OPCODE

__all__ = ["WeightLoader"]


class WeightLoader(wiring.Component):
    """Walks the program on its own, one tile ahead of the array: while a tile computes, the next one loads.

    Throughput: one beat a cycle, without a gap between tiles if the array takes each tile as soon as it is full. Latency: a
    tile is `full` in the cycle after its last beat. Between layers it takes 6 cycles to read the next descriptor.

    Members:
        run, layers, count  while `run`: `count` inferences of `layers` layers
        address, word  read port of the program memory: `word` is what `address` was in the last cycle
        parameters     unlocked beats; `last` marks the last one of an inference
        weights        shadow register writes
        entries        requantise entry writes
        full           a tile waits in the shadow registers
        swap           the array takes it in this cycle
        group_done     pulse: the post-processor is done with a group's entries
        inferences     inferences whose parameters are all loaded
        idle           all inferences are loaded
        waits          both banks of entries hold a group that the post-processor is not done with
        bad            pulse: a descriptor is wrong, or parameters and program disagree
    """

    def __init__(self, config: Config):
        self._config = config
        beat = beat_layout(config.bytes_per_beat)
        super().__init__(
            {
                "run": In(1),
                "layers": In(8),
                "count": In(16),
                "address": Out(range(config.program_words)),
                "word": In(32),
                "parameters": In(stream.Signature(beat)),
                "weights": Out(WeightWrite(config)),
                "entries": Out(EntryWrite(config)),
                "full": Out(1),
                "swap": In(1),
                "group_done": In(1),
                "inferences": Out(16),
                "idle": Out(1),
                "waits": Out(1),
                "bad": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        fields = Signal(loader_fields)

        layer, group = Signal(8), Signal(8)
        held_groups = Signal(2)  # groups whose entries are in a bank
        bank = Signal()
        ended = Signal()  # the last beat of this inference was taken
        entries_loaded = Signal()
        tile_loaded = Signal()
        group_loaded = Signal()
        m.d.sync += self.full.eq(tile_loaded | (self.full & ~self.swap))
        m.d.sync += held_groups.eq(held_groups + entries_loaded - self.group_done)

        beat = self.parameters
        take = Signal()
        m.d.comb += take.eq(beat.valid & beat.ready)
        with m.If(take & beat.payload.last):
            m.d.sync += ended.eq(1)

        read = Signal(range(len(LOADER_WORDS) + 2))
        m.d.comb += self.address.eq(Cat(read[:2], Const(0, 2), layer))
        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.run & (self.inferences != self.count)):
                    m.d.sync += [layer.eq(0), read.eq(0)]
                    m.next = "FETCH"
                m.d.comb += self.idle.eq(self.inferences == self.count)

            with m.State("FETCH"):
                m.d.sync += read.eq(read + 1)
                with m.Switch(read):
                    for index in range(len(LOADER_WORDS)):
                        with m.Case(index + 1):
                            m.d.sync += fields.as_value()[32 * index : 32 * index + 32].eq(self.word)
                with m.If(read == len(LOADER_WORDS) + 1):
                    with m.If(self._is_bad(fields)):
                        m.d.comb += self.bad.eq(1)
                        m.next = "STOPPED"
                    with m.Else():
                        m.next = "ENTRIES"

            with m.State("ENTRIES"):
                m.d.comb += self.waits.eq(held_groups[1])
                with m.If(~held_groups[1]):
                    self._load_entries(m, fields, take, bank, entries_loaded)
                with m.If(entries_loaded):
                    m.d.sync += bank.eq(~bank)
                    m.next = "TILES"

            with m.State("TILES"):
                self._load_tiles(m, fields, group == fields.groups - 1, tile_loaded, group_loaded)
                with m.If(group_loaded):
                    m.d.sync += group.eq(group + 1)
                    m.next = "ENTRIES"
                    with m.If(group == fields.groups - 1):
                        m.d.sync += [group.eq(0), layer.eq(layer + 1), read.eq(0)]
                        m.next = "FETCH"
                        with m.If(layer == self.layers - 1):
                            m.next = "LAST"

            with m.State("LAST"):
                m.d.comb += self.bad.eq(~ended)
                m.d.sync += [self.inferences.eq(self.inferences + 1), ended.eq(0)]
                m.next = "IDLE"

            with m.State("STOPPED"):
                pass
        with m.If(beat.ready & ended):
            m.d.comb += self.bad.eq(1)
        return m

    def _is_bad(self, fields):
        return (
            (fields.opcode != OPCODE)
            | (fields.kblocks == 0)
            | (fields.groups == 0)
            | (fields.cblocks == 0)
            | (fields.rows_last == 0)
            | (fields.rows_last > self._config.rows)
            | (fields.fold > (self._config.cols - 1).bit_length())
        )

    def _load_entries(self, m: Module, fields, take: Signal, bank: Signal, done: Signal) -> None:
        """One column group's entries: cols entries from the stream, or all alike from a diagonal layer's descriptor."""
        config = self._config
        lanes, cols, size = config.lanes, config.cols, config.bytes_per_beat
        per_beat = max(1, size // ENTRY_BYTES)
        column = Signal(range(cols), name="entry_column")
        m.d.comb += self.entries.bank.eq(bank)
        m.d.comb += self.entries.chunk.eq(column >> (lanes - 1).bit_length())

        word = Signal(64 * per_beat)
        complete = Signal()
        if size >= ENTRY_BYTES:
            m.d.comb += [word.eq(self.parameters.payload.data), complete.eq(1)]
        else:
            low = Signal(32, name="entry_low")
            m.d.comb += word.eq(Cat(low, self.parameters.payload.data))
            with m.If(take):
                m.d.sync += [low.eq(self.parameters.payload.data), complete.eq(~complete)]

        with m.If(fields.diagonal):
            m.d.comb += self.entries.lanes.eq(-1)
            m.d.sync += column.eq(column + lanes)
            m.d.comb += done.eq(column + lanes >= cols)
            for lane in range(lanes):
                entry = self.entries.entries[lane]
                m.d.comb += [entry.bias.eq(fields.bias), entry.multiplier.eq(fields.multiplier[:15])]
                m.d.comb += entry.shift_1.eq(fields.shift_1)
        with m.Else():
            m.d.comb += self.parameters.ready.eq(1)
            with m.If(take & complete):
                m.d.sync += column.eq(column + per_beat)
                m.d.comb += done.eq(column + per_beat >= cols)
            for lane in range(lanes):
                part = word.word_select(lane % per_beat, 64)
                entry = self.entries.entries[lane]
                m.d.comb += [
                    self.entries.lanes[lane].eq(take & complete & (column % lanes == lane - lane % per_beat)),
                    entry.bias.eq(part[:32].as_signed()),
                    entry.multiplier.eq(part[32:47]),
                    entry.shift_1.eq(part[48:54]),
                ]

    def _load_tiles(self, m: Module, fields, last_group, last_beat: Signal, done: Signal) -> None:
        """One column group's weight tiles, row by row; done with the group's last beat."""
        config = self._config
        rows, slices = config.rows, config.cols // config.bytes_per_beat
        fold = Mux(last_group, fields.fold, 0)
        kblock = Signal(17)
        block = Signal(12)  # channel block, counted where tiles hold one k-block
        row = Signal(range(rows))
        part = Signal(range(max(2, slices)))
        last_block = block == fields.cblocks - 1
        short = Mux(fold == 0, last_block, fields.cblocks == 1)
        height = Mux(short, fields.rows_last, rows)
        next_kblock = kblock + (Const(1) << fold)

        free = Signal()
        accept = Signal()
        last_part = (part == slices - 1) if slices > 1 else Const(1)
        last_row = row == height - 1
        diagonal = self._diagonal(fields, kblock, block, row, part)
        m.d.comb += [
            free.eq(~self.full | self.swap),
            self.parameters.ready.eq(free & ~fields.diagonal),
            accept.eq(free & (fields.diagonal | self.parameters.valid)),
            last_beat.eq(accept & last_part & last_row),
            done.eq(last_beat & (next_kblock >= fields.kblocks)),
            self.weights.en.eq(accept),
            self.weights.row.eq(row),
            self.weights.slice.eq(part),
            self.weights.data.eq(Mux(fields.diagonal, diagonal, self.parameters.payload.data)),
        ]  # fmt: skip
        with m.If(accept):
            m.d.sync += part.eq(Mux(last_part, 0, part + 1))
            with m.If(last_part):
                m.d.sync += row.eq(Mux(last_row, 0, row + 1))
        with m.If(last_beat):
            m.d.sync += [kblock.eq(Mux(done, 0, next_kblock)), block.eq(Mux(done | last_block, 0, block + 1))]

    def _diagonal(self, fields, kblock, block, row, part):
        """Weights of a row of a diagonal tile: channel block * rows + row of the group goes to the column of that number."""
        config = self._config
        value = Mux(kblock >= fields.cblocks, fields.diagonal_b, fields.diagonal_a)
        column = block * config.rows + row
        lanes = config.bytes_per_beat
        return Cat(Mux(part * lanes + lane == column, value, Const(0, 8))[:8] for lane in range(lanes))
