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
"""Yosys's command that lets a clocked read of a word in the cycle in which it is written give anything.

No component of hw/ asks for more (tests/fpga/flow/test_flow_collisions.py), nor do those of fpga/, and no block RAM promises
more: anything else would cost a register and a multiplexer for every bit of a word. What comes from Verilog (riscv.py)
keeps the word of before: Yosys makes its reads clocked ones only after this command.
"""

_KEEP = "setattr -set keep 1 a:keep=1 %ci1:+$dff[Q] t:$dff %i"
"""Yosys's command that keeps the registers behind signals with attribute `keep`; for itself it keeps but their nets."""

_BLACK_BOX = f"""
attribute \\blackbox 1
module \\{BUFFER}
  wire input 1 \\A
  wire output 2 \\Y
end
"""


_NARROW = "t:$mul r:A_WIDTH<=9 %i r:B_WIDTH<=9 %i"
_SMALL = "t:$mul r:A_WIDTH<=18 %i r:B_WIDTH<=18 %i"
"""Multipliers that one DSP block does; those of them that take few LUTs."""


def preparation() -> tuple[str, ...]:
    """Yosys's commands that make a design flat. A harness's shell stays a module of its own: its cells are to be as if the
    harness were not there. `opt_expr` makes shifts of the multiplications by which Amaranth finds a part of a word.

    `opt_clean -purge` leaves each net the name that it has where it is driven, by which netlist.py finds a cell's module.
    Yosys would else keep any of the names that a net has in the modules that it goes through.
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
    """Yosys's commands that make cells of it.

    abc9.D, in ps, is the delay below which ABC stops to trade area for delay: half a period, since ABC counts next to
    nothing for routing. Without, ABC makes every part as fast as it can, at up to twice the area.
    """
    return (
        f"scratchpad -set abc9.D {int(500_000 / device.mhz)}",
        f"{device.synthesis} -top {TOP}",
        f"chtype -set $_BUF_ t:{BUFFER}",
        f"setattr -mod -set keep_hierarchy 0 {TOP}.{SHELL}",
        "flatten",
        "opt_clean",
    )


def _in_luts(small: list[str], large: list[str], blocks: int) -> list[str]:
    """The multipliers that find no DSP block: small ones, which take one, in their order, before large ones, which take two."""
    chosen, taken = [], len(small) + 2 * len(large)
    for name, size in [*((name, 1) for name in small), *((name, 2) for name in large)]:
        if taken <= blocks:
            break
        chosen.append(name)
        taken -= size
    return chosen


def run_yosys(commands: Iterable[str], made: Path) -> None:
    """Run commands that make the file `made`, in its folder; RuntimeError if they do not."""
    made.unlink(missing_ok=True)
    # quiet, because the WebAssembly build stops without a word if ABC writes to its log
    printed = run_program("yosys", ["-q", "-p", "; ".join(commands)], made.parent)
    if not made.exists():
        raise RuntimeError(f"yosys made no {made}: {printed[-2000:] or 'it said nothing'}")


def synthesise(rtlil: str, device: Device, netlist: Path) -> None:
    """Map module `TOP` of a design in RTLIL to the cells of `device`, as JSON. Yosys's files lie beside it.

    Multipliers for which there are no DSP blocks are made of LUTs, so that an array may be larger than these.

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
