"""Packet gate: drops the rest of a packet that is no longer wanted."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["PacketGate"]


class PacketGate(wiring.Component):
    """Passes a stream of packets. After `stop` in mid-packet it takes and drops the beats up to the packet's last one.

    A second `stop` ends the dropping, for a sender that has abandoned the packet. Latency: 0 cycles. Throughput: one beat a
    cycle.

    Members:
        inlet, outlet  beats with a `last` flag
        stop           pulse
        flushing       beats are being dropped
    """

    def __init__(self, beat: data.StructLayout):
        super().__init__(
            {
                "inlet": In(stream.Signature(beat)),
                "outlet": Out(stream.Signature(beat)),
                "stop": In(1),
                "flushing": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        inside = Signal()
        still_inside = Signal()
        accept = self.inlet.valid & self.inlet.ready
        m.d.comb += [
            self.outlet.payload.eq(self.inlet.payload),
            self.outlet.valid.eq(self.inlet.valid & ~self.flushing),
            self.inlet.ready.eq(self.outlet.ready | self.flushing),
            still_inside.eq(Mux(accept, ~self.inlet.payload.last, inside)),
        ]
        m.d.sync += inside.eq(still_inside)
        with m.If(self.stop):
            m.d.sync += self.flushing.eq(still_inside & ~self.flushing)
            with m.If(self.flushing):
                m.d.sync += inside.eq(0)
        with m.Elif(~still_inside):
            m.d.sync += self.flushing.eq(0)
        return m
