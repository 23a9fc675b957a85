"""Synthesis: RTLIL to a netlist of the FPGA's cells."""

from pathlib import Path

from fpga.devices import Device
from fpga.harness import BUFFER, SHELL
from fpga.toolchain import run_program

__all__ = ["ANY_ON_COLLISION", "TOP", "script", "synthesise"]

TOP = "top"
"""Name of the module to synthesise."""

ANY_ON_COLLISION = "setparam -set COLLISION_X_MASK 1'1 t:$memrd_v2 r:TRANSPARENCY_MASK=1'0 %i"
"""Yosys's command that lets a read of a word in the cycle in which it is written give anything.

No component of hw/ asks for more (tests/fpga/test_flow_collisions.py) and no block RAM promises more: anything else would
cost a register and a multiplexer for every bit of a word.
"""

_BLACK_BOX = f"""
attribute \\blackbox 1
module \\{BUFFER}
  wire input 1 \\A
  wire output 2 \\Y
end
"""


def script(device: Device) -> str:
    """Yosys's commands between reading and writing.

    - The harness's shell stays a module of its own until its cells are mapped: they are as if the harness were not there.
    - `opt_clean -purge` leaves each net the name that it has where it is driven, by which netlist.py finds a cell's
      module. Yosys would else keep any of the names that a net has in the modules that it goes through.
    - abc9.D, in ps, is the delay below which ABC stops to trade area for delay: half a period, since ABC counts next to
      nothing for routing. Without, ABC makes every part as fast as it can, at up to twice the area.
    """
    shell = f"{TOP}.{SHELL}"
    return "; ".join(
        (
            f"hierarchy -top {TOP}",
            "proc",
            ANY_ON_COLLISION,
            f"setattr -mod -set keep_hierarchy 1 {shell}",
            "flatten",
            "opt_clean -purge",
            f"scratchpad -set abc9.D {500_000 // device.mhz}",
            f"{device.synthesis} -top {TOP}",
            f"chtype -set $_BUF_ t:{BUFFER}",
            f"setattr -mod -set keep_hierarchy 0 {shell}",
            "flatten",
            "opt_clean",
        )
    )


def synthesise(rtlil: str, device: Device, netlist: Path) -> None:
    """Map module `TOP` of a design in RTLIL to the cells of `device`, as JSON. Yosys's files lie beside it.

    Raises DeeplockError if Yosys is missing, RuntimeError if it refuses the design.
    """
    source = netlist.with_suffix(".il")
    source.write_text(rtlil + _BLACK_BOX)
    commands = f"read_rtlil {source.name}; {script(device)}; write_json {netlist.name}"
    # quiet, because the WebAssembly build stops without a word if ABC writes to its log
    printed = run_program("yosys", ["-q", "-p", commands], netlist.parent)
    if not netlist.exists():
        raise RuntimeError(f"yosys made no {netlist}: {printed[-2000:] or 'it said nothing'}")
