"""Where secrets and control share wires, at the register file, in sections and lock, and in the lock after `clear`, secrets
show nowhere but at the outputs for them: two copies that get different secrets cannot be told apart."""

from types import ModuleType

import pytest
from amaranth.hdl import Assert, Assume, Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from deeplock.hw.basics.bundles import Part
from deeplock.hw.control import registers, sections
from deeplock.hw.lock import deep_lock, key_schedule
from deeplock.hw.lock.lock import LockSignature
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.registers import address
from tests.features import LEAN
from tests.formal.mutant import mutant
from tests.formal.prover import prove, stays
from tests.formal.twins import Twins

CONFIGS = {
    "deep-lock 8x8": Config(),
    "deep-lock 4x4 lean": Config(rows=4, cols=4, bytes_per_beat=4, key_sizes=(16,), **LEAN),
}
LICENSED = "acorn 8x8 licences"
LEAN_4X4 = CONFIGS["deep-lock 4x4 lean"]
KEY_WORDS = [address(f"KEY{index}") >> 2 for index in range(8)]


class KeyWrites(Twins):
    """The bus writes different words to the key registers. It keeps an address until that is taken."""

    secret, hidden = "s_axil_wdata", frozenset({"key_value", "key_data"})

    def __init__(self, config: Config, registers: ModuleType = registers):
        super().__init__(registers.RegisterFile(config), registers.RegisterFile(config))

    def differs(self, m):
        bus = self.first.s_axil
        m.d.comb += Assume(stays(m, bus.awvalid, bus.awready, bus.awaddr))
        return Cat(bus.awaddr[2:8] == word for word in KEY_WORDS).any().replicate(32)


class Beats(Twins):
    """All beats differ, but for their `last`."""

    secret, hidden = "inlet_payload", frozenset({"outlet_payload"})

    def __init__(self, config: Config, sections: ModuleType = sections):
        super().__init__(sections.Sections(config), sections.Sections(config))

    def differs(self, m):
        m.d.comb += Assert(self.first.outlet.payload.part == self.second.outlet.payload.part)
        m.d.comb += Assert(self.first.outlet.payload.last == self.second.outlet.payload.last)
        return Const(1).replicate(len(self.first.inlet.payload.data))


class Offering(wiring.Component):
    """A lock that shows a beat only while it offers it: what a block RAM holds after power-up is undefined."""

    def __init__(self, config: Config, lock: ModuleType):
        self._lock = lock.Lock(config)
        super().__init__(LockSignature(config))

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.lock = lock = self._lock
        connect(m, flipped(self), lock)
        for shown, inner in ((self.head, lock.head), (self.plain, lock.plain)):
            m.d.comb += shown.payload.eq(Mux(inner.valid, inner.payload, 0))
        return m


class Locked(Twins):
    """Beats of parameters differ, but for their `last`."""

    secret, hidden = "locked_payload", frozenset({"plain_payload"})

    def __init__(self, config: Config, lock: ModuleType = deep_lock):
        super().__init__(Offering(config, lock), Offering(config, lock))

    def differs(self, m):
        in_parameters = self.first.locked.payload.part == Part.PARAMETERS
        return in_parameters.replicate(len(self.first.locked.payload.data))


class KeyBeforeClear(Twins):
    """The keys differ up to `clear`, and what comes out is compared after it."""

    secret = "key_value"

    def __init__(self, config: Config, lock: ModuleType = deep_lock):
        super().__init__(Offering(config, lock), Offering(config, lock))

    def cleared(self, m):
        cleared = Signal()
        with m.If(self.first.clear):
            m.d.sync += cleared.eq(1)
        return cleared

    def differs(self, m):
        return ~self.cleared(m).replicate(256)

    def compared(self, m, output):
        return self.cleared(m)


@pytest.mark.parametrize("name", [*CONFIGS, LICENSED])
def test_nothing_shows_what_the_key_is(name, proves):
    config = CONFIGS.get(name) or Config(suite="acorn", licences=True)
    proves(KeyWrites(config), "no output but the key depends on the data of key writes", f"registers, {name}")


@pytest.mark.parametrize("suite", ["deep-lock", "acorn", "tinyjambu"])
def test_what_beats_hold_tells_no_parts_apart(suite, proves):
    harness = Beats(Config(suite=suite))
    proves(harness, "no output but the beats depends on the data of beats", f"sections, {suite} 8x8")


@pytest.mark.parametrize("name", CONFIGS)
def test_nothing_shows_what_locked_parameters_are(name, proves):
    harness = Locked(CONFIGS[name])
    proves(harness, "no output but the plain parameters depends on the data of locked ones", f"lock, {name}")


@pytest.mark.slow
@pytest.mark.parametrize("beat", [4, 16])
def test_after_clear_nothing_shows_what_the_key_was(beat, proves):
    config = Config(rows=4, cols=beat, bytes_per_beat=beat, lanes=2, key_sizes=(16,), sbox="rom")
    proves(KeyBeforeClear(config), "after clear no output depends on an earlier key", f"deep-lock, rom, {beat} bytes")


KEY_BITS = "self.key.value[:32]"


@pytest.mark.parametrize(
    "right, wrong",
    [
        ("counters.word | other", f"counters.word | other | {KEY_BITS}"),
        ("bus.arvalid & ~bus.arready", f"bus.arvalid & ~{KEY_BITS}[7] & ~bus.arready"),
        ("m.d.sync += word.eq(wdata)", "m.d.sync += [word.eq(wdata), self.s_axil.bresp.eq(wdata)]"),
        ("m.d.sync += control.command.eq(0)", f"m.d.sync += control.command.eq({KEY_BITS}.all())"),
    ],
)
def test_a_register_file_that_leaks_is_refuted(right, wrong):
    assert not prove(KeyWrites(LEAN_4X4, mutant(registers, right, wrong))).proved


@pytest.mark.parametrize(
    "right, wrong",
    [
        ("inlet.payload.last ^ packet_ends", "(inlet.payload.last ^ packet_ends) | inlet.payload.data.all()"),
        ("m.d.sync += state.eq(then)", "m.d.sync += state.eq(Mux(inlet.payload.data.all(), _State.DONE, then))"),
    ],
)
def test_sections_that_leak_are_refuted(right, wrong):
    assert not prove(Beats(CONFIGS["deep-lock 8x8"], mutant(sections, right, wrong))).proved


@pytest.mark.parametrize(
    "right, wrong",
    [
        ("head.valid.eq(locked.valid & in_head)", "head.valid.eq(locked.valid)"),
        ("self.starved.eq(unit.starved)", "self.starved.eq(unit.starved | unit.plain.payload.data.all())"),
    ],
)
def test_a_lock_that_shows_parameters_is_refuted(right, wrong):
    assert not prove(Locked(LEAN_4X4, mutant(deep_lock, right, wrong))).proved


def test_a_lock_that_goes_on_after_clear_is_refuted():
    stays = mutant(key_schedule, "[Cat(words).eq(0), phase.eq(0), rcon.eq(0), active.eq(0)]", "[phase.eq(0)]")
    faulty = mutant(deep_lock, KeySchedule=stays.KeySchedule)
    assert not prove(KeyBeforeClear(LEAN_4X4, faulty)).proved
