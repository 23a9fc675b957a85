"""What synthesis does not infer on GW1N: the PLL.

Sources: Gowin UG286 (clock user guide), DS117 (GW1NR data sheet).
"""

from dataclasses import dataclass

from amaranth import Const, Instance, Module, Signal
from amaranth.lib import io

from deeplock.hw.families.blocks import Blocks

__all__ = ["FAMILY", "pll_dividers"]


@dataclass(frozen=True)
class Pll:
    """Dividers of rPLL with internal feedback: output = clock / idiv * fbdiv, VCO = output * odiv."""

    idiv: int
    fbdiv: int
    odiv: int


_ODIV = (2, 4, 8, *range(16, 129, 16))


def pll_dividers(input_hz: int, output_hz: int) -> Pll:
    """The dividers (DS117, speed C6/I5: phase detector 3..400 MHz, VCO 400..1200 MHz); ValueError if there are none."""
    for idiv in range(1, 65):
        detector = input_hz / idiv
        fbdiv, rest = divmod(output_hz, detector)
        if not 3e6 <= detector <= 400e6 or rest or not 1 <= fbdiv <= 64:
            continue
        for odiv in _ODIV:
            if 400e6 <= output_hz * odiv <= 1200e6:
                return Pll(idiv, int(fbdiv), odiv)
    raise ValueError(f"no PLL setting makes {output_hz} Hz of {input_hz} Hz")


class Gw1n(Blocks):
    """rPLL."""

    devices = ("GW1NR-9C",)

    def pll(self, m: Module, pin: io.PortLike, input_hz: int, output_hz: int, clock: Signal, locked: Signal) -> None:
        m.submodules.pin = buffer = io.Buffer("i", pin)
        dividers = pll_dividers(input_hz, output_hz)
        m.submodules.pll = Instance(
            "rPLL",
            p_DEVICE=self.device,
            p_FCLKIN=f"{input_hz / 1e6:g}",
            p_IDIV_SEL=dividers.idiv - 1,
            p_FBDIV_SEL=dividers.fbdiv - 1,
            p_ODIV_SEL=dividers.odiv,
            i_CLKIN=buffer.i,
            i_CLKFB=Const(0),
            i_RESET=Const(0),
            i_RESET_P=Const(0),
            i_FBDSEL=Const(0, 6),
            i_IDSEL=Const(0, 6),
            i_ODSEL=Const(0, 6),
            i_PSDA=Const(0, 4),
            i_DUTYDA=Const(0, 4),
            i_FDLY=Const(0, 4),
            o_CLKOUT=clock,
            o_LOCK=locked,
        )


FAMILY = Gw1n
