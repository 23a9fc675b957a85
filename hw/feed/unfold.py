"""Unfolder: copies an ifmap into the activation memory, rearranged so that the first layer wastes no rows of the array."""

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from deeplock.hw.basics.bundles import Run
from deeplock.hw.basics.layouts import HeaderLayout, beat_layout, write_layout
from deeplock.hw.basics.loops import NestedLoops, chosen, counted
from deeplock.pymodel.spec.config import Config

__all__ = ["IfmapHandover", "Unfolder", "UnfolderReport"]


class IfmapHandover(wiring.Signature):
    """Handover of ifmaps to their reader, seen from the unfolder.

    Members:
        ready  an unfolded ifmap is in the activation memory
        take   pulse: a layer begins to read it
    """

    def __init__(self):
        super().__init__({"ready": Out(1), "take": In(1)})


class UnfolderReport(wiring.Signature):
    """Status of an unfolder.

    Members:
        bad_length  pulse, one cycle later: an ifmap's `last` came too early or too late
    """

    def __init__(self):
        super().__init__({"bad_length": Out(1)})


class Unfolder(wiring.Component):
    """Buffers one ifmap, then writes the bytes of every window, one by one. A window is `runs` runs of `run_bytes` contiguous
    bytes. With `config.dense` windows follow each other without gaps, else each begins a word, whose rest is undefined. With
    `header.alternate` too, ifmaps have two places, in turn, so that one is written while the other is read. Bytes behind an
    ifmap's last beat are zero, whatever the buffer holds from another one.

    Latency: ifmap beats, plus one cycle per byte, plus 3. Throughput: a byte a cycle; with `config.single_port` every second
    cycle.

    Members:
        run, header  `run.count` batches of header.batch ifmaps; `header` is stable while `run.count` is
        ifmap        beats of `rows` bytes; `last` marks the last one
        out          bytes, in ascending order from word header.destination on; those of a second place begin in the next word
        unfolded     see IfmapHandover
        release      pulse: the bytes of the ifmap that was taken may be overwritten
        report       see UnfolderReport
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "run": In(Run()),
                "header": In(HeaderLayout),
                "ifmap": In(stream.Signature(beat_layout(config.rows))),
                "out": Out(stream.Signature(write_layout(config, 1))),
                "unfolded": Out(IfmapHandover()),
                "release": In(1),
                "report": Out(UnfolderReport()),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config, header = self._config, self.header
        words = config.ifmap_bytes // config.rows
        # FILL writes and UNFOLD reads, so no read meets a write
        m.submodules.memory = store = memory.Memory(shape=data.ArrayLayout(8, config.rows), depth=words, init=[])
        read, write = store.read_port(), store.write_port()

        ifmaps = Signal(8, init=1)  # number in the batch, from 1
        batch_ends = Signal()  # it is the batch's last; registered, long before its last beat
        m.d.sync += batch_ends.eq(ifmaps == header.batch)
        batches = Signal(16)
        all_in = Signal()  # no more will come; registered, before the next beat
        m.d.sync += all_in.eq(batches == self.run.count)
        begin, finished = Signal(), Signal()
        with m.If(self.unfolded.take):
            m.d.sync += self.unfolded.ready.eq(0)
        placed = Signal(2)  # as many ones, from below, as ifmaps have a place
        with m.If(begin & ~self.release):
            m.d.sync += placed.eq(Cat(1, placed))
        with m.Elif(self.release & ~begin):
            m.d.sync += placed.eq(placed >> 1)
        alternates = header.alternate if config.dense else Const(0)
        no_place = Mux(alternates, placed[1], placed[0])
        second = Signal()  # the next ifmap goes to the second place
        with m.If(finished):
            m.d.sync += second.eq(~second & alternates)

        beats = Signal(range(words))  # received; the loadable port has checked header.ifmap_beats
        next_beat = Signal.like(beats)
        last_beat = next_beat == header.ifmap_beats[: len(beats)]
        accept = Signal()
        m.d.comb += [
            next_beat.eq(beats + 1),
            accept.eq(self.ifmap.valid & self.ifmap.ready),
            write.addr.eq(beats),
            write.data.eq(self.ifmap.payload.data),
            write.en.eq(accept),
        ]

        m.d.sync += self.report.bad_length.eq(0)
        with m.FSM():
            with m.State("FILL"):
                m.d.comb += self.ifmap.ready.eq(self.run.active & ~all_in)
                with m.If(accept):
                    m.d.sync += beats.eq(Mux(last_beat, 0, next_beat))
                    m.d.sync += self.report.bad_length.eq(last_beat ^ self.ifmap.payload.last)
                    with m.If(last_beat):
                        m.d.sync += ifmaps.eq(ifmaps + 1)
                        with m.If(batch_ends):
                            m.d.sync += [ifmaps.eq(1), batches.eq(batches + 1)]
                        m.next = "WAIT"
            with m.State("WAIT"):
                with m.If(~no_place & ~self.unfolded.ready):
                    m.d.comb += begin.eq(1)
                    m.next = "UNFOLD"
            with m.State("UNFOLD"):
                with m.If(finished):
                    m.d.sync += self.unfolded.ready.eq(1)
                    m.next = "FILL"

        self._unfold(m, begin, finished, read, second)
        return m

    def _unfold(self, m: Module, begin: Signal, finished: Signal, read: memory.ReadPort, second: Value) -> None:
        """Write all bytes from `begin` to `finished`, in a pipeline of three: address, memory, byte. `second`: they go behind
        those of before."""
        config, out, lane_bits = self._config, self.out, ceil_log2(self._config.rows)
        layout = data.StructLayout({"lane": lane_bits, "beyond": 1, "window_ends": 1, "final": 1})
        reading, shown = Signal(layout, reset_less=True), Signal(layout, reset_less=True)
        read_valid, moves, advance, sent = Signal(), Signal(), Signal(), Signal()
        loops, address = self._walk(m, begin, advance)
        # with one port the memory's `ready` comes too late in a cycle to decide about the next byte
        done = out.valid & out.ready
        if config.single_port:
            m.d.sync += sent.eq(done)
            done = sent
        valid = Signal()
        m.d.comb += [
            out.valid.eq(valid & ~sent),
            out.payload.keep.eq(1),
            moves.eq(~valid | done),
            advance.eq(loops.active & (~read_valid | moves)),
            read.addr.eq(address[lane_bits:]),
            read.en.eq(advance),
            finished.eq(done & shown.final),
        ]
        with m.If(advance):
            m.d.sync += [
                reading.lane.eq(address),
                reading.beyond.eq(address[lane_bits:] >= self.header.ifmap_beats[: len(read.addr) + 1]),
                reading.window_ends.eq(loops.ends.run),
                reading.final.eq(loops.ends.down),
            ]
        with m.If(~read_valid | moves):
            m.d.sync += read_valid.eq(loops.active)
        with m.If(moves):
            m.d.sync += [valid.eq(read_valid), shown.eq(reading), out.payload.data[0].eq(read.data[reading.lane])]
            with m.If(reading.beyond):
                m.d.sync += out.payload.data[0].eq(0)

        word, lane = Signal(range(config.activation_words)), Signal(lane_bits)
        word_ends = lane.all() if config.dense else lane.all() | shown.window_ends
        m.d.comb += out.payload.address.eq(Cat(lane, word))
        restarts = begin & ~second
        with m.If(restarts | (begin & lane.any()) | (done & word_ends)):
            m.d.sync += word.eq(counted(word, restarts, self.header.destination))
        with m.If(begin | done):
            m.d.sync += lane.eq(Mux(begin | word_ends, 0, lane + 1))

    def _walk(self, m: Module, begin: Signal, advance: Signal) -> tuple[NestedLoops, Signal]:
        """The loops over all bytes, and the address of the current one in the ifmap."""
        config, header = self._config, self.header
        bits = ceil_log2(config.ifmap_bytes)
        # no count of a correct header exceeds the buffer's bytes; those of a wrong one wrap
        m.submodules.loops = loops = NestedLoops(byte=bits, run=min(bits, len(header.runs)), across=bits, down=bits)
        goes = loops.goes
        m.d.comb += [
            loops.rounds.byte.eq(header.run_bytes),
            loops.rounds.run.eq(header.runs),
            loops.rounds.across.eq(header.windows_x),
            loops.rounds.down.eq(header.windows_y),
            loops.begin.eq(begin),
            loops.advance.eq(advance),
        ]
        address, run, window, line = (Signal(bits, name=name) for name in ("address", "run", "window", "line"))
        base = chosen((goes.byte, address), (goes.run, run), (goes.across, window), (goes.down, line))
        step = chosen(
            (goes.byte, Const(1)),
            (goes.run, header.run_pitch),
            (goes.across, header.x_pitch),
            (goes.down, header.y_pitch),
        )
        following = Signal.like(address)
        m.d.comb += following.eq(base + step[: len(address)])
        with m.If(advance | begin):
            m.d.sync += address.eq(following)
            with m.If(~goes.byte):
                m.d.sync += run.eq(following)
                with m.If(~goes.run):
                    m.d.sync += window.eq(following)
                    with m.If(~goes.across):
                        m.d.sync += line.eq(following)
        return loops, address
