"""Secrets influence nothing but the data of the ofmap stream: no AXI4-Lite output, no interrupt, no handshake, no end of a
packet. Secrets are the key, the parameters from the lock on, and ifmaps; so are all that is made of them, and the memories that
hold it. Cycles and counters are then the same whatever the secrets are.

The walk follows structure, so what it does not find is not there, whatever the state. Where the lock's plain parameters leave
it is cut: the key's ways must end there, and the parameters enter as an input of their own. What is locked goes the head's way
up to the lock; that it shows nowhere is proved in test_secrecy.py.
"""

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from deeplock.hw import accelerator
from deeplock.hw.control import registers
from deeplock.hw.feed import issue, weight_loader
from deeplock.hw.lock.lock import LockSignature, lock_of
from deeplock.pymodel.spec.config import Config
from tests.features import LEAN
from tests.formal.influence import Netlist
from tests.formal.mutant import mutant

SMALL = {"rows": 4, "cols": 4, "bytes_per_beat": 4, "activation_words": 64, "accumulators": 16, "ifmap_bytes": 64}
CONFIGS = {
    "plain 4x4": Config(suite="plain", **SMALL),
    "plain 4x4 with tables and products": Config(suite="plain", tables=True, products=True, **SMALL),
    "plain 4x4 lean": Config(suite="plain", **SMALL | LEAN),
    "deep-lock 4x4": Config(**SMALL),
    "deep-lock 4x4 lean": Config(**SMALL | LEAN, key_sizes=(16,), sbox="composite"),
    "deep-lock 16x16": Config(rows=16, cols=16, bytes_per_beat=16, sbox="rom"),
}
DATA = "m_axis_ofmap__tdata"
CARRIERS = (
    "array.weights__data",
    "weight_loader.entries__entries",
    "array.sums__columns",
    "accumulator.totals__payload",
    "activation_memory.words__word",
)
"""Nets of the accelerator that carry what is made of the secrets; the first two not what is made of ifmaps."""


class CutLock(wiring.Component):
    """A lock whose plain parameters are `opened`; `parameters` go on in their place."""

    def __init__(self, config: Config):
        self._lock = lock_of(config)
        super().__init__(LockSignature(config))
        self.opened = Signal(self.plain.payload.shape())
        self.parameters = Signal(8 * config.bytes_per_beat)

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.lock = lock = self._lock
        connect(m, flipped(self), lock)
        m.d.comb += [self.opened.eq(lock.plain.payload), self.plain.payload.data.eq(self.parameters)]
        return m


class Cut(wiring.Component):
    """An accelerator with such a lock, whose wires are ports of its own; `faulty` are components in place of its own."""

    def __init__(self, config: Config, **faulty):
        self._lock = CutLock(config)
        self._accelerator = mutant(accelerator, lock_of=lambda config: self._lock, **faulty).Accelerator(config)
        wires = {"opened": Out(self._lock.opened.shape()), "parameters": In(8 * config.bytes_per_beat)}
        super().__init__(dict(self._accelerator.signature.members) | wires)

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.accelerator = self._accelerator
        for name in self._accelerator.signature.members:
            if name != "irq":
                connect(m, flipped(getattr(self, name)), getattr(self._accelerator, name))
        m.d.comb += self.irq.eq(self._accelerator.irq)
        m.d.comb += [self._lock.parameters.eq(self.parameters), self.opened.eq(self._lock.opened)]
        return m


def secrets_of(config: Config, **faulty) -> tuple[Netlist, dict[str, list[int]]]:
    """The accelerator's netlist, and the bits of its secrets."""
    netlist = Netlist(Cut(config, **faulty))
    secrets = {"parameters": netlist.bits["parameters"], "ifmap": netlist.bits["s_axis_ifmap__tdata"]}
    if config.key_sizes:
        secrets["key"] = netlist.bits["accelerator.registers.key__value"]
    return netlist, secrets


def leaks(netlist: Netlist, secret: list[int]) -> list[str]:
    """Ways from a secret to outputs other than the data of the ofmap and the plain parameters, one for each output."""
    reached = netlist.reached(secret)
    outputs = {name: netlist.bits[name] for name in netlist.outputs if name != DATA}
    outputs["opened"] = outputs["opened"][-1:]  # `last`
    found = {name: next((bit for bit in bits if bit in reached), None) for name, bits in outputs.items()}
    return [netlist.way(reached, bit) for bit in found.values() if bit is not None]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if "16" in name or "with" in name else []) for name in CONFIGS]
)
def test_secrets_influence_no_register_and_no_handshake(name, record_proof):
    netlist, secrets = secrets_of(CONFIGS[name])
    ways = [way for secret in secrets.values() for way in leaks(netlist, secret)]
    text = f"{', '.join(secrets)}: no influence on AXI4-Lite or a handshake"
    record_proof(text, f"accelerator, {name}", "cone of influence", not ways)
    assert ways == []
    for secret, bits in secrets.items():  # the walk does go where they go
        reached = netlist.reached(bits)
        carriers = [DATA, *(f"accelerator.{name}" for name in (CARRIERS[2:] if secret == "ifmap" else CARRIERS))]
        carriers = ["opened"] if secret == "key" else carriers
        assert [name for name in carriers if reached.keys().isdisjoint(netlist.bits[name])] == []


@pytest.mark.parametrize(
    "secret, output, module, right, wrong",
    [
        ("key", "s_axil__rdata", registers, "counters.word | other", "counters.word | other | self.key.value[:32]"),
        ("key", "irq", registers, "& interrupt).any()", "& interrupt).any() & self.key.value[:32].any()"),
        ("ifmap", "s_axis_ifmap__tready", issue, "no_room\n        with", "no_room & word.data.any()\n        with"),
        (
            "parameters",
            "s_axil__rdata",
            weight_loader,
            "free & (~from_beat |",
            "free & ~self.parameters.payload.data[0] & (~from_beat |",
        ),
    ],
)
def test_an_accelerator_that_leaks_is_found(secret, output, module, right, wrong):
    faulty = mutant(module, right, wrong)
    component = {registers: "RegisterFile", issue: "IssueStage", weight_loader: "WeightLoader"}[module]
    netlist, secrets = secrets_of(CONFIGS["deep-lock 4x4 lean"], **{component: getattr(faulty, component)})
    ways = leaks(netlist, secrets[secret])
    assert any(way.endswith(output) for way in ways), ways
