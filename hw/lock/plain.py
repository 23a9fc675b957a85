"""Suite `plain` in hardware: wires."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from deeplock.hw.lock.lock import LockSignature
from deeplock.pymodel.spec.config import Config

__all__ = ["Lock"]


class Lock(wiring.Component):
    """Passes parameters unchanged. Latency: 0 cycles. Throughput: one beat a cycle."""

    def __init__(self, config: Config):
        super().__init__(LockSignature(config))

    def elaborate(self, platform) -> Module:
        m = Module()
        connect(m, flipped(self.locked), flipped(self.plain))
        return m
