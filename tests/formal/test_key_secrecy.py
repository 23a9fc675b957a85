"""What is written to KEY0..KEY7 shows nowhere but at the key's own output: two register files that get different data there
cannot be told apart (self-composition). Outputs are the bus with its timing and answers, commands, KEYED, the key's size."""

import pytest
from amaranth.hdl import Assert, Assume, Cat, Module, Mux, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from deeplock.hw.control import registers
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.registers import address
from tests.features import LEAN
from tests.formal.mutant import mutant
from tests.formal.prover import prove, stays

CONFIGS = {
    "deep-lock": Config(),
    "deep-lock, small": Config(rows=4, cols=4, bytes_per_beat=4, key_sizes=(16,), **LEAN),
}
KEY_WORDS = [address(f"KEY{index}") >> 2 for index in range(8)]


def ports(file: wiring.Component, flow: wiring.Flow) -> dict[str, Value]:
    leaves = file.signature.flatten(file)
    return {"_".join(map(str, path)): Value.cast(port) for path, member, port in leaves if member.flow is flow}


class Twins(wiring.Component):
    """Two register files with the same free inputs. While the bus writes a key register, the second one gets `secret` as data."""

    def __init__(self, config: Config, registers=registers):
        self._files = [registers.RegisterFile(config) for _ in range(2)]
        free = {name: In(port.shape()) for name, port in ports(self._files[0], In).items()}
        super().__init__(free | {"secret": In(32)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules += self._files
        is_key = Cat(self.s_axil_awaddr[2:8] == word for word in KEY_WORDS).any()
        for number, file in enumerate(self._files):
            for name, port in ports(file, In).items():
                m.d.comb += port.eq(getattr(self, name))
            if number:
                m.d.comb += file.s_axil.wdata.eq(Mux(is_key, self.secret, self.s_axil_wdata))
        bus = self._files[0].s_axil
        m.d.comb += Assume(stays(m, bus.awvalid, bus.awready, bus.awaddr))
        first, second = (ports(file, Out) for file in self._files)
        for name in first:
            if name != "key_value":
                m.d.comb += Assert(first[name] == second[name])
        return m


@pytest.mark.parametrize("name", CONFIGS)
def test_nothing_shows_what_the_key_is(name, proves):
    proves(
        Twins(CONFIGS[name]), "no output of the register file but the key depends on data written to KEY0..KEY7", name
    )


@pytest.mark.parametrize(
    "right, wrong",
    [
        ("counters.word | other", "counters.word | other | self.key.value[:32]"),
        ("bus.arvalid & ~bus.arready", "bus.arvalid & ~self.key.value[7] & ~bus.arready"),
        ("m.d.comb += taken.eq(1)\n                m.d.sync += word", "m.d.comb += taken.eq(wdata != 0)\n                m.d.sync += word"),
        ("m.d.sync += control.command.eq(0)", "m.d.sync += control.command.eq(self.key.value.all())"),
        ("word.eq(wdata)", "word.eq(wdata), size.eq(wdata)"),
    ],
)  # fmt: skip
def test_a_register_file_that_leaks_is_refuted(right, wrong):
    assert not prove(Twins(Config(), mutant(registers, right, wrong))).proved
