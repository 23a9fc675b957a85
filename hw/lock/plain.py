"""Suite `plain` in hardware: wires."""

from amaranth import Module
from amaranth.lib import wiring

from deeplock.hw.lock.lock import LockSignature
from deeplock.pymodel.spec.config import Config

__all__ = ["Lock"]


class Lock(wiring.Component):
    """Passes all beats unchanged. Latency: 0 cycles. Throughput: one beat a cycle."""

    def __init__(self, config: Config):
        super().__init__(LockSignature(config))

    def elaborate(self, platform) -> Module:
        m = Module()
        locked, plain = self.locked, self.plain
        m.d.comb += [
            plain.payload.data.eq(locked.payload.data),
            plain.payload.last.eq(locked.payload.last),
            plain.valid.eq(locked.valid),
            locked.ready.eq(plain.ready),
            self.trusted.eq(1),
        ]
        return m
