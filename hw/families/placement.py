"""Placement of large accelerators: registers that synthesis must not merge, and sites of the multipliers.

Left to itself, nextpnr scatters the multipliers and the logic around them over the device: neighbours in the array end up at
opposite ends, differently with every seed.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from deeplock.pymodel.spec.config import Config

__all__ = ["IN_BLOCKS", "SPAN", "DspSites", "floorplan", "kept_if_large", "load_span"]

SPAN = 4
"""Columns that one register drives."""

IN_BLOCKS = {"ram_style": "block"}
"""Attributes of a small memory that shall lie in block RAM: 16 words of four bits take four LUTs."""


def load_span(config: Config) -> int:
    """Columns that share a load signal."""
    return min(SPAN, config.bytes_per_beat)


def kept_if_large(config: Config) -> dict[str, int]:
    """Attributes for copies of a register, one for each place that uses it. In a large accelerator they stay apart, each near
    its place. In a small one synthesis merges them, which saves registers and resets."""
    return {"keep": 1} if config.rows * config.cols > 16 else {}


@dataclass(frozen=True)
class DspSites:
    """A device's grid of DSP blocks, of SPAN multipliers each.

    A block's multipliers share their clock enables. So do SPAN columns of a row of the array, and two lanes.

    columns, rows   x and y of the blocks
    multipliers     of a block: x offset and number
    name            the placer's name for a site, with {x}, {y} and {number}
    """

    columns: tuple[int, ...]
    rows: tuple[int, ...]
    multipliers: tuple[tuple[int, int], ...]
    name: str


_ELEMENT = re.compile(r"\.array\.pe_(\d+)_(\d+)\.multiplier\.block_(\d)$")
_LANE = re.compile(r"\.post\.lane_(\d+)\.(low|high)\.block$")
"""Cell names of the multipliers of hw.array.multiplier: row, first column of a pair and which of the pair; lane and half."""


def floorplan(cells: Iterable[str], sites: DspSites | None) -> dict[str, str]:
    """The site of each multiplier, by cell name. Empty if the sites are unknown, the array's multipliers are not DSP blocks, or
    the device has too few.

    Each SPAN columns of the array get a strip as high as the device. In it the rows go back and forth, in the order of the
    partial sums; lanes of the post-processor, which take the last sums, come next.
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
        # spare columns are at both ends and, if odd, one in the middle
        column = spare // 2 + strip * width + along + (spare % 2 if 2 * strip >= strips else 0)
        beside, index = sites.multipliers[number]
        return sites.name.format(x=sites.columns[column] + beside, y=sites.rows[down], number=index)

    placed = {name: site(col // SPAN, row, col % SPAN + half) for name, (row, col, half) in elements.items()}
    for name, (lane, high) in lanes.items():
        strip, behind = divmod(lane // 2, -(-pairs // strips))
        placed[name] = site(strip, rows + behind, lane % 2 * 2 + high)
    return placed
