"""Writes the sites of the multipliers, from hw.families.placement, into a netlist."""

import json
from pathlib import Path

from deeplock.fpga.flow.yosys import TOP

__all__ = ["write_floorplan"]


def write_floorplan(netlist: Path, sites: dict[str, str], made: Path) -> None:
    """Write a copy of a netlist, in which the cells have their sites as nextpnr takes them."""
    content = json.loads(netlist.read_text())
    cells = content["modules"][TOP]["cells"]
    for name, site in sites.items():
        cells[name]["attributes"]["BEL"] = site
    made.write_text(json.dumps(content))
