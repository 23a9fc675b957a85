"""The loadable port with any stream, check of its head, lock and licence: a program is there only if all of it came, was right,
trusted and not refused and has not been given up, and then it does not change."""

import pytest
from amaranth.hdl import Assert, Cat, Module, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from deeplock.hw.basics.layouts import HeaderLayout
from deeplock.hw.control import loadable_port
from deeplock.hw.control.program_check import HeadWord
from deeplock.pymodel.spec.config import Config
from tests.features import LEAN
from tests.formal.mutant import mutant
from tests.formal.prover import implies, past, prove

CONFIGS = {
    "deep-lock 4x4 lean": Config(rows=4, cols=4, bytes_per_beat=4, **LEAN),
    "acorn 8x8": Config(suite="acorn"),
}


def loading_contract(m: Module, port: wiring.PureInterface, stop: Value) -> list[Value]:
    """What holds of LoadControl in every cycle. `stop` is the loadable port's."""
    loaded, loading = port.loaded, port.loading
    return [
        ~(loaded & loading),
        implies(loading & ~past(m, loading), past(m, port.load)),
        implies(loaded & ~past(m, loaded), past(m, loading)),
        implies(past(m, port.load & ~loading), ~loaded),
        implies(past(m, port.forget), ~loaded),
        implies(past(m, stop), ~loading),
        implies(past(m, stop & loading), ~loaded),
        implies(past(m, loaded & ~port.load & ~port.forget), loaded),
    ]


class AnyCheck(wiring.Component):
    """In place of ProgramCheck: its outputs are free inputs of the harness."""

    def __init__(self):
        words = stream.Signature(HeadWord)
        super().__init__(
            {
                "begin": In(1),
                "words": In(words),
                "header": In(HeaderLayout),
                "error": Out(8),
                "settling": Out(1),
                "incomplete": Out(1),
                "free": In(11),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.d.comb += Cat(self.words.ready, self.settling, self.incomplete, self.error).eq(self.free)
        return m


class Port(wiring.Component):
    """A loadable port; its inputs are free, as is what its check says."""

    def __init__(self, config: Config, right: str = "", wrong: str = ""):
        self.check = AnyCheck()
        self.port = mutant(loadable_port, right, wrong, ProgramCheck=lambda config: self.check).LoadablePort(config)
        super().__init__({"outside": Out(self.port.signature), "free": In(11)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.port = port = self.port
        m.d.comb += self.check.free.eq(self.free)
        connect(m, flipped(self.outside), port)
        control, loaded = port.control, port.control.loaded
        header = port.header.as_value()
        m.d.comb += [Assert(each) for each in loading_contract(m, control, port.stop)]
        m.d.comb += [
            Assert(
                implies(loaded & ~past(m, loaded), past(m, port.trusted & ~port.refusal.any() & ~self.free[1:].any()))
            ),
            Assert(implies(port.program.en, control.loading)),
            Assert(implies(past(m, ~control.loading), header == past(m, header))),
        ]
        return m


@pytest.mark.parametrize("name", CONFIGS)
def test_a_program_is_right_and_trusted_and_stays_as_it_is(name, proves):
    text = "a program is loaded if it is right, trusted, not refused; it goes with load, forget and stop, and does not change"
    proves(Port(CONFIGS[name]), text, f"loadable port, {name}")


@pytest.mark.parametrize(
    "right, wrong",
    [
        ("control.forget | (self.stop & in_head)", "control.forget"),
        ("control.forget | (self.stop & in_head)", "self.stop & in_head"),
        pytest.param("control.forget | (self.stop & in_head)", "control.forget | self.stop", marks=pytest.mark.slow),
        ("m.Elif(checked & self.trusted):", "m.Elif(checked):"),
        ("checked & self.trusted & self.refusal.any()", "checked & self.trusted & self.refusal.all()"),
        ("~word.valid & ~check.settling", "~word.valid"),
        ("check.error.any() | check.incomplete", "check.error.any()"),
        ("checked & wrong", "checked & wrong & ~self.trusted"),
        ("[control.loaded.eq(0), number.eq(0)", "[number.eq(0)"),
        ("word.valid & in_head", "word.valid"),
    ],
)
def test_a_port_with_a_fault_is_refuted(right, wrong):
    assert not prove(Port(CONFIGS["acorn 8x8"], right, wrong)).proved
