"""Skid buffer: a stream whose `ready` comes from a register."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SkidBuffer"]


class SkidBuffer(wiring.Component):
    """Keeps what comes in the cycle in which `outlet` stops, so that the way from there to `inlet` is cut. While nothing is
    kept, what `inlet` shows is: after a reset nothing of before stays.

    Latency: 0 cycles. Throughput: one item a cycle.

    Arguments:
        shape  of the items
    """

    def __init__(self, shape):
        super().__init__({"inlet": In(stream.Signature(shape)), "outlet": Out(stream.Signature(shape))})

    def elaborate(self, platform) -> Module:
        m = Module()
        inlet, outlet = self.inlet, self.outlet
        full = Signal()
        kept = Signal.like(inlet.payload, reset_less=True)
        m.d.sync += full.eq(outlet.valid & ~outlet.ready)
        with m.If(~full):
            m.d.sync += kept.eq(inlet.payload)
        m.d.comb += [
            inlet.ready.eq(~full),
            outlet.valid.eq(full | inlet.valid),
            outlet.payload.eq(Mux(full, kept, inlet.payload)),
        ]
        return m
