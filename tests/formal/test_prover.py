"""The prover proves what holds, and gives a counter-example to what does not."""

import pytest
from amaranth.hdl import Assert, Assume, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from tests.formal.prover import implies, past, prove


class Counter(wiring.Component):
    """Counts `up` to 5; asserts that it stays below a bound."""

    def __init__(self, bound: int, assumes: bool = False):
        self._bound, self._assumes = bound, assumes
        super().__init__({"up": In(1), "by": In(2)})

    def elaborate(self, platform) -> Module:
        m = Module()
        count = Signal(4)
        with m.If(self.up & (count < 5)):
            m.d.sync += count.eq(count + self.by)
        if self._assumes:
            m.d.comb += Assume(self.by <= 1)
        m.d.comb += Assert(count < self._bound)
        return m


@pytest.mark.parametrize("bound, assumes", [(8, False), (6, True)])
def test_what_holds_is_proved(bound, assumes):
    assert prove(Counter(bound, assumes)).proved


@pytest.mark.parametrize("bound, assumes, cycles", [(7, False, 4), (6, False, 3), (5, True, 6)])
def test_a_counter_example_names_the_assertion_and_the_inputs(bound, assumes, cycles):
    verdict = prove(Counter(bound, assumes))
    assert not verdict.proved
    head, *lines = verdict.trace.splitlines()
    assert head.endswith("m.d.comb += Assert(count < self._bound)")
    assert len(lines) >= cycles and "up=0x1" in verdict.trace


class Holds(wiring.Component):
    """A register that is loaded once keeps its value: wrong, because of the reset."""

    go: In(1)

    def elaborate(self, platform) -> Module:
        m = Module()
        held, resetless = Signal(), Signal(reset_less=True)
        with m.If(self.go):
            m.d.sync += [held.eq(1), resetless.eq(1)]
        m.d.comb += Assert(implies(resetless, held))
        return m


def test_a_reset_may_come_at_any_time():
    verdict = prove(Holds())
    assert "rst=0x1" in verdict.trace


class Silent(wiring.Component):
    go: In(1)

    def elaborate(self, platform) -> Module:
        m = Module()
        m.d.comb += Assume(past(m, self.go))
        return m


def test_a_harness_must_assert_something():
    with pytest.raises(RuntimeError, match="nothing is asserted"):
        prove(Silent())
