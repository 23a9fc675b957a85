"""Unfolder: copies an ifmap into the activation memory, rearranged so that the first layer wastes no rows of the array."""

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from deeplock.hw.basics.bundles import Run
from deeplock.hw.basics.layouts import HeaderLayout, beat_layout, write_layout
from deeplock.hw.basics.loops import NestedLoops, chosen, counted
from deeplock.hw.basics.stream_buffers import SkidBuffer
from deeplock.hw.basics.turning import turned
from deeplock.hw.families.placement import kept_if_large
from deeplock.pymodel.spec.config import Config

__all__ = ["IfmapHandover", "Unfolder", "UnfolderReport"]


class IfmapHandover(wiring.Signature):
    """Handover of ifmaps to their reader, seen from the unfolder.

    Members:
        ready    an unfolded ifmap is in the activation memory
        take     pulse: a layer begins to read it
        release  pulse: its words may be overwritten
    """

    def __init__(self):
        super().__init__({"ready": Out(1), "take": In(1), "release": In(1)})


class UnfolderReport(wiring.Signature):
    """Status of an unfolder.

    Members:
        bad_length  pulse, one cycle later: an ifmap's `last` came too early or too late
        never       no ifmap will become ready before the next `release`, or ever again
    """

    def __init__(self):
        super().__init__({"bad_length": Out(1), "never": Out(1)})


class Unfolder(wiring.Component):
    """Buffers one ifmap, then writes the bytes of every window. A window is `runs` runs of `run_bytes` contiguous bytes. With
    `config.dense` windows follow each other without gaps, else each begins a word, whose rest is undefined.

    It moves a run in parts of up to `width` bytes: `rows`, or 1 without `config.dense`, where each part is a write.

    Latency: ifmap beats, plus one cycle per part, plus 3, and one cycle more if the last bytes cross into a further word.
    Throughput: one part a cycle; without `config.dense` a part every second cycle.

    Members:
        run, header  `run.count` batches of header.batch ifmaps; `header` is stable while `run.count` is
        ifmap        beats of `rows` bytes; `last` marks the last one
        out          words, or single bytes without `config.dense`, in ascending order from header.destination on
        unfolded     see IfmapHandover
        report       see UnfolderReport
    """

    def __init__(self, config: Config):
        self._config = config
        self.width = config.rows if config.dense else 1
        super().__init__(
            {
                "run": In(Run()),
                "header": In(HeaderLayout),
                "ifmap": In(stream.Signature(beat_layout(config.rows))),
                "out": Out(stream.Signature(write_layout(config, self.width))),
                "unfolded": Out(IfmapHandover()),
                "report": Out(UnfolderReport()),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config, header = self._config, self.header
        words = config.ifmap_bytes // config.rows
        # Even and odd words are apart: `rows` bytes at any byte address take two neighbours. FILL writes and UNFOLD reads, so
        # no read meets a write.
        shape = data.ArrayLayout(8, config.rows)
        names = ("words",) if self.width == 1 else ("even", "odd")
        stores = [memory.Memory(shape=shape, depth=words // len(names), init=[]) for _ in names]
        for name, store in zip(names, stores, strict=True):
            m.submodules[name] = store
        reads = [store.read_port() for store in stores]
        writes = [store.write_port() for store in stores]

        ifmaps = Signal(8, init=1)  # number in the batch, from 1
        batch_ends = Signal()  # it is the batch's last; registered, long before its last beat
        m.d.sync += batch_ends.eq(ifmaps == header.batch)
        batches = Signal(16)
        all_in = Signal()  # no more will come; registered, before the next beat
        m.d.sync += all_in.eq(batches == self.run.count)
        free = Signal(init=1)
        with m.If(self.unfolded.take):
            m.d.sync += self.unfolded.ready.eq(0)
        with m.If(self.unfolded.release):
            m.d.sync += free.eq(1)

        beats = Signal(range(words))  # received; the loadable port has checked header.ifmap_beats
        next_beat = Signal.like(beats)
        last_beat = next_beat == header.ifmap_beats[: len(beats)]
        accept = Signal()
        m.d.comb += [next_beat.eq(beats + 1), accept.eq(self.ifmap.valid & self.ifmap.ready)]
        for parity, write in enumerate(writes):
            m.d.comb += [
                write.addr.eq(beats >> (len(writes) - 1)),
                write.data.eq(self.ifmap.payload.data),
                write.en.eq(accept & (beats[: len(writes) - 1] == parity)),
            ]

        begin = Signal()
        finished = Signal()
        taken = Signal()
        m.d.sync += self.report.bad_length.eq(0)
        with m.FSM():
            with m.State("FILL"):
                m.d.comb += self.ifmap.ready.eq(self.run.active & ~all_in)
                m.d.comb += self.report.never.eq(~self.unfolded.ready & all_in)
                with m.If(accept):
                    m.d.sync += beats.eq(Mux(last_beat, 0, next_beat))
                    m.d.sync += self.report.bad_length.eq(last_beat ^ self.ifmap.payload.last)
                    with m.If(last_beat):
                        m.d.sync += ifmaps.eq(ifmaps + 1)
                        with m.If(batch_ends):
                            m.d.sync += [ifmaps.eq(1), batches.eq(batches + 1)]
                        m.next = "WAIT"
            with m.State("WAIT"):
                m.d.comb += self.report.never.eq(~self.unfolded.ready & ~free)
                with m.If(free & ~self.unfolded.ready):
                    m.d.comb += begin.eq(1)
                    m.d.sync += free.eq(0)
                    m.next = "UNFOLD"
            with m.State("UNFOLD"):
                with m.If(finished):
                    m.d.sync += self.unfolded.ready.eq(1)
                    m.next = "FILL"

        position, size, end, final, valid = self._walk(m, begin, reads, taken)

        # bytes position .. position + width - 1, byte i in lane (position + i) % width; registered, because memory and
        # packing together are too slow for one cycle
        layout = data.StructLayout(
            {
                "lanes": data.ArrayLayout(8, self.width),
                "offset": ceil_log2(self.width),
                "size": size.shape(),
                "end": 1,
                "final": 1,
            }
        )
        part, part_valid = Signal(layout, reset_less=True), Signal()
        offset, odd = position[:-1], position[-1]
        with m.If(taken):
            m.d.sync += [part.offset.eq(offset), part.size.eq(size), part.end.eq(end), part.final.eq(final)]
            m.d.sync += part_valid.eq(valid)
            if self.width == 1:
                m.d.sync += part.lanes[0].eq(reads[0].data[offset])
            else:
                for lane in range(config.rows):
                    even_byte, odd_byte = (read.data[lane] for read in reads)
                    m.d.sync += part.lanes[lane].eq(Mux(odd ^ (offset > lane), odd_byte, even_byte))
        if self.width == 1:
            consumed = self._write(m, part, part_valid, begin)
            m.d.comb += [taken.eq(~part_valid | consumed), finished.eq(part_valid & consumed & part.final)]
        else:  # registers `ready`: walking does not wait for what packing finds in the same cycle
            m.submodules.skid = skid = SkidBuffer(layout, kept_if_large(config))
            packed = skid.outlet
            consumed = self._pack(m, packed.payload, packed.valid, begin)
            m.d.comb += [
                skid.inlet.payload.eq(part),
                skid.inlet.valid.eq(part_valid),
                packed.ready.eq(consumed),
                taken.eq(~part_valid | skid.inlet.ready),
                finished.eq(packed.valid & consumed & packed.payload.final),
            ]
        return m

    def _walk(self, m: Module, begin: Signal, reads: list, taken: Signal):
        """Address the parts of all runs. Returns, of the part that `reads` show until it is `taken`: byte position, size,
        end-of-window and end-of-ifmap flags, and whether there is one."""
        config, header, width = self._config, self.header, self.width
        row_bits, lane_bits = ceil_log2(config.rows), ceil_log2(width)

        bits = ceil_log2(config.ifmap_bytes)
        # no count of a correct header exceeds the buffer's bytes; those of a wrong one wrap
        m.submodules.loops = loops = NestedLoops(part=bits - lane_bits, run=bits, across=bits, down=bits)
        last, ends, goes = loops.last, loops.ends, loops.goes
        rest = header.run_bytes[:lane_bits]  # bytes of a run's last part, if it is not whole
        valid, advance = Signal(), Signal()
        m.d.comb += [
            loops.rounds.part.eq((header.run_bytes + width - 1) >> lane_bits),
            loops.rounds.run.eq(header.runs),
            loops.rounds.across.eq(header.windows_x),
            loops.rounds.down.eq(header.windows_y),
            loops.begin.eq(begin),
            advance.eq(loops.active & (~valid | taken)),
            loops.advance.eq(advance),
        ]

        address, run, window, line = (Signal(bits, name=name) for name in ("address", "run", "window", "line"))
        base = chosen((goes.part, address), (goes.run, run), (goes.across, window), (goes.down, line))
        step = chosen(
            (goes.part, width),
            (goes.run, header.run_pitch),
            (goes.across, header.x_pitch),
            (goes.down, header.y_pitch),
        )
        following = Signal.like(address)
        m.d.comb += following.eq(base + step[: len(address)])
        with m.If(advance | begin):
            m.d.sync += address.eq(following)
            with m.If(~goes.part):
                m.d.sync += run.eq(following)
                with m.If(~goes.run):
                    m.d.sync += window.eq(following)
                    with m.If(~goes.across):
                        m.d.sync += line.eq(following)

        word = address >> row_bits
        if width == 1:
            m.d.comb += reads[0].addr.eq(word)
        else:  # the upper neighbour of an odd word is even
            m.d.comb += [reads[0].addr.eq((word + 1) >> 1), reads[1].addr.eq(word >> 1)]
        m.d.comb += [read.en.eq(advance) for read in reads]

        position, size, end, final = Signal(row_bits + 1), Signal(range(width + 1)), Signal(), Signal()
        with m.If(~valid | taken):
            m.d.sync += valid.eq(loops.active)
        with m.If(advance):
            m.d.sync += [
                position.eq(address),
                size.eq(Mux(last.part & rest.any(), rest, width)),
                end.eq(ends.run),
                final.eq(ends.down),
            ]
        return position, size, end, final, valid

    def _pack(self, m: Module, part, valid: Value, begin: Signal) -> Value:
        """Append each part to the word being filled; send the word when it is full or the ifmap ends. Returns whether the
        current part is consumed."""
        rows = self._config.rows
        lane_bits = ceil_log2(rows)

        # byte i of the part goes to lane (filled + i) % rows
        filled = Signal(range(rows))
        turn = Signal(lane_bits)
        m.d.comb += turn.eq(filled - part.offset)
        rotated = turned(m, part.lanes.as_value(), 8, turn)

        kept = Signal(8 * rows)
        total = Signal(range(2 * rows))
        rest = Signal()  # the last bytes went into a further word, which leaves now
        crosses = part.final & (total > rows)
        full = (total >= rows) | part.final
        m.d.comb += [total.eq(filled + part.size), self.out.valid.eq(valid & (rest | full))]
        m.d.comb += self.out.payload.keep.eq(-1)
        moves = valid & (~self.out.valid | self.out.ready)
        for lane in range(rows):
            new, old = rotated.word_select(lane, 8), kept.word_select(lane, 8)
            is_new = ~rest & (lane >= filled)
            m.d.comb += self.out.payload.data.as_value().word_select(lane, 8).eq(Mux(is_new, new, old))
            with m.If(moves & (self.out.valid | is_new)):
                m.d.sync += old.eq(new)
        with m.If(moves):
            m.d.sync += rest.eq(crosses & ~rest)
            with m.If(rest | ~crosses):
                m.d.sync += filled.eq(Mux(part.final, 0, total))
        self._address(m, begin, self.out.valid & self.out.ready)
        return moves & (rest | ~crosses)

    def _write(self, m: Module, part, valid: Value, begin: Signal) -> Value:
        """Send each byte, and consume it one cycle later: the path from `ready` through the loops is too long for one cycle.
        Returns whether the current byte is consumed."""
        lane, done = Signal(range(self._config.rows)), Signal()
        m.d.sync += done.eq(self.out.valid & self.out.ready)
        m.d.comb += [
            self.out.valid.eq(valid & ~done),
            self.out.payload.keep.eq(1),
            self.out.payload.data[0].eq(part.lanes[0]),
        ]
        with m.If(done):
            m.d.sync += lane.eq(Mux(part.end, 0, lane + 1))
        self._address(m, begin, done & (part.end | lane.all()), lane)
        return done

    def _address(self, m: Module, begin: Signal, next_word: Value, lane: Value | None = None) -> None:
        word = Signal(range(self._config.activation_words))
        m.d.comb += self.out.payload.address.eq(
            Cat(Const(0, ceil_log2(self._config.rows)) if lane is None else lane, word)
        )
        with m.If(begin | next_word):
            m.d.sync += word.eq(counted(word, begin, self.header.destination))
