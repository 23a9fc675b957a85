"""Table of board.json, for docs/fpga.md and `deeplock bench board`."""

from collections.abc import Sequence
from typing import Any

from deeplock.report.palette import in_words
from deeplock.report.tables import Table

__all__ = ["board_table"]


_COUNTERS = ("COMPUTE", "PARAM_STARVED", "KEY_STARVED", "INPUT_STARVED")


def board_table(rows: Sequence[dict[str, Any]]) -> Table:
    """A line for each row; no figures of counters that a board leaves out."""
    head = [
        "board",
        "suite",
        "network",
        "key",
        "images",
        "wrong bytes",
        "cycles",
        *map(in_words, _COUNTERS),
    ]
    cells: list[list[object]] = [
        [row["board"], row["suite"], row["network"], row["key"], row["images"], row["mismatches"], row["cycles"]]
        + [row["counters"].get(name, "") for name in _COUNTERS]
        + [row["images_per_second"]]
        for row in rows
    ]
    return Table([*head, "images/s"], cells)
