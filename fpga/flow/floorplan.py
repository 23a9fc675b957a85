"""Where the multipliers of an array lie on a device.

Left to itself, nextpnr scatters them over the device, and with them all that is around: neighbours in the array come to lie at
opposite ends, differently with every seed.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from deeplock.fpga.flow.devices import Device
from deeplock.fpga.flow.yosys import TOP
from deeplock.hw.array.array import SPAN

__all__ = ["floorplan", "write_floorplan"]

_ELEMENT = re.compile(r"\.array\.pe_(\d+)_(\d+)\.multiplier\.block_(\d)$")
_LANE = re.compile(r"\.post\.lane_(\d+)\.(low|high)\.block$")
"""Names of the cells that hw.families.ecp5.multiplier makes: row, first column of a pair and which of it; lane and half."""


@dataclass(frozen=True)
class _Blocks:
    """DSP blocks of a device, in a grid: x and y of each, and the four multipliers in one as x from there and number.

    The four share their clock enables: those of SPAN columns of a row of the array have the same, and so have two lanes'.
    """

    columns: tuple[int, ...]
    rows: tuple[int, ...]
    sites: tuple[tuple[int, int], ...] = ((0, 0), (1, 1), (4, 4), (5, 5))


_DEVICES = {"lfe5u-85f": _Blocks((*range(4, 59, 9), *range(69, 115, 9)), (58, 34, 10))}
"""As nextpnr names the sites of MULT18X18D."""


def floorplan(cells: Iterable[str], device: Device) -> dict[str, str]:
    """The site of each multiplier, by the names of a netlist's cells; none where the device is not known, the multipliers are
    not the array's own blocks or the device has too few.

    Each SPAN columns of the array have a strip of the device, as high as that is. In it the rows follow each other to and fro,
    as the partial sums go, and then come lanes of the post-processor, to which the last ones go.
    """
    if device.name not in _DEVICES:
        return {}
    blocks = _DEVICES[device.name]
    elements = {name: tuple(map(int, found.groups())) for name in cells if (found := _ELEMENT.search(name))}
    lanes = {name: (int(found[1]), found[2] == "high") for name in cells if (found := _LANE.search(name))}
    if not elements:
        return {}
    rows = 1 + max(row for row, _, _ in elements.values())
    strips = 1 + max(col for _, col, _ in elements.values()) // SPAN
    pairs = 1 + max((lane for lane, _ in lanes.values()), default=-1) // 2
    width = -(-(rows + -(-pairs // strips)) // len(blocks.rows))
    spare = len(blocks.columns) - strips * width
    if spare < 0:
        return {}

    def site(strip: int, place: int, number: int) -> str:
        down, along = divmod(place, width)
        if down % 2:
            along = width - 1 - along
        # what is left is at both ends and, if odd, in the middle
        column = spare // 2 + strip * width + along + (spare % 2 if 2 * strip >= strips else 0)
        beside, index = blocks.sites[number]
        return f"X{blocks.columns[column] + beside}/Y{blocks.rows[down]}/MULT18_{index}"

    placed = {name: site(col // SPAN, row, col % SPAN + half) for name, (row, col, half) in elements.items()}
    for name, (lane, high) in lanes.items():
        strip, behind = divmod(lane // 2, -(-pairs // strips))
        placed[name] = site(strip, rows + behind, lane % 2 * 2 + high)
    return placed


def write_floorplan(netlist: Path, sites: dict[str, str], made: Path) -> None:
    """Write a netlist with its cells' sites, as nextpnr takes them."""
    content = json.loads(netlist.read_text())
    cells = content["modules"][TOP]["cells"]
    for name, site in sites.items():
        cells[name]["attributes"]["BEL"] = site
    made.write_text(json.dumps(content))
