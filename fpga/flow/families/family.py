"""What the flow has to know of a device, and of its family."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Device", "Family"]


@dataclass(frozen=True)
class Device:
    """One FPGA in one package and speed grade.

    name, family  family is a file of fpga.flow.families
    device        what Amaranth's platforms call it; hw.families asks for that
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


@dataclass(frozen=True)
class Family:
    """A family's devices, and its cells, files and programs.

    devices        that can be synthesised for
    package        Python package that brings nextpnr and packer
    cells          resources (fpga.flow.netlist.RESOURCES) of each type of cell in a netlist
    dsp            the type of cell that a multiplier of up to 18x18 bits becomes
    nextpnr        program
    options        of nextpnr for every design
    anywhere       of nextpnr, for a design whose pins may lie anywhere,
    anywhere_pins  and constraints that it needs all the same
    constraints    suffix of the file that says where pins lie, and nextpnr's option for it
    configuration  the same of the file that nextpnr makes for the packer
    pack           packer and its arguments; {configuration} and {bitstream} stand for files
    bitstream      suffix of a bitstream
    preamble       begins the commands of a bitstream, behind a comment
    check_pins     takes nextpnr's report of a design on pins and a clock in MHz; DeeplockError for what nextpnr lets pass
    """

    devices: tuple[Device, ...]
    package: str
    cells: Mapping[str, Mapping[str, int]]
    dsp: str
    nextpnr: str
    options: tuple[str, ...]
    constraints: tuple[str, str]
    configuration: tuple[str, str]
    pack: tuple[str, ...]
    bitstream: str
    preamble: bytes
    anywhere: tuple[str, ...] = ()
    anywhere_pins: str = ""
    check_pins: Callable[[dict[str, Any], float], None] | None = None
