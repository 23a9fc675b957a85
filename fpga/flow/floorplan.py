"""Writes into a netlist where its multipliers lie: hw.families.placement says where."""

import json
from pathlib import Path

from deeplock.fpga.flow.yosys import TOP

__all__ = ["write_floorplan"]


def write_floorplan(netlist: Path, sites: dict[str, str], made: Path) -> None:
    """Write a netlist with its cells' sites, as nextpnr takes them."""
    content = json.loads(netlist.read_text())
    cells = content["modules"][TOP]["cells"]
    for name, site in sites.items():
        cells[name]["attributes"]["BEL"] = site
    made.write_text(json.dumps(content))
