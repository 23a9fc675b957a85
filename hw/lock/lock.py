"""What a lock suite is in hardware: the one file that knows which suite the accelerator has."""

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from deeplock.hw.basics.layouts import beat_layout
from deeplock.hw.lock.key_schedule import KeySchedule, KeySize
from deeplock.hw.lock.unlock import UnlockUnit
from deeplock.pymodel.lock.key_schedule import KEY_SIZES
from deeplock.pymodel.lock.suites import SUITES
from deeplock.pymodel.spec.config import Config

__all__ = ["Lock", "MasterKey"]


class MasterKey(wiring.Signature):
    """A master key on its way into the lock.

    Members:
        value  byte 0 in bits 7..0
        size   in bytes: 16, 24 or 32
    """

    def __init__(self):
        super().__init__({"value": Out(256), "size": Out(6)})


class Lock(wiring.Component):
    """Locked parameters in, plain parameters out; for suite `plain` wires.

    Every parameter section (up to `last`) meets the key stream from byte 0 on.

    Latency: 1 cycle, `plain` 0. Throughput: one beat a cycle, also from one section to the next.

    Members:
        key            sampled with `start` and at the end of every section
        start          pulse: a run begins
        clear          drop and zeroise what is inside
        locked, plain  the parameters
        starved        a locked beat is inside and waits for the key stream
    """

    def __init__(self, config: Config):
        self._config = config
        self._locks = SUITES[config.suite].locks
        beats = stream.Signature(beat_layout(config.bytes_per_beat))
        super().__init__(
            {
                "key": In(MasterKey()),
                "start": In(1),
                "clear": In(1),
                "locked": In(beats),
                "plain": Out(beats),
                "starved": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self._config
        if not self._locks:
            connect(m, flipped(self.locked), flipped(self.plain))
            return m
        m.submodules.key_schedule = schedule = KeySchedule(config.bytes_per_beat, config.sbox, config.key_sizes)
        m.submodules.unlock_unit = unit = UnlockUnit(config.bytes_per_beat, config.sbox, SUITES[config.suite].sbox)
        connect(m, flipped(self.locked), unit.locked)
        connect(m, schedule.output, unit.key_stream)
        connect(m, unit.plain, flipped(self.plain))
        m.d.comb += [
            schedule.key.eq(self.key.value),
            schedule.start.eq(self.start),
            schedule.again.eq(unit.plain.payload.last),
            schedule.clear.eq(self.clear),
            unit.clear.eq(self.clear),
            self.starved.eq(unit.starved),
        ]
        with m.Switch(self.key.size):
            for size, key_bytes in zip(KeySize, KEY_SIZES, strict=True):
                with m.Case(key_bytes):
                    m.d.comb += schedule.key_size.eq(size)
        return m
