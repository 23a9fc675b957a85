"""Reads a netlist: its cells, and the module of the design that each belongs to."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from deeplock.fpga.flow.families.family import Family
from deeplock.fpga.flow.harness import CORE, SHELL
from deeplock.fpga.flow.yosys import TOP

__all__ = ["GLUE", "HARNESS", "RESOURCES", "Netlist", "read_netlist"]

RESOURCES = ("lut4", "ff", "carry", "bram", "dsp", "spram", "lutram")
"""Resources that are counted. lut4 includes those of carry chains and, on ECP5, of RAM in LUTs, as nextpnr counts."""

HARNESS = "harness"
GLUE = "top"
"""Cells of the core itself, of none of its submodules; of a board also its pins and its PLL."""

_SCOPE = "$scopeinfo"
"""Type of the cells in which Yosys keeps the names of flattened modules."""

_SYSTEM = "system"
_DEPTH = 2


@dataclass(frozen=True)
class Netlist:
    """A component in a harness, ("shell", "core"), or a board's top around its ("system",).

    cells   type of each cell, by name
    kinds   resources of each type
    scopes  paths of the modules, such as ("shell", "core", "lock")
    """

    cells: dict[str, str]
    kinds: Mapping[str, Mapping[str, int]]
    scopes: set[tuple[str, ...]]

    def module_of(self, cell: str) -> str:
        """The module that a cell belongs to, two levels deep: "lock.unlock_unit", "post.lane"; HARNESS; or GLUE.

        On a board the accelerator's modules are two levels below "core". Instances of an array (pe_0_0, pe_0_1, ...) count
        as one. Yosys names a cell after the nearest named net, so logic between two modules may count for either.
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
        """Resources by module, the harness included. KeyError for a cell of an unknown type."""
        modules: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for cell, kind in self.cells.items():
            modules[self.module_of(cell)].update(self.kinds[kind])
        return {module: {what: count[what] for what in RESOURCES} for module, count in sorted(modules.items())}


def read_netlist(path: Path, family: Family) -> Netlist:
    """Read Yosys's netlist for a device of the family, and the names of the modules from the RTLIL beside it."""
    cells = json.loads(path.read_text())["modules"][TOP]["cells"]
    modules = re.findall(rf"^module \\{TOP}\.(\S+)$", path.with_suffix(".il").read_text(), re.MULTILINE)
    types = {name: cell["type"] for name, cell in cells.items() if cell["type"] != _SCOPE}
    return Netlist(types, family.cells, {tuple(name.split(".")) for name in modules})
