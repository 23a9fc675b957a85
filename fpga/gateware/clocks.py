"""The clock of a board's system: a PLL from the board's oscillator, and a reset until it is locked."""

from abc import abstractmethod
from dataclasses import dataclass

from amaranth import ClockDomain, ClockSignal, Const, Elaboratable, Instance, Module, Signal
from amaranth.lib import io
from amaranth.lib.cdc import ResetSynchronizer

__all__ = ["Ecp5Clock", "Ice40Clock", "ecp5_pll", "ice40_pll"]

_WARM_UP = 1 << 8
"""Cycles of reset after the lock: iCE40's block RAM reads as zero for 3 us after configuration."""


@dataclass(frozen=True)
class Ice40Pll:
    """Dividers of SB_PLL40 with simple feedback: clock * (divf + 1) / (divr + 1) / 2**divq."""

    divr: int
    divf: int
    divq: int
    filter_range: int


def ice40_pll(input_hz: int, output_hz: int) -> Ice40Pll:
    """The dividers (Lattice FPGA-TN-02052: phase detector 10..133 MHz, VCO 533..1066 MHz); ValueError if there are none."""
    for divr in range(16):
        detector = input_hz / (divr + 1)
        if not 10e6 <= detector <= 133e6:
            continue
        for divq in range(1, 7):
            divf, rest = divmod(output_hz << divq, detector)
            if rest == 0 and 1 <= divf <= 128 and 533e6 <= output_hz << divq <= 1066e6:
                limits = (17e6, 26e6, 44e6, 66e6, 101e6)
                return Ice40Pll(divr, int(divf) - 1, divq, 1 + sum(detector >= limit for limit in limits))
    raise ValueError(f"no PLL setting makes {output_hz} Hz of {input_hz} Hz")


@dataclass(frozen=True)
class Ecp5Pll:
    """Dividers of EHXPLLL with feedback from CLKOP: clock / clki * clkfb; the VCO runs at clkop times that."""

    clki: int
    clkfb: int
    clkop: int


def ecp5_pll(input_hz: int, output_hz: int) -> Ecp5Pll:
    """The dividers (Lattice FPGA-TN-02200: phase detector 3.125..400 MHz, VCO 400..800 MHz); ValueError if there are none."""
    for clki in range(1, 9):
        detector = input_hz / clki
        clkfb, rest = divmod(output_hz, detector)
        if detector < 3.125e6 or rest or not 1 <= clkfb <= 80:
            continue
        for clkop in range(1, 129):
            if 400e6 <= output_hz * clkop <= 800e6:
                return Ecp5Pll(clki, int(clkfb), clkop)
    raise ValueError(f"no PLL setting makes {output_hz} Hz of {input_hz} Hz")


class _Clock(Elaboratable):
    """Drives domain `sync` from the platform's default clock, in reset until a little after the PLL is locked."""

    def __init__(self, output_hz: int):
        self._output_hz = output_hz

    def elaborate(self, platform) -> Module:
        m = Module()
        clock, locked = Signal(name="pll_clock", attrs={"keep": 1}), Signal()
        self._pll(m, platform, clock, locked)
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

    @abstractmethod
    def _pll(self, m: Module, platform, clock: Signal, locked: Signal) -> None:
        """Make the clock, and say when it can be relied on."""


class Ice40Clock(_Clock):
    """`sync` by an SB_PLL40 of iCE40."""

    def _pll(self, m: Module, platform, clock: Signal, locked: Signal) -> None:
        pin = platform.request(platform.default_clk, dir="-")
        pll = ice40_pll(int(platform.default_clk_frequency), self._output_hz)
        m.submodules.pll = Instance(
            "SB_PLL40_PAD",
            p_FEEDBACK_PATH="SIMPLE",
            p_DIVR=Const(pll.divr, 4),
            p_DIVF=Const(pll.divf, 7),
            p_DIVQ=Const(pll.divq, 3),
            p_FILTER_RANGE=Const(pll.filter_range, 3),
            i_PACKAGEPIN=pin.io,
            i_RESETB=Const(1),
            i_BYPASS=Const(0),
            o_PLLOUTGLOBAL=clock,
            o_LOCK=locked,
        )


class Ecp5Clock(_Clock):
    """`sync` by an EHXPLLL of ECP5."""

    def _pll(self, m: Module, platform, clock: Signal, locked: Signal) -> None:
        m.submodules.pin = pin = io.Buffer("i", platform.request(platform.default_clk, dir="-"))
        pll = ecp5_pll(int(platform.default_clk_frequency), self._output_hz)
        m.submodules.pll = Instance(
            "EHXPLLL",
            p_CLKI_DIV=pll.clki,
            p_CLKFB_DIV=pll.clkfb,
            p_CLKOP_DIV=pll.clkop,
            p_CLKOP_ENABLE="ENABLED",
            p_CLKOP_CPHASE=pll.clkop - 1,
            p_FEEDBK_PATH="CLKOP",
            i_CLKI=pin.i,
            i_CLKFB=clock,
            i_RST=Const(0),
            i_STDBY=Const(0),
            i_PHASESEL0=Const(0),
            i_PHASESEL1=Const(0),
            i_PHASEDIR=Const(0),
            i_PHASESTEP=Const(0),
            i_PHASELOADREG=Const(0),
            i_PLLWAKESYNC=Const(0),
            i_ENCLKOP=Const(0),
            o_CLKOP=clock,
            o_LOCK=locked,
        )
