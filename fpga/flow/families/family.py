"""What the flow must know about a device and its family."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from deeplock.pymodel.errors import DeeplockError

__all__ = ["Device", "Family", "NoPlacement"]


class NoPlacement(DeeplockError):
    """A design has no placement on a device, or none that works. That is a result: the same tools find the same again."""


@dataclass(frozen=True)
class Device:
    """One FPGA in one package and speed grade.

    name, family  family is a file of fpga.flow.families
    device        its name in Amaranth's platforms and in hw.families
    synthesis     Yosys command for it
    part          nextpnr's options for it
    mhz           target clock: synthesis, place and route trade area for delay only up to it
    infers_dsp    `synthesis` maps multipliers to DSP blocks
    capacity      number of "lut4", "bram" of 4 kbit (iCE40) or 18 kbit (ECP5, GW1N), "dsp" (GW1N: of
                  9x9 bits), and "spram" of 256 kbit; "ff" where there are not as many as "lut4"
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

    devices        devices that can be targets
    package        Python package with nextpnr and packer
    cells          resources (fpga.flow.netlist.RESOURCES) of each type of cell in a netlist
    dsp            type of the DSP cell
    pads           Yosys command that puts cells between logic and pins, unless nextpnr does
    nextpnr        program
    options        nextpnr's options for every design
    options_of     those in their place, by the device's name
    anywhere       nextpnr's options for a design without pin constraints
    anywhere_pins  the constraints that even such a design needs
    constraints    suffix of the file of pin constraints, and nextpnr's option for it
    configuration  the same of the file that nextpnr makes for the packer
    pack           packer and its arguments; {configuration} and {bitstream} stand for files
    unpack         the reverse: program and its arguments; none if a bitstream is not changed afterwards
    fill           program that replaces contents of block RAM, and its arguments: {configuration}, {filled} and files {before}
                   and {after} of its words in hex. Without {configuration} it is a filter
    bram_words     words of such a file: of a block RAM at its widest
    bitstream      suffix of a bitstream
    preamble       begins the commands of a bitstream, after a comment
    check_pins     takes nextpnr's report of a design on pins, and a clock in MHz; NoPlacement for faults that nextpnr accepts
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
    unpack: tuple[str, ...] = ()
    fill: tuple[str, ...] = ()
    bram_words: int = 0
    pads: str = ""
    anywhere: tuple[str, ...] = ()
    anywhere_pins: str = ""
    options_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    check_pins: Callable[[dict[str, Any], float], None] | None = None
