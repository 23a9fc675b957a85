"""Where the multipliers of arrays come to lie: on sites that nextpnr has, neighbours beside each other."""

import itertools
import json
import re
from collections import defaultdict
from functools import partial
from pathlib import Path

import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from deeplock.fpga.boards import BOARDS
from deeplock.fpga.flow import nextpnr
from deeplock.fpga.flow.designs import Design, on_board
from deeplock.fpga.flow.families import DEVICES
from deeplock.fpga.flow.sources import harness_source
from deeplock.fpga.flow.synth import measure_clock
from deeplock.fpga.flow.toolchain import run_program
from deeplock.fpga.flow.yosys import TOP
from deeplock.hw.array.array import SystolicArray
from deeplock.hw.families import blocks_of
from deeplock.hw.families.placement import SPAN, floorplan
from deeplock.pymodel.spec.config import Config

LARGE = DEVICES["lfe5u-85f"]
SITES = blocks_of(LARGE).dsp_sites
BOARD = BOARDS["ulx3s-85f"]
SITE = re.compile(r"X(\d+)/Y(\d+)/MULT18_([0145])$")


@pytest.fixture(scope="module")
def board_cells() -> list[str]:
    """Names of the DSP blocks that the board's top instantiates, as they are in a flat netlist."""
    design, device = on_board(BOARD)
    names, module = [], ""
    for line in design.source(device).rtlil.splitlines():
        if found := re.match(r"module \\top\.(\S+)$", line):
            module = found[1]
        elif found := re.match(r"\s+cell \\MULT18X18D \\(\S+)$", line):
            names.append(f"{module}.{found[1]}")
    return names


def of_smaller(names: list[str], cols: int, lanes: int) -> list[str]:
    """Those of them that an accelerator of fewer columns and lanes has too."""
    return [
        name
        for name in names
        for col, lane in re.findall(r"pe_\d+_(\d+)|lane_(\d+)", name)
        if (int(col) < cols if col else int(lane) < lanes)
    ]


def groups(sites: dict[str, str]) -> dict[tuple[int, int], set[str]]:
    """What shares clock enables, by the block that it lies in: x of the first site, and y."""
    found = defaultdict(set)
    for name, site in sites.items():
        x, y, number = map(int, SITE.match(site).groups())
        numbers = re.findall(r"_(\d+)", name)
        what = f"row {numbers[0]} span {int(numbers[1]) // SPAN}" if ".pe_" in name else f"lanes {int(numbers[0]) // 2}"
        found[x - number, y].add(what)
    return found


@pytest.mark.parametrize("cols, lanes", [(BOARD.config.cols, BOARD.config.lanes), (8, 4)], ids=["8x16", "8x8"])
def test_each_block_has_a_site_and_shares_enables_with_those_beside_it(cols, lanes, board_cells):
    names = of_smaller(board_cells, cols, lanes)
    assert len(names) == BOARD.config.rows * cols + 2 * lanes
    sites = floorplan([*names, "core.post.lane_0.product", "core.array.pe_0_0.shadows"], SITES)
    assert set(sites) == set(names)
    assert len(set(sites.values())) == len(names)
    assert all(len(group) == 1 for group in groups(sites).values())


def test_rows_follow_each_other_and_then_the_lanes(board_cells):
    """Partial sums go from a row to the next one: to the DSP block beside it, or above or below."""
    where = {next(iter(group)): block for block, group in groups(floorplan(board_cells, SITES)).items()}
    for span in range(BOARD.config.cols // SPAN):
        chain = [where[f"row {row} span {span}"] for row in range(BOARD.config.rows)] + [where[f"lanes {span}"]]
        for (x, y), (next_x, next_y) in itertools.pairwise(chain):
            assert (abs(next_x - x), abs(next_y - y)) in ((9, 0), (0, 24))


@pytest.mark.parametrize(
    "config, device",
    [(BOARD.config, "lfe5u-25f"), (Config(rows=16, cols=16, bytes_per_beat=16, lanes=16), "lfe5u-85f")],
    ids=["a device of which nothing is known", "more multipliers than there are"],
)
def test_nothing_is_placed_by_name_where_it_does_not_fit(config, device):
    names = [f"shell.core.array.pe_{row}_{col}.multiplier.block_{half}" for row in range(config.rows)
             for col in range(0, config.cols, 2) for half in range(2)]  # fmt: skip
    assert floorplan(names, blocks_of(DEVICES[device]).dsp_sites) == {}


def test_a_design_without_an_array_has_no_floorplan():
    assert floorplan(["shell.core.multiplier.block_0", "shell.core.post.lane_0.low.block"], SITES) == {}


class Array(wiring.Component):
    """An array inside a component, as it is in an accelerator."""

    def __init__(self):
        self.array = SystolicArray(Config(rows=4, cols=4, bytes_per_beat=4, lanes=4, suite="plain"))
        super().__init__(self.array.signature)

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.array = self.array
        connect(m, flipped(self), self.array)
        return m


@pytest.mark.slow
def test_nextpnr_puts_the_blocks_where_the_floorplan_says(monkeypatch, tmp_path):
    """It refuses sites that it does not have, or whose block has too many enables."""

    def keep_placement(name: str, arguments: list[str], folder: Path) -> str:
        return run_program(name, [*arguments, "--write", "placed.json"], folder)

    monkeypatch.setenv("DEEPLOCK_BUILD", str(tmp_path))
    monkeypatch.setattr(nextpnr, "run_program", keep_placement)
    design = Design("array", {"component": "array"}, partial(harness_source, Array, True))
    assert measure_clock(design, LARGE, 1).used["MULT18X18D"][0] == 16
    (written,) = tmp_path.glob("synth/*/placed.json")
    cells = json.loads(written.read_text())["modules"][TOP]["cells"]
    placed = {name: cell["attributes"]["NEXTPNR_BEL"] for name, cell in cells.items() if cell["type"] == "MULT18X18D"}
    assert placed == floorplan(placed, SITES)
