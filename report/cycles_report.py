"""Tables, text and figure of cycles.json, for README.md, docs/measured.md, docs/results and `deeplock bench rtl`."""

from collections.abc import Sequence
from typing import Any

from deeplock.pymodel.spec.registers import COUNTERS
from deeplock.report.palette import CAUSES, in_words, png
from deeplock.report.tables import Table, markdown

__all__ = ["cycles_figure", "cycles_section", "cycles_summary", "cycles_table", "of_paper", "suites_table"]

Row = dict[str, Any]


def cycles_table(rows: Sequence[Row]) -> Table:
    """A line for each row; causes that cost no cycle anywhere are left out."""
    causes = [name for name, _ in COUNTERS if name not in ("CYCLES", "COMPUTE")]
    always = ("PARAM_STARVED", "KEY_STARVED")
    causes = [name for name in causes if name in always or any(row["counters"][name] for row in rows)]
    head = ["network", "array", "suite", "images", "wrong bytes", "plain", "locked", "locked - plain", "bound", "ratio"]
    cells: list[list[object]] = []
    for row in rows:
        cells.append(
            [row["network"], f"{row['rows']}x{row['cols']}", row["suite"], row["images"], row["mismatches"]]
            + [row["cycles_plain"], row["cycles_locked"], round(row["cycles_locked"] - row["cycles_plain"], 2)]
            + [row["lower_bound"], round(row["ratio"], 3)]
            + [row["counters"][name] for name in ("COMPUTE", *causes)]
        )
    return Table(head + [in_words(name) for name in ("COMPUTE", *causes)], cells)


def of_paper(result: dict[str, Any]) -> list[Row]:
    """The rows of the paper's suite, which docs/measured.md shows."""
    return [row for row in result["rows"] if row["suite"] == "deep-lock"]


def suites_table(rows: Sequence[Row]) -> Table:
    """A line for each network, array and batch: cycles an image of each suite over plain."""
    suites = list(dict.fromkeys(row["suite"] for row in rows))
    found: dict[tuple[str, str, int], dict[str, Row]] = {}
    for row in rows:
        found.setdefault((row["network"], f"{row['rows']}x{row['cols']}", row["batch"]), {})[row["suite"]] = row
    lines = []
    for where, of_suite in found.items():
        line: list[object] = [*where, f"{next(iter(of_suite.values()))['cycles_plain']:,.0f}"]
        for suite in suites:
            row = of_suite.get(suite)
            more = row["cycles_locked"] / row["cycles_plain"] - 1 if row else 0
            line.append(f"{row['cycles_locked']:,.0f} ({100 * more:+.1f} %)" if row else "-")
        lines.append(line)
    return Table(["network", "array", "batch", "plain", *suites], lines)


def cycles_summary(result: dict[str, Any]) -> str:
    """A cycles.json in Markdown: a line for each network on the 8x8 array, with the suites side by side."""
    rows = [row for row in result["rows"] if (row["rows"], row["cols"]) == (8, 8)]
    bounds = {row["network"]: f"{row['lower_bound']:,}" for row in rows}
    head, lines = suites_table(rows)
    shown = [[network, bounds[str(network)], *figures] for network, _, _, *figures in lines]
    return markdown(Table(["network", "lower bound", *head[3:]], shown), 1)


def cycles_section(result: dict[str, Any], name: str) -> str:
    """A cycles.json or, for batches, cycles-batch.json in Markdown; `name` without .json."""
    chosen = of_paper(result)
    rows = [
        [
            row["network"],
            f"{row['rows']}x{row['cols']}",
            f"{row['lower_bound']:,}",
            f"{row['cycles_plain']:,.0f}",
            f"{row['cycles_locked']:,.0f}",
            f"{row['ratio']:.3f}",
        ]
        for row in chosen
    ]
    table = Table(["network", "array", "lower bound", "cycles, plain", "cycles, locked", "ratio"], rows)
    wrong = sum(row["mismatches"] for row in chosen)
    starved = sum(row["key_starved_cycles"] for row in chosen)
    note = (
        f"\nEvery byte of every ofmap is compared with the golden model: {wrong} differ. Cycles in which the array waited for "
        f"a key byte: {starved:g}. All counters: [results/{name}.md](results/{name}.md).\n\n"
        f"![cycles by cause, as a multiple of the lower bound](results/{name}.png)\n"
    )
    return markdown(table, 2) + note


def cycles_figure(result: dict[str, Any]) -> bytes:
    """A cycles.json as a PNG: for each network and array, cycles by cause over the lower bound."""
    import numpy as np
    from matplotlib.figure import Figure

    rows = of_paper(result)
    causes = [name for name in CAUSES if any(row["counters"][name] for row in rows)]
    names = [f"{row['network']} {row['rows']}x{row['cols']}" for row in rows]
    figure = Figure((8, 1.4 + 0.26 * len(rows)), layout="constrained")
    axes = figure.subplots()
    left = np.zeros(len(rows))
    for cause in causes:
        share = np.array([row["counters"][cause] / row["lower_bound"] for row in rows])
        axes.barh(range(len(rows)), share, left=left, color=CAUSES[cause], label=in_words(cause), height=0.7)
        left += share
    for index, row in enumerate(rows):
        axes.text(1.01, index, f"{row['ratio']:.3f}", transform=axes.get_yaxis_transform(), va="center", fontsize=8)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.axvline(1.1, color="black", linestyle="--", linewidth=0.8)
    axes.set_yticks(range(len(rows)), names)
    axes.invert_yaxis()
    axes.set(xlabel="cycles per image, locked, over the lower bound (lines: 1 and 1.1)", xlim=(0, 1.02 * left.max()))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return png(figure)
