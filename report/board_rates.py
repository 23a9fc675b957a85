"""Images a second of each board and trained network, from the boards' rows of area.json."""

from collections.abc import Sequence
from typing import Any

from deeplock.fpga.boards import BOARDS
from deeplock.fpga.boards.board import Board
from deeplock.pymodel.compiler.compiler import outline
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.zoo import trained
from deeplock.report.projection import PARTS, projection
from deeplock.report.tables import Table

__all__ = ["rates_table"]


def _most(board: Board, network: str) -> str:
    """The rate of the slowest part, and which one that is; "" if the network does not fit."""
    try:
        loadable = outline(trained.load(network), board.config)
    except DeeplockError:
        return ""
    found = projection(loadable, board.config, board.clock_hz / 1e6, board)
    part = min((part for part in PARTS if found[part]), key=lambda part: found[part])
    return f"{found[part]:,.0f}, {PARTS[part]}"


def rates_table(rows: Sequence[dict[str, Any]]) -> Table:
    """A line for each board that reaches its clock, as it comes: with its suite and licences."""
    lines = []
    for row in rows:
        board = BOARDS[row["board"]].for_suite()
        if row["suite"] == board.config.suite and row["meets"]:
            shown = [row["board"], row["device"], f"{row['rows']}x{row['cols']}", row["suite"], f"{row['clock_mhz']:g}"]
            lines.append([*shown, *(_most(board, network) for network in trained.NAMES)])
    return Table(["board", "device", "array", "suite", "MHz", *trained.NAMES], lines)
