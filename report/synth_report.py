"""Markdown tables and a figure of area.json, for report/results.py."""

import io
from statistics import median
from typing import Any

from deeplock.report.synth_tables import component_table, core_table, key_of
from deeplock.report.tables import Table, markdown

__all__ = ["area_figure", "area_summary", "area_tables", "suites_area"]

_PARTS = ("lock", "array", "accumulator", "post", "feeder", "unfolder", "weight_loader", "registers")
_REST = "all else"

Row = dict[str, Any]


def area_tables(result: dict) -> dict[str, str]:
    """Markdown tables, by the names of their marks in docs/fpga.md."""
    tools = ", ".join(f"{name} {version}" for name, version in result["tools"].items())
    how = f"\nBy `{result['command']}`. {tools}.\n"
    cores = [row for row in result["rows"] if row["board"] is None]
    boards = [row for row in result["rows"] if row["board"] is not None]
    figure = "\n![LUT4 by module, plain and locked; clock frequency of each seed](results/area.png)\n"
    return {
        "cores": markdown(core_table(cores), 7) + figure + how,
        "boards": markdown(core_table(boards), 7) if boards else "",
        "components": markdown(component_table(result["components"]), 4),
    }


_README_SHOWS = (("lfe5u-85f", "8x8"), ("up5k", "4x4"))
"""Device and array of the rows that README.md shows."""


def area_summary(result: dict) -> str:
    """What the suites cost, for README.md: a line for each suite on a large and on a small device."""
    head, rows = core_table([row for row in result["rows"] if row["board"] is None])
    device, array, suite, more = (head.index(name) for name in ("device", "array", "suite", "LUT4 more"))
    chosen = [
        row for row in rows if (row[device], row[array]) in _README_SHOWS and (row[suite] == "plain" or row[more])
    ]
    shown = [head.index(name) for name in ("device", "array", "suite", "LUT4", "FF", "BRAM", "DSP", "LUT4 more")]
    return markdown(Table([head[index] for index in shown], [[row[index] for index in shown] for row in chosen]), 3)


def suites_area(result: dict) -> str:
    """What the suites cost, for docs/choosing-a-suite.md: a line for each core whose plain form has been measured too."""
    head, rows = core_table([row for row in result["rows"] if row["board"] is None])
    shown = [
        head.index(name)
        for name in ("device", "array", "B", "suite", "S-box", "LUT4", "FF", "BRAM", "LUT4 more", "MHz", "clock")
    ]
    suites = head.index("suite"), head.index("LUT4 more")
    lines = [[line[index] for index in shown] for line in rows if line[suites[0]] == "plain" or line[suites[1]]]
    return markdown(Table([head[index] for index in shown], lines), 5)


def _label(row: Row) -> str:
    lock = f"{row['sbox']}, key {key_of(row)}" if row["sbox"] else row["suite"]
    return f"{row['board'] or row['device']} {row['rows']}x{row['cols']} {lock}"


def _luts_of(row: Row, part: str) -> int:
    """LUT4 of a part and all that is in it."""
    places = [(name.split(".")[0], module["lut4"]) for name, module in row["modules"].items()]
    return sum(luts for name, luts in places if name == part or (part == _REST and name not in _PARTS))


def area_figure(result: dict) -> bytes:
    """PNG: LUT4 of every accelerator by module, the clock of every seed beside it."""
    import matplotlib
    from matplotlib.figure import Figure

    rows = [row for row in result["rows"] if row["board"] is None]
    figure = Figure((10, 1.4 + 0.24 * len(rows)))
    area, clock = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    left = [0] * len(rows)
    for index, part in enumerate([*_PARTS, _REST]):
        luts = [_luts_of(row, part) for row in rows]
        colour = matplotlib.colormaps["tab10"](index)
        area.barh(range(len(rows)), luts, left=left, label=part.replace("_", " "), color=colour, height=0.75)
        left = [start + count for start, count in zip(left, luts, strict=True)]
    for index, row in enumerate(rows):
        clock.plot(row["fmax_mhz"], [index] * len(row["fmax_mhz"]), "o", color="#2f6fb0", markersize=3, alpha=0.7)
        if row["fmax_mhz"]:
            clock.plot([median(row["fmax_mhz"])], [index], "|", color="black", markersize=11)
    area.set_yticks(range(len(rows)), [_label(row) for row in rows], fontsize=8)
    area.invert_yaxis()
    area.set_xlabel("LUT4")
    area.legend(fontsize=7, loc="upper right")
    clock.set_xlabel("MHz; a dot a seed, a bar their median")
    clock.set_xlim(left=0)
    clock.grid(axis="x", linewidth=0.4)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=130, bbox_inches="tight")
    return file.getvalue()
