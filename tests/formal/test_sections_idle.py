"""Sections with registers, supervisor and loadable port: a START finds sections idle, whatever came before.

The lock is any that passes the head in the same cycle, and trusts it no sooner than its tag has come. Header, check and licence
are free. Of the datapath one thing is taken for granted: that a run is finished no sooner than the last beat of its last packet
has left sections. An inference's last ofmap beat needs all of its parameters and, if the suite seals, their tag; tests of the
whole core look that all beats are taken by then, and the weight loader ends a run in which parameters are left over.
"""

from types import ModuleType

import pytest
from amaranth.hdl import Assert, Assume, Cat, Module, ResetInserter, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, connect

from deeplock.hw.basics.bundles import Part, part_layout
from deeplock.hw.basics.layouts import HeaderLayout, beat_layout
from deeplock.hw.basics.stream_buffers import StreamRegister
from deeplock.hw.control import control, loadable_port, sections, supervisor
from deeplock.pymodel.spec.config import Config
from tests.features import LEAN
from tests.formal.mutant import mutant
from tests.formal.prover import implies, past, prove
from tests.formal.test_control import Core
from tests.formal.test_loadable_port import AnyCheck

CONFIGS = {
    "plain 8x8": Config(suite="plain"),
    "deep-lock 4x4 lean": Config(rows=4, cols=4, bytes_per_beat=4, key_sizes=(16,), **LEAN),
    "acorn 8x8": Config(suite="acorn"),
    "acorn 8x8 licences": Config(suite="acorn", licences=True),
}


class Idle(Core):
    """While a program is loaded and nothing runs, sections take no beat and tell no error. From the second cycle of a run on,
    they take parameters."""

    def __init__(self, config: Config, sections: ModuleType = sections, port: ModuleType = loadable_port, **parts):
        self.config, self.any_check = config, AnyCheck()
        self.port = mutant(port, ProgramCheck=lambda config: self.any_check).LoadablePort(config)
        self.counter = Signal(16)
        self.sections = mutant(sections, "sections = Signal(16)", "sections = counter", counter=self.counter).Sections(
            config
        )
        free = {
            "inlet": In(stream.Signature(beat_layout(config.bytes_per_beat))),
            "header": In(HeaderLayout),
            "checked": In(10),
            "refusal": In(8),
            "opens": In(1),
            "trusts": In(1),
        }
        super().__init__(config, **parts, **free)

    def check(self, m):
        m.submodules.sections, m.submodules.port = sections, port = self.sections, self.port
        supervisor, run = self.supervisor, self.supervisor.run
        connect(m, wiring.flipped(self.inlet), sections.inlet)
        connect(m, supervisor.run, sections.run)
        m.d.comb += [
            sections.load.eq(supervisor.loading.load),
            sections.stop.eq(supervisor.stop),
            sections.header.eq(self.header),
            port.control.load.eq(supervisor.loading.load),
            port.control.forget.eq(supervisor.loading.forget),
            port.stop.eq(supervisor.stop),
            port.refusal.eq(self.refusal),
            self.any_check.free.eq(self.checked),
            Assume(self.stream == sections.error),
            Assume(self.loading.loaded == port.control.loaded),
            Assume(self.loading.loading == port.control.loading),
            Assume(self.loading.error == port.control.error),
        ]
        self._lock(m)
        left = self._left(m)
        m.d.comb += Assume(implies(run.active & self.sequencer.idle & ~self.delivering, left == 0))
        # the prover would need long to find that they count alike
        m.d.comb += Assert(implies(run.active & past(m, run.active), self.counter == ~left))

        begins = run.active & ~past(m, run.active)
        takes = sections.inlet.ready | sections.outlet.valid | sections.error.any()
        m.d.comb += Assert(implies(port.control.loaded & ~run.active & ~supervisor.stop, ~takes))
        m.d.comb += Assert(implies(begins, ~takes))
        shown = sections.outlet.payload.part == Part.PARAMETERS
        goes_on = past(m, begins & ~supervisor.stop) & sections.outlet.ready
        m.d.comb += Assert(implies(goes_on, sections.inlet.ready & (shown | ~sections.outlet.valid)))

    def _of(self, beat: data.View, part: Part) -> Value:
        """Whether a beat of the loadable, not of a licence, is in this part."""
        return (beat.part == part) & (~beat.of_licence if self.config.licences else 1)

    def _left(self, m: Module) -> Signal:
        """How many packets of the run have not left sections whole."""
        outlet, run, left = self.sections.outlet, self.supervisor.run, Signal(16)
        ends = self._of(outlet.payload, Part.TAG if self.seals else Part.PARAMETERS) & outlet.payload.last
        with m.If(~run.active | ~past(m, run.active)):
            m.d.sync += left.eq(run.count)
        with m.Elif(outlet.valid & outlet.ready & ends):
            m.d.sync += left.eq(left - 1)
        return left

    def _lock(self, m: Module) -> None:
        """Any lock between sections and port."""
        outlet, port = self.sections.outlet, self.port
        cleared = Signal(init=1)
        m.d.sync += cleared.eq(self.supervisor.clear)
        locked = outlet
        if self.config.pipeline_registers:
            register = StreamRegister(part_layout(self.config))
            m.submodules.register = ResetInserter(cleared)(register)
            connect(m, outlet, register.inlet)
            locked = register.outlet
        beat = locked.payload
        in_head = self._of(beat, Part.HEAD)
        m.d.comb += [
            port.head.payload.eq(Cat(beat.data, beat.last)),
            port.head.valid.eq(locked.valid & in_head & self.opens),
            locked.ready.eq(self.opens & (port.head.ready | ~in_head)),
        ]
        tagged, take = Signal(), locked.valid & locked.ready
        with m.If(take & beat.last & self._of(beat, Part.TAG)):
            m.d.sync += tagged.eq(1)
        with m.If(cleared | (take & (beat.part == Part.NONCE))):
            m.d.sync += tagged.eq(0)
        m.d.comb += port.trusted.eq(self.trusts & (tagged if self.seals else 1))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_start_finds_sections_idle(name, proves):
    text = "a START finds sections idle: while a program is loaded and nothing runs, they take nothing"
    proves(Idle(CONFIGS[name]), text, f"registers, supervisor, sections and loadable port, {name}")


@pytest.mark.parametrize(
    "name, module, right, wrong",
    [
        pytest.param("plain 8x8", sections, "sections[1:].all()", "sections.all()", marks=pytest.mark.slow),
        ("plain 8x8", sections, "with m.If(~self.run.active):", "with m.If(~self.run.active & ~inlet.valid):"),
        ("plain 8x8", sections, "with m.If(self.stop):", "with m.If(self.stop & self.run.active):"),
        ("plain 8x8", control, "~keyless & ~self.loading)", "~keyless)"),
        pytest.param(
            *("acorn 8x8", loadable_port, "m.Elif(~word.valid & self.trusted):", "m.Elif(~word.valid):"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_leaves_sections_busy_is_refuted(name, module, right, wrong):
    faulty = mutant(module, right, wrong)
    if module is control:
        parts = {"supervisor": mutant(supervisor, Control=faulty.Control)}
    else:
        parts = {"sections" if module is sections else "port": faulty}
    assert not prove(Idle(CONFIGS[name], **parts)).proved
