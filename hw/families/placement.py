"""What keeps the parts of a large accelerator near each other: registers that stay apart, and where its multipliers lie.

Left to itself, nextpnr scatters the multipliers over the device, and with them all that is around: neighbours in the array come
to lie at opposite ends, differently with every seed.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from deeplock.pymodel.spec.config import Config

__all__ = ["SPAN", "DspSites", "floorplan", "kept_if_large", "load_span"]

SPAN = 4
"""Columns that a register reaches."""


def load_span(config: Config) -> int:
    """Columns that have a load signal together."""
    return min(SPAN, config.bytes_per_beat)


def kept_if_large(config: Config) -> dict[str, int]:
    """Attributes of registers of one value for several places: those of a large accelerator stay apart, each near its place,
    while synthesis merges those of a small one, which does better with fewer registers and fewer resets."""
    return {"keep": 1} if config.rows * config.cols > 16 else {}


@dataclass(frozen=True)
class DspSites:
    """DSP blocks of a device, in a grid: x and y of each, and the SPAN multipliers in one as x from there and number.

    They share their clock enables: those of SPAN columns of a row of the array have the same, and so have two lanes'.

    name   what the placer calls a site of {x}, {y} and {number}
    """

    columns: tuple[int, ...]
    rows: tuple[int, ...]
    multipliers: tuple[tuple[int, int], ...]
    name: str


_ELEMENT = re.compile(r"\.array\.pe_(\d+)_(\d+)\.multiplier\.block_(\d)$")
_LANE = re.compile(r"\.post\.lane_(\d+)\.(low|high)\.block$")
"""Names of the cells that hw.array.multiplier makes of single multipliers: row, first column of a pair and which of it; lane
and half."""


def floorplan(cells: Iterable[str], sites: DspSites | None) -> dict[str, str]:
    """The site of each multiplier, by the names of a netlist's cells; none where the sites are not known, the multipliers are
    not the array's own blocks or the device has too few.

    Each SPAN columns of the array have a strip of the device, as high as that is. In it the rows follow each other to and fro,
    as the partial sums go, and then come lanes of the post-processor, to which the last ones go.
    """
    if sites is None:
        return {}
    names = list(cells)
    elements = {name: tuple(map(int, found.groups())) for name in names if (found := _ELEMENT.search(name))}
    lanes = {name: (int(found[1]), found[2] == "high") for name in names if (found := _LANE.search(name))}
    if not elements:
        return {}
    rows = 1 + max(row for row, _, _ in elements.values())
    strips = 1 + max(col for _, col, _ in elements.values()) // SPAN
    pairs = 1 + max((lane for lane, _ in lanes.values()), default=-1) // 2
    width = -(-(rows + -(-pairs // strips)) // len(sites.rows))
    spare = len(sites.columns) - strips * width
    if spare < 0:
        return {}

    def site(strip: int, place: int, number: int) -> str:
        down, along = divmod(place, width)
        if down % 2:
            along = width - 1 - along
        # what is left is at both ends and, if odd, in the middle
        column = spare // 2 + strip * width + along + (spare % 2 if 2 * strip >= strips else 0)
        beside, index = sites.multipliers[number]
        return sites.name.format(x=sites.columns[column] + beside, y=sites.rows[down], number=index)

    placed = {name: site(col // SPAN, row, col % SPAN + half) for name, (row, col, half) in elements.items()}
    for name, (lane, high) in lanes.items():
        strip, behind = divmod(lane // 2, -(-pairs // strips))
        placed[name] = site(strip, rows + behind, lane % 2 * 2 + high)
    return placed
