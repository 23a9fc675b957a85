"""Unfolder: turns an ifmap into the activation words of its kernel windows, so that the first layer wastes no rows."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from hw.layouts import HeaderLayout, beat_layout
from pymodel.config import Config

__all__ = ["Unfolder"]


class Unfolder(wiring.Component):
    """Buffers one ifmap, then writes the bytes of every window, `runs` runs of `run_bytes` contiguous bytes, packed into
    words of `rows` bytes; the last word of a window is filled up with anything.

    Latency: ifmap beats, then one cycle per run of up to `rows` bytes, and 2. Throughput: one run (part) a cycle, less one
    cycle where a window's last bytes cross into a further word.

    Members:
        run, count, header   while `run`: `count` batches of header.batch ifmaps of the network that `header` describes
        ifmap       beats of `rows` bytes; `last` marks the last one
        out         words in ascending order from header.destination on
        ready       an unfolded ifmap is in the activation memory
        take        pulse: a layer begins to read it
        release     pulse: its words may be overwritten
        bad_length  pulse: `last` came too early or too late
        never       no ifmap will become ready before the next `release`, or none at all
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "run": In(1),
                "count": In(16),
                "header": In(HeaderLayout),
                "ifmap": In(stream.Signature(beat_layout(config.rows))),
                "out": Out(stream.Signature(data.StructLayout({"word": 16, "data": 8 * config.rows}))),
                "ready": Out(1),
                "take": In(1),
                "release": In(1),
                "bad_length": Out(1),
                "never": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config, header = self._config, self.header
        words = config.ifmap_bytes // config.rows
        # even and odd words apart: a read of `rows` bytes at any byte address takes two neighbours
        shape = data.ArrayLayout(8, config.rows)
        stores = [memory.Memory(shape=shape, depth=words // 2, init=[]) for _ in range(2)]
        m.submodules.even, m.submodules.odd = stores
        reads = [store.read_port() for store in stores]
        writes = [store.write_port() for store in stores]

        ifmaps = Signal(8)  # of the batch
        batches = Signal(16)
        free = Signal(init=1)
        with m.If(self.take):
            m.d.sync += self.ready.eq(0)
        with m.If(self.release):
            m.d.sync += free.eq(1)

        beats = Signal(16)
        last_beat = beats == header.ifmap_beats - 1
        accept = Signal()
        m.d.comb += accept.eq(self.ifmap.valid & self.ifmap.ready)
        for parity, write in enumerate(writes):
            m.d.comb += [
                write.addr.eq(beats >> 1),
                write.data.eq(self.ifmap.payload.data),
                write.en.eq(accept & (beats[0] == parity)),
            ]

        begin = Signal()
        finished = Signal()
        with m.FSM():
            with m.State("FILL"):
                m.d.comb += self.ifmap.ready.eq(self.run & (batches != self.count))
                m.d.comb += self.never.eq(~self.ready & (batches == self.count))
                with m.If(accept):
                    m.d.sync += beats.eq(Mux(last_beat, 0, beats + 1))
                    m.d.comb += self.bad_length.eq(last_beat ^ self.ifmap.payload.last)
                    with m.If(last_beat):
                        m.d.sync += ifmaps.eq(ifmaps + 1)
                        with m.If(ifmaps == header.batch - 1):
                            m.d.sync += [ifmaps.eq(0), batches.eq(batches + 1)]
                        m.next = "WAIT"
            with m.State("WAIT"):
                m.d.comb += self.never.eq(~self.ready & ~free)
                with m.If(free & ~self.ready):
                    m.d.comb += begin.eq(1)
                    m.d.sync += free.eq(0)
                    m.next = "UNFOLD"
            with m.State("UNFOLD"):
                with m.If(finished):
                    m.d.sync += self.ready.eq(1)
                    m.next = "FILL"

        position, size, end_of_window, valid, consumed = self._walk(m, begin, reads, finished)
        self._pack(m, position, size, end_of_window, valid, consumed, reads, begin)
        return m

    def _walk(self, m: Module, begin: Signal, reads: list, finished: Signal):
        """Address every run part. Gives byte position, size and end-of-window flag of the part that `reads` now show."""
        config, header = self._config, self.header
        rows = config.rows
        bits = ceil_log2(config.ifmap_bytes)

        active = Signal()
        line, window, run, address = (Signal(bits, name=name) for name in ("line", "window", "run", "address"))
        left, runs, across, down = Signal(16), Signal(16), Signal(16), Signal(16)
        valid, consumed = Signal(), Signal()
        position, size, end = Signal(bits), Signal(range(rows + 1)), Signal()
        last_part, last_run = left <= rows, runs == header.runs - 1
        last_x, last_y = across == header.windows_x - 1, down == header.windows_y - 1
        advance = Signal()
        m.d.comb += advance.eq(active & (~valid | consumed))

        # even words answer for an odd address's upper neighbour
        word = address >> ceil_log2(rows)
        m.d.comb += [reads[0].addr.eq((word + 1) >> 1), reads[1].addr.eq(word >> 1)]
        m.d.comb += [read.en.eq(advance) for read in reads]

        with m.If(begin):
            m.d.sync += [active.eq(1), left.eq(header.run_bytes)]
            m.d.sync += [signal.eq(0) for signal in (line, window, run, address, runs, across, down)]
        with m.If(~valid | consumed):
            m.d.sync += valid.eq(active)
        with m.If(advance):
            m.d.sync += [position.eq(address), size.eq(Mux(last_part, left, rows)), end.eq(last_part & last_run)]
            with m.If(~last_part):
                m.d.sync += [left.eq(left - rows), address.eq(address + rows)]
            with m.Else():
                m.d.sync += left.eq(header.run_bytes)
                with m.If(~last_run):
                    m.d.sync += [runs.eq(runs + 1), run.eq(run + header.run_pitch), address.eq(run + header.run_pitch)]
                with m.Else():
                    m.d.sync += runs.eq(0)
                    with m.If(~last_x):
                        next_window = window + header.x_pitch
                        m.d.sync += [across.eq(across + 1)]
                        m.d.sync += [signal.eq(next_window) for signal in (window, run, address)]
                    with m.Else():
                        next_line = line + header.y_pitch
                        m.d.sync += [across.eq(0), down.eq(down + 1)]
                        m.d.sync += [signal.eq(next_line) for signal in (line, window, run, address)]
                        with m.If(last_y):
                            m.d.sync += active.eq(0)
        m.d.comb += finished.eq(~active & valid & consumed)
        return position, size, end, valid, consumed

    def _pack(self, m: Module, position, size, end, valid, consumed, reads, begin) -> None:
        """Append each part to the word that is being filled; give the word away when it is full or the window ends."""
        config = self._config
        rows = config.rows
        lane_bits = ceil_log2(rows)

        # bytes position .. position + rows - 1, byte i in lane (position + i) % rows; then turned to lane (filled + i) % rows
        offset = position[:lane_bits]
        odd = position[lane_bits]
        lanes = []
        for lane in range(rows):
            low, high = (
                Mux(odd, reads[1].data[lane], reads[0].data[lane]),
                Mux(odd, reads[0].data[lane], reads[1].data[lane]),
            )
            lanes.append(Mux(offset > lane, high, low))
        filled = Signal(range(rows))
        turned = Signal(8 * rows)
        turn = Signal(lane_bits)
        m.d.comb += [turn.eq(filled - offset), turned.eq(Cat(lanes))]
        rotated = turned
        for bit in range(lane_bits):
            stage = Signal(8 * rows, name=f"turned_{bit}")
            m.d.comb += stage.eq(Mux(turn[bit], rotated.rotate_left(8 << bit), rotated))
            rotated = stage

        kept = Signal(8 * rows)
        total = Signal(range(2 * rows))
        rest = Signal()  # a window's last bytes went into a further word, which leaves now
        crosses = end & (total > rows)
        full = (total >= rows) | end
        m.d.comb += [total.eq(filled + size), self.out.valid.eq(valid & (rest | full))]
        for lane in range(rows):
            new = rotated.word_select(lane, 8)
            old = kept.word_select(lane, 8)
            m.d.comb += self.out.payload.data.word_select(lane, 8).eq(Mux(rest | (lane < filled), old, new))

        moves = valid & (~self.out.valid | self.out.ready)
        m.d.comb += consumed.eq(moves & (rest | ~crosses))
        with m.If(begin):
            m.d.sync += [self.out.payload.word.eq(self.header.destination), filled.eq(0), rest.eq(0)]
        with m.If(moves):
            with m.If(rest | (full & ~crosses)):
                m.d.sync += [rest.eq(0), kept.eq(rotated), filled.eq(Mux(end, 0, total))]
            with m.Elif(crosses):
                m.d.sync += [rest.eq(1), kept.eq(rotated)]
            with m.Else():
                m.d.sync += [kept.eq(self.out.payload.data), filled.eq(total)]
        with m.If(self.out.valid & self.out.ready):
            m.d.sync += self.out.payload.word.eq(self.out.payload.word + 1)
