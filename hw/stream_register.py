"""Stream register: a stream whose `valid` and payload come from registers."""

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["StreamRegister"]


class StreamRegister(wiring.Component):
    """Latency: 1 cycle. Throughput: one item a cycle.

    Arguments:
        shape  of the items
    """

    def __init__(self, shape):
        super().__init__({"inlet": In(stream.Signature(shape)), "outlet": Out(stream.Signature(shape))})

    def elaborate(self, platform) -> Module:
        m = Module()
        inlet, outlet = self.inlet, self.outlet
        valid, held = Signal(), Signal.like(inlet.payload, reset_less=True)
        m.d.comb += [inlet.ready.eq(~valid | outlet.ready), outlet.valid.eq(valid), outlet.payload.eq(held)]
        with m.If(inlet.ready):
            m.d.sync += [valid.eq(inlet.valid), held.eq(inlet.payload)]
        return m
