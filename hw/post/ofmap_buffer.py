"""Ofmap buffer: routes results to the activation memory or the ofmap stream."""

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from deeplock.hw.basics.layouts import beat_layout, write_layout
from deeplock.hw.families.placement import IN_BLOCKS
from deeplock.hw.post.post import result_layout
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.licence import CLASSES

__all__ = ["OfmapBuffer", "buffer_beats"]


def buffer_beats(config: Config) -> int:
    """Depth of the buffer: more than the results that can be in flight in array and post-processor."""
    return config.ofmap_bytes // config.lanes


class OfmapBuffer(wiring.Component):
    """Passes a layer's results to the activation memory or, with `to_stream`, buffers them for the ofmap stream. If the suite
    seals, a packet waits until it is released. With permissions, outputs that the licence does not show read -128.

    Latency: 0 cycles to the activation memory, `latency` to the stream: 2, or with permissions and `config.pipeline_registers`
    3; 1 from `release` to the stream. Throughput: one result a cycle; if the suite seals, a cycle more for each packet. The
    issue stage ensures that there is room.

    Members:
        results     from the post-processor
        to_stream   the running layer's results are the ofmap
        last_layer  the running layer's last result ends the packet
        words       writes to the activation memory, which is always ready
        classes     with permissions: mask of the outputs that show, by their place in the ofmap; all from the last on share its
                    bit
        release     pulse, once for each packet, if the suite seals: it may leave, as far as it has come and further
        ofmap       the ofmap stream
        level       beats in the buffer
        delivering  there are some, and they may leave
    """

    def __init__(self, config: Config):
        self._config = config
        self.latency = 2 + (config.permissions and config.pipeline_registers)
        super().__init__(
            {
                "results": In(stream.Signature(result_layout(config), always_ready=True)),
                "to_stream": In(1),
                "last_layer": In(1),
                "words": Out(stream.Signature(write_layout(config, config.lanes))),
                "release": In(1),
                "classes": In(CLASSES),
                "ofmap": Out(stream.Signature(beat_layout(config.lanes, keep=True))),
                "level": Out(range(buffer_beats(config) + 1)),
                "delivering": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        result, word = self.results.payload, self.words.payload
        comes = self.results.valid & self.to_stream
        m.d.comb += [
            self.words.valid.eq(self.results.valid & ~self.to_stream),
            word.address.eq(result.address),
            word.data.eq(result.data),
            word.keep.eq(result.keep),
        ]

        # a library's FIFO would put its memory into LUTs. The block's output register holds the beat that is shown
        m.submodules.memory = store = memory.Memory(
            shape=self.ofmap.payload.shape(), depth=buffer_beats(self._config), init=[], attrs=IN_BLOCKS
        )
        write, read = store.write_port(), store.read_port()
        write_at, read_at = Signal.like(write.addr), Signal.like(read.addr)
        waiting = Signal.like(self.level)  # beats that are not shown yet
        shown, leaves = Signal(), Signal()
        # what the licence shows of a result is decided in a cycle of its own
        domain = m.d.sync if self.latency > 2 else m.d.comb
        beat, stored = Signal.like(write.data), Signal()
        domain += [
            stored.eq(comes),
            beat.data.eq(self._permitted(result) if self._config.permissions else result.data),
            beat.keep.eq(result.keep),
            beat.last.eq(result.last & self.last_layer),
        ]
        released = self._released(m, leaves & self.ofmap.payload.last) if suite(self._config.suite).seals else Const(1)
        m.d.comb += [
            write.addr.eq(write_at),
            read.addr.eq(read_at),
            write.en.eq(stored),
            write.data.eq(beat),
            read.en.eq((waiting != 0) & (~shown | leaves)),
            self.ofmap.payload.eq(read.data),
            self.ofmap.valid.eq(shown & released),
            leaves.eq(self.ofmap.valid & self.ofmap.ready),
            self.delivering.eq((self.level != 0) & released),
        ]
        m.d.sync += [
            write_at.eq(write_at + stored),
            read_at.eq(read_at + read.en),
            waiting.eq(waiting + stored - read.en),
            shown.eq(read.en | (shown & ~leaves)),
            self.level.eq(self.level + comes - leaves),  # counted, because the issue stage decides from it
        ]
        return m

    def _permitted(self, result: data.View) -> Value:
        """The result's bytes, -128 in place of what is not to be seen. Of an ofmap, `address` is the first byte's place."""
        shown = []
        for lane in range(self._config.lanes):
            place = (result.address + lane)[: len(result.address)]
            beyond = place[CLASSES.bit_length() - 1 :].any()
            shows = Mux(beyond, self.classes[-1], self.classes.bit_select(place[: CLASSES.bit_length() - 1], 1))
            shown.append(Mux(shows, result.data[lane], -128)[:8])
        return Cat(shown)

    def _released(self, m: Module, packet_leaves: Value) -> Value:
        """Whether the packet that comes next may leave."""
        packets, released = Signal.like(self.level), Signal()  # released ones that have not left
        left, gone = Signal.like(packets), Signal()
        # `gone` is registered: whether a beat is the last one comes late from the memory. The next packet waits for it
        m.d.comb += left.eq(packets + self.release - gone)
        m.d.sync += [gone.eq(packet_leaves), packets.eq(left), released.eq(left != 0)]
        return released & ~gone
