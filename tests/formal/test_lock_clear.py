"""Every register of the lock reads 0 in the cycle after `clear`. Block RAMs are not registers: test_secrecy.py."""

from collections.abc import Iterator
from types import ModuleType

import pytest
from amaranth.hdl import Assert, Fragment, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from deeplock.hw.lock import deep_lock, key_schedule, unlock
from deeplock.hw.lock.lock import LockSignature
from deeplock.pymodel.spec.config import Config
from tests.formal.mutant import mutant
from tests.formal.prover import implies, past, prove

SMALL = Config(rows=4, cols=4, bytes_per_beat=4, key_sizes=(16,))


def registers_of(fragment: Fragment) -> Iterator[Signal]:
    for statement in fragment.statements.get("sync", []):
        yield from statement._lhs_signals()
    for part, *_ in fragment.subfragments:
        yield from registers_of(part)


class Cleared(wiring.Component):
    def __init__(self, config: Config, lock: ModuleType = deep_lock):
        self._lock = lock.Lock(config)
        super().__init__(LockSignature(config))

    def elaborate(self, platform) -> Module:
        m = Module()
        connect(m, flipped(self), self._lock)
        m.submodules.lock = fragment = Fragment.get(self._lock, platform)
        after = past(m, self.clear)
        for register in registers_of(fragment):
            m.d.comb += Assert(implies(after, register == 0))
        return m


@pytest.mark.parametrize(
    "sbox, beat", [("composite", 4), *(pytest.param("lut", beat, marks=pytest.mark.slow) for beat in (8, 16))]
)
def test_clear_zeroises_every_register(sbox, beat, proves):
    config = Config(rows=4, cols=beat, bytes_per_beat=beat, lanes=2, sbox=sbox)
    proves(Cleared(config), "clear zeroises every register of the lock", f"deep-lock, {sbox}, {beat} bytes")


def test_every_register_is_seen():
    bits = {register.name: len(register) for register in registers_of(Fragment.get(deep_lock.Lock(SMALL), None))}
    assert {f"word_{index}": 32 for index in range(4)}.items() <= bits.items()
    assert bits["substituted"] == 8 * SMALL.bytes_per_beat


@pytest.mark.parametrize(
    "module, right, wrong",
    [
        (key_schedule, "[Cat(words).eq(0), phase", "[Cat(words[1:]).eq(0), phase"),
        (key_schedule, "rest.eq(0) if same_beat else late.eq(0)", "rest.eq(0) if same_beat else []"),
        (key_schedule, "m.d.comb += to_sbox.eq(0)", "pass"),
        (unlock, "m.d.sync += substituted.eq(0)", "pass"),
    ],
)
def test_a_lock_that_keeps_something_is_refuted(module, right, wrong):
    name = {key_schedule: "KeySchedule", unlock: "UnlockUnit"}[module]
    faulty = mutant(deep_lock, **{name: getattr(mutant(module, right, wrong), name)})
    assert not prove(Cleared(SMALL, faulty)).proved
