"""Weight loader: splits the unlocked parameter stream into tables, requantise entries and weight tiles."""

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from deeplock.hw.array.array import WeightWrite
from deeplock.hw.basics.bundles import Run
from deeplock.hw.basics.layouts import LOADER_WORDS, EntryLayout, beat_layout, loader_fields
from deeplock.hw.basics.loops import chosen, counted
from deeplock.hw.families.placement import SPAN, kept_if_large, load_span
from deeplock.hw.post.look_up import TableWrite
from deeplock.hw.post.post import EntryWrite
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Opcode
from deeplock.pymodel.spec.entry import ENTRY

__all__ = ["LoaderReport", "TileHandover", "WeightLoader"]


class TileHandover(wiring.Signature):
    """Handover of tiles to the array, seen from the weight loader.

    Members:
        full  a tile waits in the shadow registers
        swap  the array takes it in this cycle
    """

    def __init__(self):
        super().__init__({"full": Out(1), "swap": In(1)})


class LoaderReport(wiring.Signature):
    """Status of a weight loader. Pulses, one cycle later: the parameters of an inference end elsewhere than the program.

    Members:
        short  the program takes more
        long   it takes less
    """

    def __init__(self):
        super().__init__({"short": Out(1), "long": Out(1)})


class WeightLoader(wiring.Component):
    """Walks the program on its own, one tile ahead of the array: while a tile computes, the next one loads.

    With `config.pipeline_registers` a register stands in front of the array. It takes a tile's first beat while the tile
    before still waits, so that within a cycle neither loadable nor key stream depends on the array.

    Throughput: one beat a cycle, without a gap between tiles if the array takes each tile as soon as it is full. In layers
    that have tiles of a single beat, and always without `config.pipeline_registers`, the next tile's first beat comes a cycle
    later. A tile of streamed diagonal weights takes a cycle for each row and each part of `bytes_per_beat` columns, and a group
    of such tiles one cycle more. A table takes a cycle for each of its 256 bytes, because every lane has a memory of its own,
    and waits until the layer before the last one has left. Latency: from a beat to its weight write 1 cycle, to its entry
    write 2, without `config.pipeline_registers` 0; from a table's byte to its write 1. A tile is `full` in the cycle after its
    last beat. Between layers, reading the next descriptor takes 6 cycles.

    Members:
        run, layers  inferences of `layers` layers
        program      read port of the program memory
        parameters   unlocked beats; `last` marks the last one of an inference
        weights      shadow register writes
        entries      requantise entry writes
        table        with `config.tables`: table writes
        tiles        see TileHandover
        report       see LoaderReport
    """

    def __init__(self, config: Config):
        self._config = config
        beat = beat_layout(config.bytes_per_beat)
        super().__init__(
            {
                "run": In(Run()),
                "layers": In(config.layer_bits),
                "program": In(memory.ReadPort.Signature(addr_width=ceil_log2(config.program_words), shape=32)),
                "parameters": In(stream.Signature(beat)),
                "weights": Out(WeightWrite(config)),
                "entries": Out(EntryWrite(config)),
                "tiles": Out(TileHandover()),
                "report": Out(LoaderReport()),
            }
            | ({"table": Out(TableWrite())} if config.tables else {})
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        fields = Signal(loader_fields)

        layer = Signal(self._config.layer_bits)  # layers fetched so far
        group = Signal(8, init=1)  # the current one, from 1
        last_group = group == fields.groups
        held_groups = Signal(2)  # groups whose entries are in a bank
        bank = Signal()
        ended = Signal()  # the last beat of this inference was taken
        loads_entries, entries_loaded = Signal(), Signal()
        loads_tiles, tile_loaded, group_loaded = Signal(), Signal(), Signal()
        m.d.sync += self.tiles.full.eq(tile_loaded | (self.tiles.full & ~self.tiles.swap))
        m.d.sync += held_groups.eq(held_groups + entries_loaded - self.entries.done)

        beat = self.parameters
        take = Signal()
        m.d.comb += take.eq(beat.valid & beat.ready)
        with m.If(take & beat.payload.last):
            m.d.sync += ended.eq(1)

        written = Signal.like(beat.payload.data)  # the beat that entries and tiles are written from
        self._load_entries(m, fields, bank, written, loads_entries, take, entries_loaded)
        fold = Mux(last_group, fields.fold, 0) if self._config.folding else Const(0)
        wants = self._load_tiles(m, fields, fold, written, loads_tiles, tile_loaded, group_loaded)
        loads_table, table_loaded, has_table = Signal(), Signal(), fields.opcode == Opcode.TABLE
        if self._config.tables:
            self._load_table(m, loads_table, table_loaded)
            wants |= loads_table
            m.d.comb += self.table.used.eq(has_table)

        read = Signal(range(len(LOADER_WORDS) + 2))
        m.d.comb += self.program.addr.eq(Cat(read[:2], Const(0, 2), layer))
        inferences, first = Signal(16), Signal(init=1)  # minus those whose parameters are not all loaded, minus one
        ending, all_in = Signal(), Signal()  # this inference is the last (registered); no more to come
        begins, ends = Signal(), Signal()
        m.d.sync += ending.eq(inferences == 0xFFFE)
        with m.If(begins | ends):
            m.d.sync += inferences.eq(counted(inferences, begins, ~self.run.count))
        m.d.sync += [self.report.short.eq(wants & ended), self.report.long.eq(0)]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += begins.eq(first)
                with m.If(self.run.active & ~all_in):
                    m.next = "FETCH"

            with m.State("FETCH"):
                m.d.sync += read.eq(read + 1)
                with m.Switch(read):
                    for index in range(len(LOADER_WORDS)):
                        with m.Case(index + 1):
                            m.d.sync += fields.as_value()[32 * index : 32 * index + 32].eq(self.program.data)
                with m.If(read == len(LOADER_WORDS) + 1):
                    m.d.sync += [layer.eq(layer + 1), read.eq(0)]
                    m.next = "ENTRIES"
                    if self._config.tables:
                        with m.If(has_table):
                            m.next = "TABLE"

            if self._config.tables:
                with m.State("TABLE"):  # as soon as the layer that used the bank has left
                    m.d.comb += loads_table.eq(~held_groups[1])
                    with m.If(table_loaded):
                        m.next = "ENTRIES"

            with m.State("ENTRIES"):
                m.d.comb += loads_entries.eq(~held_groups[1])
                with m.If(entries_loaded):
                    m.d.sync += bank.eq(~bank)
                    m.next = "TILES"

            with m.State("TILES"):
                m.d.comb += loads_tiles.eq(1)
                with m.If(group_loaded):
                    m.d.sync += group.eq(Mux(last_group, 1, group + 1))
                    m.next = "ENTRIES"
                    with m.If(last_group):
                        m.next = "FETCH"
                        with m.If(layer == self.layers):
                            m.next = "LAST"

            with m.State("LAST"):
                m.d.comb += ends.eq(1)
                m.d.sync += [all_in.eq(ending), ended.eq(0), layer.eq(0), first.eq(0)]
                m.d.sync += self.report.long.eq(~ended)
                m.next = "IDLE"
        return m

    def _load_table(self, m: Module, enable: Signal, done: Signal) -> None:
        """Load a layer's table, a byte a cycle: a beat stays until its last one."""
        beat, write = self.parameters, self.table
        value, bank = Signal(8, init=128), Signal()  # whose entry comes, from -128 on
        place, takes = Signal(range(self._config.bytes_per_beat)), Signal()
        m.d.comb += [place.eq(value), takes.eq(enable & beat.valid), done.eq(takes & (value == 127))]
        with m.If(enable & place.all()):
            m.d.comb += beat.ready.eq(1)
        m.d.sync += [
            write.enable.eq(takes),
            write.address.eq(Cat(value, bank)),
            write.data.eq(beat.payload.data.word_select(place, 8)),
        ]
        with m.If(takes):
            m.d.sync += value.eq(value + 1)
        with m.If(done):
            m.d.sync += bank.eq(~bank)

    def _load_entries(
        self, m: Module, fields, bank: Signal, word: Value, enable: Signal, take: Signal, done: Signal
    ) -> None:
        """Load a column group's entries: cols entries from the stream, or all alike from the layer's descriptor."""
        config = self._config
        lanes, cols, size = config.lanes, config.cols, config.bytes_per_beat
        per_beat = max(1, size // ENTRY.size)
        if config.products:
            m.d.comb += self.entries.multiplies.eq(fields.opcode == Opcode.PRODUCT)
        column = Signal(range(cols), name="entry_column")
        given = fields.diagonal & ~fields.streamed if config.diagonal else Const(0)
        whole = size >= ENTRY.size  # a beat holds whole entries
        ends = Signal(init=int(whole))  # this beat completes its entries
        if not whole:
            word = word.replicate(2)
            with m.If(enable & take):
                m.d.sync += ends.eq(~ends)

        # with `pipeline_registers` a cycle later than weights, because the sources are far apart
        entries = Signal.like(self.entries.entries)
        biases, scales = Signal.like(self.entries.biases), Signal.like(self.entries.scales)
        address = Cat(column[(lanes - 1).bit_length() :], bank)
        writes = [(self.entries.biases, biases), (self.entries.scales, scales), (self.entries.address, address)]
        if config.pipeline_registers:
            for port, value in writes:
                taken = Signal.like(port)
                m.d.sync += [taken.eq(value), port.eq(taken)]
            m.d.sync += self.entries.entries.eq(entries)
        else:
            m.d.comb += [port.eq(value) for port, value in [*writes, (self.entries.entries, entries)]]
        for lane in range(lanes):
            part = data.View(EntryLayout, word.word_select(lane % per_beat, EntryLayout.size))
            entry = entries[lane]
            m.d.comb += [
                entry.bias.eq(Mux(given, fields.bias, part.bias[: config.sum_bits].as_signed())),
                entry.multiplier.eq(Mux(given, fields.multiplier, part.multiplier)),
                entry.shift_1.eq(Mux(given, fields.shift_1, part.shift_1)),
            ]
        with m.If(enable & given):
            m.d.comb += [biases.eq(-1), scales.eq(-1)]
            m.d.sync += column.eq(column + lanes)
            m.d.comb += done.eq(column + lanes >= cols)
        with m.Elif(enable):
            m.d.comb += self.parameters.ready.eq(1)
            with m.If(take):
                for lane in range(lanes):
                    here = column % lanes == lane - lane % per_beat
                    m.d.comb += biases[lane].eq(here if whole else here & ~ends)
                    m.d.comb += scales[lane].eq(here & ends)
                with m.If(ends):
                    m.d.sync += column.eq(column + per_beat)
                    m.d.comb += done.eq(column + per_beat >= cols)

    def _load_tiles(
        self, m: Module, fields, fold, written: Signal, enable: Signal, last_beat: Signal, done: Signal
    ) -> Value:
        """Load a column group's weight tiles, row by row; `done` with the group's last beat. Gives whether a beat is needed."""
        config = self._config
        diagonal = fields.diagonal if config.diagonal else Const(0)
        given = diagonal & ~fields.streamed  # nothing comes from the stream
        rows, slices = config.rows, config.cols // config.bytes_per_beat
        # minus the channel blocks to come, minus one; not counted where a tile holds several k-blocks
        block = Signal(12)
        last_block = block[1:].all()
        second = Signal()  # not the first kernel position
        part, row, next_row = Signal(range(slices)), Signal(range(rows)), Signal(range(rows))
        last_part = part == slices - 1
        # a tile's height and the group's last tile are known a cycle ahead; a tile of a single beat waits for them
        height, last_tile, settled, single = Signal(len(row)), Signal(), Signal(), Signal()
        last_row = next_row == height
        free = Signal()
        accept = Signal()
        waiting = Signal()  # the next beat must wait: the tile before it is in the shadow registers

        todo = Signal(17)  # 2 ** 16 minus the k-blocks to come, minus one
        in_tile: Value = Const(1)  # k-blocks; registered, because it changes only before a group's first tile
        if config.folding:
            in_tile = Signal(config.cols.bit_length())
            m.d.sync += in_tile.eq(Const(1) << fold)
        next_todo = counted(todo, ~enable, ~fields.kblocks, in_tile)
        with m.If(~enable | last_beat):
            m.d.sync += todo.eq(next_todo)
        with m.If(~enable | (last_beat & in_tile[0])):
            m.d.sync += block.eq(counted(block, ~enable | last_block, ~fields.cblocks))

        m.d.sync += [
            height.eq(Mux(last_block, fields.rows_last, rows)),
            last_tile.eq(next_todo[-1] | next_todo[:-1].all()),
            settled.eq(enable),
            single.eq((slices == 1) & (fields.rows_last == 1)),
        ]
        # row r of a diagonal tile of channel block b has its weight in column b * rows + r. A streamed beat has those of its
        # columns for several rows: it stays until the last of them
        lane, own_part = Signal(range(config.bytes_per_beat)), Signal(range(slices))
        # the row's weight in this part comes from the stream, and is the beat's last
        from_beat, whole = Signal(), Signal()
        m.d.comb += [
            Cat(lane, own_part).eq(Cat(row, (block + 1)[: (config.cols // rows - 1).bit_length()])),
            from_beat.eq(~diagonal | (~given & (part == own_part))),
            whole.eq(~diagonal | lane.all()),
            free.eq(enable & ~waiting & (settled | ~(single | (diagonal & ~given)))),
            accept.eq(free & (~from_beat | self.parameters.valid)),
            next_row.eq(row + 1),
            last_beat.eq(accept & last_part & last_row),
            done.eq(last_beat & last_tile),
        ]
        with m.If(free & from_beat & whole):
            m.d.comb += self.parameters.ready.eq(1)
        with m.If(accept):
            m.d.sync += part.eq(part + 1)
            with m.If(last_part):
                m.d.sync += row.eq(Mux(last_row, 0, next_row))
        with m.If(last_beat):
            m.d.sync += second.eq(~done & (second | last_block))

        weight = Mux(second, fields.diagonal_b, fields.diagonal_a).as_unsigned()
        beat = Signal.like(written)
        made: Value = Cat(diagonal & (given | enable), given)  # entries of the stream pass as they are
        next_made = Cat(diagonal & (given | (enable & ~done)), given)
        for at in range(config.bytes_per_beat):
            if at % SPAN == 0 and config.diagonal and config.pipeline_registers:  # registers for each span
                made = Signal(2, name=f"diagonal_{at}", attrs=kept_if_large(config))
                m.d.sync += made.eq(next_made)
            here = (lane == at) & (part == own_part)
            from_stream = ~made[0] | (here & ~made[1])
            byte = chosen((made[1] & here, weight), (from_stream, self.parameters.payload.data.word_select(at, 8)))
            m.d.comb += beat.word_select(at, 8).eq(byte)

        span, load = load_span(config), Signal.like(self.weights.load)
        spans = config.cols // span
        for at in range(rows):
            for index in range(spans):
                here = (row == at) & (part == index * span // config.bytes_per_beat)
                m.d.comb += load[at * spans + index].eq(accept & here)
        # a reset writes zeros to all shadow registers
        goes = self._hold(m, single, accept, last_beat, waiting) if config.pipeline_registers else Const(1)
        if not config.pipeline_registers:
            resetting = Signal(init=1)
            loads = load | resetting.replicate(len(load))
            m.d.sync += resetting.eq(0)
            m.d.comb += written.eq(beat & ~resetting.replicate(len(beat)))
        else:
            loads = Signal.like(load, attrs=kept_if_large(config), init=(1 << len(load)) - 1)
            with m.If(goes):
                m.d.sync += [written.eq(beat), loads.eq(load)]
        # only a tile's first beat ever waits in the register
        held = config.bytes_per_beat // span
        m.d.comb += [
            self.weights.data.eq(written),
            self.weights.load.eq(Cat(loads[:held] & goes.replicate(held), loads[held:])),
        ]
        if not config.pipeline_registers:
            m.d.comb += waiting.eq(self.tiles.full)
        # a streamed diagonal row needs its beat before the row that takes it
        return self.parameters.ready | (free & from_beat) if config.diagonal else self.parameters.ready

    def _hold(self, m: Module, single: Signal, accept: Signal, last_beat: Signal, waiting: Signal) -> Value:
        """Whether the register's beat enters the array. Drives `waiting`: the register must not take the next one."""
        first = Signal(init=1)  # the next beat is the first of its tile
        early = Signal()  # the register's beat was taken while the tile before it waited
        goes = ~(early & self.tiles.full)
        m.d.comb += waiting.eq(self.tiles.full & (early | (first & single)))
        with m.If(accept):
            m.d.sync += first.eq(last_beat)
        with m.If(goes):
            m.d.sync += early.eq(accept & self.tiles.full)
        return goes
