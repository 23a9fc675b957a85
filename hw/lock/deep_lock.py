"""Suite `deep-lock` in hardware: a key schedule and an unlock unit."""

from amaranth import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from deeplock.hw.basics.bundles import Part
from deeplock.hw.lock.key_schedule import KeySchedule
from deeplock.hw.lock.lock import LockSignature
from deeplock.hw.lock.unlock import UnlockUnit
from deeplock.pymodel.spec.config import Config

__all__ = ["Lock"]


class Lock(wiring.Component):
    """Unlocks each inference's parameters with the key stream from byte 0 on. Samples the key with `start` and at their end.

    Latency: 1 cycle; 0 for the head, which passes unchanged. Throughput: one beat a cycle, also from one inference to the next.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(LockSignature(config))

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self._config
        m.submodules.key_schedule = schedule = KeySchedule(config.bytes_per_beat, config.sbox, config.key_sizes)
        m.submodules.unlock_unit = unit = UnlockUnit(config.bytes_per_beat, config.sbox)
        connect(m, schedule.output, unit.key_stream)
        connect(m, unit.plain, flipped(self.plain))
        locked, head = self.locked, self.head
        in_head = locked.payload.part == Part.HEAD
        m.d.comb += [
            unit.locked.payload.data.eq(locked.payload.data),
            unit.locked.payload.last.eq(locked.payload.last),
            unit.locked.valid.eq(locked.valid & ~in_head),
            head.payload.data.eq(locked.payload.data),
            head.payload.last.eq(locked.payload.last),
            head.valid.eq(locked.valid & in_head),
            locked.ready.eq(Mux(in_head, head.ready, unit.locked.ready)),
            self.trusted.eq(1),
            schedule.key.eq(self.key.value),
            schedule.key_size.eq(self.key.size),
            schedule.start.eq(self.start),
            schedule.again.eq(unit.plain.payload.last),
            schedule.clear.eq(self.clear),
            unit.clear.eq(self.clear),
            self.starved.eq(unit.starved),
        ]
        return m
