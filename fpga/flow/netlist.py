"""Reads a netlist: which cells there are, and of which module of the design each is."""

import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from deeplock.fpga.flow.harness import CORE, SHELL
from deeplock.fpga.flow.yosys import TOP

__all__ = ["GLUE", "HARNESS", "RESOURCES", "Netlist", "read_netlist"]

RESOURCES = ("lut4", "ff", "carry", "bram", "dsp", "spram", "lutram")
"""What is counted. lut4 includes those of carry chains and, on ECP5, of RAM in LUTs, as nextpnr counts them."""

HARNESS = "harness"
GLUE = "top"
"""What belongs to the core itself and to none of its submodules; of a board, its pins and its PLL."""

_CELLS: dict[str, dict[str, int]] = {
    "SB_LUT4": {"lut4": 1},
    "SB_CARRY": {"carry": 1},
    "SB_RAM40_4K": {"bram": 1},
    "SB_MAC16": {"dsp": 1},
    "SB_SPRAM256KA": {"spram": 1},
    "SB_IO": {},
    "SB_PLL40_PAD": {},
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
    "$scopeinfo": {},
}
_SYSTEM = "system"
_DEPTH = 2


@dataclass(frozen=True)
class Netlist:
    """cells: the type of each, by name. scopes: paths of the modules, ("shell", "core", "lock") for one.

    Either a component in a harness, ("shell", "core"), or a board's top around its ("system",).
    """

    cells: dict[str, str]
    scopes: set[tuple[str, ...]]

    def module_of(self, cell: str) -> str:
        """The module that a cell belongs to, two levels deep: "lock.unlock_unit", "post.lane"; HARNESS; or GLUE.

        On a board the accelerator's modules are two levels below "core". Instances of an array (pe_0_0, pe_0_1, ...) count
        as one. Yosys names a cell after the nearest net with a name, so that logic between two modules may count for
        either.
        """
        parts = tuple(cell.split("."))
        scope = next((parts[:end] for end in range(len(parts) - 1, 0, -1) if parts[:end] in self.scopes), ())
        if (SHELL,) in self.scopes:
            if scope[:1] != (SHELL,):
                return HARNESS
            path = scope[2 : 2 + _DEPTH]
        else:
            path = scope[1:] if scope[:1] == (_SYSTEM,) else ()
            path = path[: _DEPTH + (path[:1] == (CORE,))]
        return ".".join(re.sub(r"(_\d+)+$|\$\d+$", "", part) for part in path) or GLUE

    @cached_property
    def modules(self) -> dict[str, dict[str, int]]:
        """Resources by module, the harness among them. KeyError for a cell of a type that is not known."""
        modules: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for cell, kind in self.cells.items():
            modules[self.module_of(cell)].update({"ff": 1} if kind.startswith("SB_DFF") else _CELLS[kind])
        return {module: {what: count[what] for what in RESOURCES} for module, count in sorted(modules.items())}


def read_netlist(path: Path) -> Netlist:
    """Read what Yosys wrote, and the names of the modules in the RTLIL beside it."""
    cells = json.loads(path.read_text())["modules"][TOP]["cells"]
    modules = re.findall(rf"^module \\{TOP}\.(\S+)$", path.with_suffix(".il").read_text(), re.MULTILINE)
    return Netlist({name: cell["type"] for name, cell in cells.items()}, {tuple(name.split(".")) for name in modules})
