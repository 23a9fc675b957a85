"""Post-processing: requantise, max-pool and address the accumulators that leave the array."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import Entry, post_fields, tag_layout
from hw.requantise import Requantiser
from pymodel.config import Config

__all__ = ["EntryWrite", "PostProcessor"]


def EntryWrite(config: Config) -> wiring.Signature:
    """Writes the requantise entries of the lanes in `lanes`, of chunk `chunk` of a column group, into bank `bank`."""
    return wiring.Signature(
        {
            "lanes": Out(config.lanes),
            "bank": Out(1),
            "chunk": Out(range(max(2, config.cols // config.lanes))),
            "entries": Out(data.ArrayLayout(Entry, config.lanes)),
        }
    )


class PostProcessor(wiring.Component):
    """Takes the totals of one pixel, `lanes` channels (a chunk) a cycle, through requantise and max-pool.

    Pooling keeps the running maximum of a window, whose pixels come one after another. Two banks of entries take turns, one
    per column group, so that the next group's arrive while this one's are in use.

    Latency: `LATENCY` cycles from `valid` to the first `out.valid` of a window's last pixel. Throughput: one chunk a cycle,
    so cols / lanes cycles a pixel; pixels must not come closer.

    Members:
        entries        written by the weight loader
        fields         of the layer; `start` in their first cycle
        valid, totals, tag   finished accumulators of one pixel
        out            one chunk: `data`, `word` and `chunk` (position in the word) in the activation memory, `keep` for the
                       valid bytes, `last` for the last one of the layer
        group_done     pulse: a column group has left, its entries are free
        layer_done     pulse: a layer has left
        retired        pulse: a pixel has left
    """

    LATENCY = Requantiser.LATENCY + 3

    def __init__(self, config: Config):
        self._config = config
        self._chunks = config.cols // config.lanes
        out = data.StructLayout(
            {
                "data": data.ArrayLayout(signed(8), config.lanes),
                "word": range(config.activation_words),
                "chunk": range(max(2, config.rows // config.lanes)),
                "keep": config.lanes,
                "last": 1,
            }
        )
        super().__init__(
            {
                "entries": In(EntryWrite(config)),
                "fields": In(post_fields),
                "start": In(1),
                "valid": In(1),
                "totals": In(data.ArrayLayout(signed(32), config.cols)),
                "tag": In(tag_layout(config)),
                "out_valid": Out(1),
                "out": Out(out),
                "group_done": Out(1),
                "layer_done": Out(1),
                "retired": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config, chunks = self._config, self._chunks
        lanes = config.lanes

        # one pixel's totals move past the lanes, a chunk a cycle
        hold = Signal(data.ArrayLayout(signed(32), config.cols))
        tag = Signal.like(self.tag)
        step = Signal(range(max(2, chunks)))
        busy = Signal()
        final_step = step == chunks - 1
        bank = Signal()
        with m.If(self.valid):
            m.d.sync += [hold.eq(self.totals), tag.eq(self.tag), step.eq(0), busy.eq(1)]
        with m.Elif(busy):
            m.d.sync += [Cat(hold).eq(hold.as_value() >> (32 * lanes)), step.eq(step + 1), busy.eq(~final_step)]
        with m.If(busy & final_step & tag.pixel_last):
            m.d.sync += bank.eq(~bank)

        ports = []
        lane_data = data.ArrayLayout(Entry, lanes)
        entries = Signal(lane_data)
        for lane in range(lanes):
            m.submodules[f"entries_{lane}"] = store = memory.Memory(shape=Entry, depth=2 * chunks, init=[])
            write = store.write_port()
            at = Cat(self.entries.chunk[: chunks.bit_length() - 1], self.entries.bank)
            m.d.comb += [
                write.addr.eq(at),
                write.data.eq(self.entries.entries[lane]),
                write.en.eq(self.entries.lanes[lane]),
            ]
            read = store.read_port()
            ports.append(read)
            m.d.comb += entries[lane].eq(read.data)
        # the entry of a chunk is read in the cycle before the chunk reaches the lanes
        chunk = Signal(data.ArrayLayout(signed(32), lanes))
        m.d.sync += [chunk[lane].eq(hold[lane]) for lane in range(lanes)]
        for read in ports:
            m.d.comb += read.addr.eq(Cat(step[: chunks.bit_length() - 1], bank))

        values = Signal(data.ArrayLayout(signed(8), lanes))
        for lane in range(lanes):
            m.submodules[f"lane_{lane}"] = requantiser = Requantiser()
            m.d.comb += [
                requantiser.accumulator.eq(chunk[lane]),
                requantiser.entry.eq(entries[lane]),
                requantiser.narrow.eq(self.fields.narrow),
                requantiser.zero_point.eq(self.fields.zero_point),
                requantiser.lo.eq(self.fields.lo),
                requantiser.hi.eq(self.fields.hi),
                values[lane].eq(requantiser.out),
            ]

        beside = Cat(busy, step, tag)
        for stage in range(Requantiser.LATENCY + 1):
            delayed = Signal(len(beside), name=f"beside_{stage}")
            m.d.sync += delayed.eq(beside)
            beside = delayed
        valid, at = Signal(), Signal.like(step)
        done = Signal.like(self.tag)
        m.d.comb += Cat(valid, at, done).eq(beside)
        self._pool_and_write(m, valid, at, done, values)
        return m

    def _pool_and_write(self, m: Module, valid: Signal, chunk: Signal, tag, values) -> None:
        config, chunks = self._config, self._chunks
        lanes, per_word = config.lanes, config.rows // config.lanes

        best = Signal(data.ArrayLayout(data.ArrayLayout(signed(8), lanes), chunks))
        inside = Signal()  # not the first pixel of its window
        maxima = Signal(data.ArrayLayout(signed(8), lanes))
        for lane in range(lanes):
            before = best[chunk][lane] if chunks > 1 else best[0][lane]
            m.d.comb += maxima[lane].eq(Mux(inside & (before > values[lane]), before, values[lane]))
        with m.If(valid):
            m.d.sync += (best[chunk] if chunks > 1 else best[0]).eq(maxima)

        final_chunk = chunk == chunks - 1
        with m.If(valid & final_chunk):
            m.d.sync += inside.eq(~tag.window_last)

        group_word = Signal(16)
        pixel_word = Signal(16)
        next_group = group_word + config.cols // config.rows
        with m.If(self.start):
            m.d.sync += [group_word.eq(self.fields.destination), pixel_word.eq(self.fields.destination)]
        with m.Elif(valid & final_chunk & tag.pixel_last):
            m.d.sync += [group_word.eq(next_group), pixel_word.eq(next_group)]
        with m.Elif(valid & final_chunk & tag.window_last):
            m.d.sync += pixel_word.eq(pixel_word + self.fields.pixel_words)

        first_column = Signal(range(config.cols))
        keep = Signal(lanes)
        m.d.comb += first_column.eq(chunk * lanes)
        for lane in range(lanes):
            m.d.comb += keep[lane].eq(~tag.final | (first_column + lane < self.fields.last_columns))
        leaves = valid & final_chunk & tag.pixel_last
        last_chunk = first_column + lanes >= self.fields.last_columns
        m.d.sync += [
            self.out_valid.eq(valid & tag.window_last & keep.any()),
            self.out.data.eq(maxima),
            self.out.word.eq(pixel_word + (chunk >> (per_word - 1).bit_length())),
            self.out.chunk.eq(chunk % per_word),
            self.out.keep.eq(keep),
            self.out.last.eq(tag.final & tag.pixel_last & last_chunk),
            self.group_done.eq(leaves),
            self.layer_done.eq(leaves & tag.final),
            self.retired.eq(valid & final_chunk),
        ]
