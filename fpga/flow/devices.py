"""The FPGAs that the flow knows."""

from dataclasses import dataclass

from deeplock.hw.families import ecp5
from deeplock.pymodel.errors import DeeplockError

__all__ = ["DEVICES", "Device", "find_device"]


@dataclass(frozen=True)
class Device:
    """One FPGA in one package and speed grade.

    name, family  family is "ice40" or "ecp5": whose nextpnr
    device        what Amaranth's platforms call it; hw/families/ice40.py and hw/families/ecp5.py ask for that
    synthesis     Yosys's command for it
    part          nextpnr's options for it
    mhz           clock that synthesis and place and route aim at; they trade area for delay up to there, no further
    infers_dsp    that command makes DSP blocks of multipliers
    capacity      what there is: "lut4" (as many flip-flops), "bram" of 4 kbit (iCE40) or 18 kbit (ECP5), "dsp", and
                  "spram" of 256 kbit
    """

    name: str
    family: str
    device: str
    synthesis: str
    part: tuple[str, ...]
    mhz: float
    infers_dsp: bool
    capacity: dict[str, int]


def _ecp5(device: str, part: str, lut4: int, bram: int) -> Device:
    options = (f"--{part}", "--package", "CABGA381", "--speed", "6")
    capacity = {"lut4": lut4, "bram": bram, "dsp": ecp5.BLOCKS[device]}
    return Device(device.lower(), "ecp5", device, "synth_ecp5 -nowidelut", options, 100, True, capacity)


# Without -dsp: its blocks are the array's, which takes them by itself. The eight cells of a tile share a clock enable: one of
# fewer registers becomes a LUT in front of each, where there is one anyway. With all of them nextpnr found no legal place for
# iCESugar's cells with four seeds in five
_ICE40 = "synth_ice40 -dffe_min_ce_use 8 -device"

_ALL = (
    Device(
        "up5k", "ice40", "iCE40UP5K", f"{_ICE40} u", ("--up5k", "--package", "sg48"), 30, False,
        {"lut4": 5280, "bram": 30, "dsp": 8, "spram": 4},
    ),
    Device(
        "hx8k", "ice40", "iCE40HX8K", f"{_ICE40} hx", ("--hx8k", "--package", "ct256"), 60, False,
        {"lut4": 7680, "bram": 32, "dsp": 0},
    ),
    _ecp5("LFE5U-25F", "25k", lut4=24288, bram=56),
    _ecp5("LFE5U-85F", "85k", lut4=83640, bram=208),
)  # fmt: skip

DEVICES = {device.name: device for device in _ALL}


def find_device(name: str) -> Device:
    """The device of that name; DeeplockError if there is none."""
    if name not in DEVICES:
        raise DeeplockError(f"device must be {', '.join(DEVICES)}, not {name}")
    return DEVICES[name]
