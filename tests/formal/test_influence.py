"""Secrets influence nothing but the data of the ofmap stream: no AXI4-Lite output, no handshake, no end of a packet. Secrets
are the key, the parameters from the loadable port on, and ifmaps; so are all that is made of them, and the memories that hold
it. Cycles and counters are then the same whatever the secrets are.

The walk follows structure, so what it does not find is not there, whatever the state. Wires that carry header and program too
are cut: those from the lock to the loadable port, where the key's ways must end, and behind the port, where the parameters
enter as an input of their own. That lock and port keep them apart is proved in test_secrecy.py.
"""

import pytest

from deeplock.hw import accelerator
from deeplock.hw.control import registers
from deeplock.hw.feed import issue, weight_loader
from deeplock.pymodel.spec.config import Config
from tests.features import LEAN
from tests.formal.influence import Netlist
from tests.formal.mutant import mutant

SMALL = {"rows": 4, "cols": 4, "bytes_per_beat": 4, "activation_words": 64, "accumulators": 16, "ifmap_bytes": 64}
CONFIGS = {
    "plain 4x4": Config(suite="plain", **SMALL),
    "plain 4x4 lean": Config(suite="plain", **SMALL | LEAN),
    "deep-lock 4x4": Config(**SMALL),
    "deep-lock 4x4 lean": Config(**SMALL | LEAN, key_sizes=(16,), sbox="composite"),
    "deep-lock 16x16": Config(rows=16, cols=16, bytes_per_beat=16, sbox="rom"),
}
DATA = "m_axis_ofmap__tdata"
OPENED = "opened"
"""What the lock passes on: an output, because behind it the wires are cut."""
CARRIERS = (
    "array.weights__data",
    "weight_loader.entries__entries",
    "array.sums__columns",
    "accumulator.totals__payload",
    "activation_memory.words__word",
    DATA,
)
"""Nets that carry what is made of the secrets; the first two not what is made of ifmaps."""


def secrets_of(config: Config, accelerator=accelerator) -> tuple[Netlist, dict[str, list[int]]]:
    """The accelerator's netlist, and the bits of its secrets."""
    width = 8 * config.bytes_per_beat
    behind = "parameter_skid inlet" if config.pipeline_registers else "weight_loader parameters"
    cuts = {"loadable": "loadable_port loadable", "secret": behind}  # inputs, in place of what drives these
    commands = [f"add -input {net} {width + 1}; connect -port {port}__payload \\{net}" for net, port in cuts.items()]
    if config.key_sizes:  # else the lock is wires, and no secret reaches it
        commands.append(f"add -output {OPENED} {width + 1}; connect -port lock plain__payload \\{OPENED}")
    cut = f"cd top; {'; '.join(commands)}; cd .."
    netlist = Netlist(accelerator.Accelerator(config), cut)
    secrets = {"parameters": netlist.bits["secret"][:width], "ifmap": netlist.bits["s_axis_ifmap__tdata"]}
    if config.key_sizes:
        secrets["key"] = netlist.bits["registers.key__value"]
    return netlist, secrets


def leaks(netlist: Netlist, secret: list[int]) -> list[str]:
    """Ways from a secret to outputs other than the data of the ofmap and of what the lock passes on, one for each output."""
    reached = netlist.reached(secret)
    outputs = {name: netlist.bits[name] for name in netlist.outputs if name != DATA}
    if OPENED in outputs:
        outputs[OPENED] = outputs[OPENED][-1:]  # `last`
    found = {name: next((bit for bit in bits if bit in reached), None) for name, bits in outputs.items()}
    return [netlist.way(reached, bit) for bit in found.values() if bit is not None]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if "16" in name else []) for name in CONFIGS]
)
def test_secrets_influence_no_register_and_no_handshake(name, record_proof):
    netlist, secrets = secrets_of(CONFIGS[name])
    ways = [way for secret in secrets.values() for way in leaks(netlist, secret)]
    text = f"{', '.join(secrets)}: no influence on AXI4-Lite or a handshake"
    record_proof(text, f"accelerator, {name}", "cone of influence", not ways)
    assert ways == []
    for secret, bits in secrets.items():  # the walk does go where they go
        reached = netlist.reached(bits)
        carriers = {"key": (OPENED,), "ifmap": CARRIERS[2:], "parameters": CARRIERS}[secret]
        assert [name for name in carriers if reached.keys().isdisjoint(netlist.bits[name])] == []


@pytest.mark.parametrize(
    "secret, output, module, right, wrong",
    [
        ("key", "s_axil__rdata", registers, "counters.word | other", "counters.word | other | self.key.value[:32]"),
        ("ifmap", "s_axis_ifmap__tready", issue, "no_room\n        with", "no_room & word.data.any()\n        with"),
        (
            "parameters",
            "s_axil__rdata",
            weight_loader,
            "free & (diagonal |",
            "free & ~self.parameters.payload.data[0] & (diagonal |",
        ),
    ],
)
def test_an_accelerator_that_leaks_is_found(secret, output, module, right, wrong):
    faulty = mutant(module, right, wrong)
    component = {registers: "RegisterFile", issue: "IssueStage", weight_loader: "WeightLoader"}[module]
    netlist, secrets = secrets_of(
        CONFIGS["deep-lock 4x4 lean"], mutant(accelerator, **{component: getattr(faulty, component)})
    )
    ways = leaks(netlist, secrets[secret])
    assert any(way.endswith(output) for way in ways), ways
