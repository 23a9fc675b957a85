"""Suite `deep-lock` in hardware: a key schedule and an unlock unit."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from deeplock.hw.lock.key_schedule import KeySchedule
from deeplock.hw.lock.lock import LockSignature
from deeplock.hw.lock.unlock import UnlockUnit
from deeplock.pymodel.spec.config import Config

__all__ = ["Lock"]


class Lock(wiring.Component):
    """Unlocks each parameter section with the key stream from byte 0 on. Samples the key with `start` and at a section's end.

    Latency: 1 cycle. Throughput: one beat a cycle, also from one section to the next.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(LockSignature(config))

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self._config
        m.submodules.key_schedule = schedule = KeySchedule(config.bytes_per_beat, config.sbox, config.key_sizes)
        m.submodules.unlock_unit = unit = UnlockUnit(config.bytes_per_beat, config.sbox)
        connect(m, flipped(self.locked), unit.locked)
        connect(m, schedule.output, unit.key_stream)
        connect(m, unit.plain, flipped(self.plain))
        m.d.comb += [
            schedule.key.eq(self.key.value),
            schedule.key_size.eq(self.key.size),
            schedule.start.eq(self.start),
            schedule.again.eq(unit.plain.payload.last),
            schedule.clear.eq(self.clear),
            unit.clear.eq(self.clear),
            self.starved.eq(unit.starved),
        ]
        return m
