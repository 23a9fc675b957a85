"""The clock of a board's system: a PLL from the board's oscillator, and a reset until it is locked."""

from amaranth import ClockDomain, ClockSignal, Elaboratable, Module, Signal
from amaranth.lib.cdc import ResetSynchronizer

from deeplock.hw.families import blocks_of

__all__ = ["Clock"]

_WARM_UP = 1 << 8
"""Cycles of reset after the PLL locks: iCE40's block RAM reads as zero for 3 us after configuration."""


class Clock(Elaboratable):
    """Drives domain `sync` from the platform's default clock, in reset until shortly after the PLL is locked."""

    def __init__(self, output_hz: int):
        self._output_hz = output_hz

    def elaborate(self, platform) -> Module:
        m = Module()
        clock, locked = Signal(name="pll_clock", attrs={"keep": 1}), Signal()
        pin, input_hz = platform.request(platform.default_clk, dir="-"), int(platform.default_clk_frequency)
        blocks_of(platform).pll(m, pin, input_hz, self._output_hz, clock, locked)
        platform.add_clock_constraint(clock, self._output_hz)
        m.d.comb += ClockSignal("sync").eq(clock)
        m.domains += ClockDomain("warm", local=True, reset_less=True)
        m.d.comb += ClockSignal("warm").eq(clock)
        left = Signal(range(_WARM_UP), init=_WARM_UP - 1)
        with m.If(~locked):
            m.d.warm += left.eq(_WARM_UP - 1)
        with m.Elif(left != 0):
            m.d.warm += left.eq(left - 1)
        m.submodules.reset = ResetSynchronizer(~locked | (left != 0), domain="sync")
        return m
