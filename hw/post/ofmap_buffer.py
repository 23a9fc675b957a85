"""Ofmap buffer: routes results to the activation memory or the ofmap stream."""

from amaranth import Cat, Module
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect, flipped

from deeplock.hw.basics.layouts import beat_layout, write_layout
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
        width = self.ofmap.payload.shape().size
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=width, depth=OFMAP_BEATS)
        m.d.comb += [
            self.words.valid.eq(self.results.valid & ~self.to_stream),
            word.address.eq(result.address),
            word.data.eq(result.data),
            word.keep.eq(result.keep),
            fifo.w_stream.valid.eq(self.results.valid & self.to_stream),
            fifo.w_stream.payload.eq(Cat(result.data, result.keep, result.last & self.last_layer)),
            self.level.eq(fifo.level),
        ]
        connect(m, fifo.r_stream, flipped(self.ofmap))
        return m
