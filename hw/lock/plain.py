"""Suite `plain` in hardware: wires."""

from amaranth import Module, Mux
from amaranth.lib import wiring

from deeplock.hw.basics.bundles import Part
from deeplock.hw.lock.lock import LockSignature
from deeplock.pymodel.spec.config import Config

__all__ = ["Lock"]


class Lock(wiring.Component):
    """Passes all beats unchanged. Latency: 0 cycles. Throughput: one beat a cycle."""

    def __init__(self, config: Config):
        super().__init__(LockSignature(config))

    def elaborate(self, platform) -> Module:
        m = Module()
        locked, head, plain = self.locked, self.head, self.plain
        in_head = locked.payload.part == Part.HEAD
        for outlet, here in ((head, in_head), (plain, ~in_head)):
            m.d.comb += [
                outlet.payload.data.eq(locked.payload.data),
                outlet.payload.last.eq(locked.payload.last),
                outlet.valid.eq(locked.valid & here),
            ]
        m.d.comb += [locked.ready.eq(Mux(in_head, head.ready, plain.ready)), self.trusted.eq(1)]
        return m
