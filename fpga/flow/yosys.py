"""Synthesis: RTLIL to a netlist of the FPGA's cells."""

from collections.abc import Iterable
from pathlib import Path

from deeplock.fpga.flow.families import find_family
from deeplock.fpga.flow.families.family import Device
from deeplock.fpga.flow.harness import BUFFER, SHELL
from deeplock.fpga.flow.toolchain import run_program

__all__ = ["ANY_ON_COLLISION", "TOP", "mapping", "preparation", "run_yosys", "synthesise"]

TOP = "top"
"""Name of the module to synthesise."""

ANY_ON_COLLISION = "setparam -set COLLISION_X_MASK 1'1 t:$memrd_v2 r:CLK_ENABLE=1 %i r:TRANSPARENCY_MASK=1'0 %i"
"""Yosys command: a clocked read of a word that is written in the same cycle may return anything.

No component of hw/ (tests/fpga/flow/test_flow_collisions.py) or fpga/ needs more, and no block RAM promises more: it would
cost a register and a multiplexer for every bit of a word. Verilog sources (riscv.py) still read the old word, because Yosys
makes their reads clocked only after this command.
"""

_KEEP = "setattr -set keep 1 a:keep=1 %ci1:+$dff[Q] t:$dff %i"
"""Yosys command: keep the registers of signals with attribute `keep`. By itself the attribute keeps only their nets."""

_BLACK_BOX = f"""
attribute \\blackbox 1
module \\{BUFFER}
  wire input 1 \\A
  wire output 2 \\Y
end
"""


_NARROW = "t:$mul r:A_WIDTH<=9 %i r:B_WIDTH<=9 %i"
_SMALL = "t:$mul r:A_WIDTH<=18 %i r:B_WIDTH<=18 %i"
"""Multipliers that fit one DSP block: those that take few LUTs, and all of them."""


def preparation() -> tuple[str, ...]:
    """Yosys commands that flatten a design. A harness's shell stays a module of its own, so that its cells are as if the
    harness were not there. `opt_expr` turns the multiplications with which Amaranth indexes a word into shifts.

    `opt_clean -purge` leaves each net the name that it has at its driver, from which netlist.py finds a cell's module.
    Otherwise Yosys would keep any of its names in the modules that it passes.
    """
    return (
        f"hierarchy -top {TOP}",
        "proc",
        ANY_ON_COLLISION,
        f"setattr -mod -set keep_hierarchy 1 {TOP}.{SHELL}",
        "flatten",
        _KEEP,
        "opt_expr",
        "opt_clean -purge",
    )


def mapping(device: Device) -> tuple[str, ...]:
    """Yosys commands that map the flat design to the device's cells.

    abc9.D, in ps, is the delay below which ABC stops trading area for delay: half a period, because ABC estimates next to
    no routing. Without it ABC makes every part as fast as it can, at up to twice the area.
    """
    return (
        f"scratchpad -set abc9.D {int(500_000 / device.mhz)}",
        f"{device.synthesis} -top {TOP}",
        f"chtype -set $_BUF_ t:{BUFFER}",
        f"setattr -mod -set keep_hierarchy 0 {TOP}.{SHELL}",
        "flatten",
        "opt_clean",
        *filter(None, [find_family(device.family).pads]),
    )


def _in_luts(small: list[str], large: list[str], blocks: int) -> list[str]:
    """The multipliers that get no DSP block: small ones (one block each) in their order, then large ones (two each)."""
    chosen, taken = [], len(small) + 2 * len(large)
    for name, size in [*((name, 1) for name in small), *((name, 2) for name in large)]:
        if taken <= blocks:
            break
        chosen.append(name)
        taken -= size
    return chosen


def run_yosys(commands: Iterable[str], made: Path) -> None:
    """Run commands that make the file `made`, in its folder; RuntimeError if it is not made."""
    made.unlink(missing_ok=True)
    # quiet, because the WebAssembly build stops silently if ABC writes to its log
    printed = run_program("yosys", ["-q", "-p", "; ".join(commands)], made.parent)
    if not made.exists():
        raise RuntimeError(f"yosys made no {made}: {printed[-2000:] or 'it said nothing'}")


def synthesise(rtlil: str, device: Device, netlist: Path) -> None:
    """Map module `TOP` of a design in RTLIL to the cells of `device`, as JSON. Yosys's other files are beside it.

    Multipliers beyond the number of DSP blocks become LUTs, so an array may have more.

    Raises DeeplockError if Yosys is missing, RuntimeError if it refuses the design.
    """
    source, flat, taken, narrow, small, large, chosen = (
        netlist.with_suffix(f".{end}") for end in ("il", "flat", "taken", "narrow", "small", "large", "luts")
    )
    source.write_text(rtlil + _BLACK_BOX)
    kinds = (
        (taken, f"t:{find_family(device.family).dsp}"),
        (narrow, _NARROW),
        (small, f"{_SMALL} {_NARROW} %d"),
        (large, f"t:$mul {_SMALL} %d"),
    )
    lists = (f"select -write {path.name} {kind}" for path, kind in kinds)
    run_yosys((f"read_rtlil {source.name}", *preparation(), *lists, f"write_rtlil {flat.name}"), flat)
    used, least, less, most = (path.read_text().splitlines() for path, _ in kinds)
    names = _in_luts(least + less, most, device.capacity["dsp"] - len(used) if device.infers_dsp else 0)
    chosen.write_text("".join(f"{name}\n" for name in names))
    luts = (f"select -read {chosen.name}", "booth", "select -clear")
    run_yosys((f"read_rtlil {flat.name}", *luts, *mapping(device), f"write_json {netlist.name}"), netlist)
