"""Ofmap buffer: routes results to the activation memory or the ofmap stream."""

from amaranth import Module, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from deeplock.hw.basics.layouts import beat_layout, write_layout
from deeplock.hw.families.placement import IN_BLOCKS
from deeplock.hw.post.post import result_layout
from deeplock.pymodel.spec.config import Config

__all__ = ["OFMAP_BEATS", "OfmapBuffer"]

OFMAP_BEATS = 32
"""Depth of the buffer: more than the results that can be in flight in array and post-processor."""


class OfmapBuffer(wiring.Component):
    """Passes a layer's results to the activation memory or, with `to_stream`, buffers them for the ofmap stream.

    Latency: 0 cycles to the activation memory, 2 to the stream. Throughput: one result a cycle; the issue stage ensures that
    there is room.

    Members:
        results     from the post-processor
        to_stream   the running layer's results are the ofmap
        last_layer  the running layer's last result ends the packet
        words       writes to the activation memory, which is always ready
        ofmap       the ofmap stream
        level       beats in the buffer
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "results": In(stream.Signature(result_layout(config), always_ready=True)),
                "to_stream": In(1),
                "last_layer": In(1),
                "words": Out(stream.Signature(write_layout(config, config.lanes))),
                "ofmap": Out(stream.Signature(beat_layout(config.lanes, keep=True))),
                "level": Out(range(OFMAP_BEATS + 1)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        result, word = self.results.payload, self.words.payload
        stored = self.results.valid & self.to_stream
        m.d.comb += [
            self.words.valid.eq(self.results.valid & ~self.to_stream),
            word.address.eq(result.address),
            word.data.eq(result.data),
            word.keep.eq(result.keep),
        ]

        # a library's FIFO would put its memory into LUTs. The block's output register holds the beat that is shown
        m.submodules.memory = store = memory.Memory(
            shape=self.ofmap.payload.shape(), depth=OFMAP_BEATS, init=[], attrs=IN_BLOCKS
        )
        write, read = store.write_port(), store.read_port()
        write_at, read_at = Signal.like(write.addr), Signal.like(read.addr)
        waiting = Signal.like(self.level)  # beats that are not shown yet
        m.d.comb += [
            write.addr.eq(write_at),
            read.addr.eq(read_at),
            write.en.eq(stored),
            write.data.data.eq(result.data),
            write.data.keep.eq(result.keep),
            write.data.last.eq(result.last & self.last_layer),
            read.en.eq((waiting != 0) & (~self.ofmap.valid | self.ofmap.ready)),
            self.ofmap.payload.eq(read.data),
            self.level.eq(waiting + self.ofmap.valid),
        ]
        m.d.sync += [
            write_at.eq(write_at + stored),
            read_at.eq(read_at + read.en),
            waiting.eq(waiting + stored - read.en),
            self.ofmap.valid.eq(read.en | (self.ofmap.valid & ~self.ofmap.ready)),
        ]
        return m
