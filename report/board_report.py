"""Table of board.json, for docs/fpga.md and `deeplock bench board`."""

from collections.abc import Sequence
from typing import Any

from deeplock.report.tables import Table

__all__ = ["board_table"]


def board_table(rows: Sequence[dict[str, Any]]) -> Table:
    """A line for each row."""
    head = [
        "board",
        "suite",
        "network",
        "key",
        "images",
        "wrong bytes",
        "cycles",
        "compute",
        "param starved",
        "key starved",
        "input starved",
    ]
    cells: list[list[object]] = [
        [row["board"], row["suite"], row["network"], row["key"], row["images"], row["mismatches"], row["cycles"]]
        + [row["counters"][name] for name in ("COMPUTE", "PARAM_STARVED", "KEY_STARVED", "INPUT_STARVED")]
        + [row["images_per_second"]]
        for row in rows
    ]
    return Table([*head, "images/s"], cells)
