"""A board with licences, through its pins: what it refuses, and what a power loss leaves."""

import pytest

from deeplock.fpga.gateware.pins import BoardPins
from deeplock.sim.bench import run_bench
from deeplock.sim.build import build
from tests.fpga.licensed_board import BOARD


@pytest.mark.slow
def test_a_board_with_licences_through_its_pins(tmp_path):
    folder = build(BOARD, "verilator", component=BoardPins)
    assert run_bench("tests.fpga.boards.bench_licensed", folder, "verilator", tmp_path) == 2
