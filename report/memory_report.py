"""Tables and figure of memory.json and memory-area.json, for docs/into-your-design.md and `deeplock bench memory`."""

from collections.abc import Sequence
from typing import Any

from deeplock.report.palette import SERIES, png
from deeplock.report.tables import Table, markdown, percent

__all__ = ["memory_area", "memory_figure", "memory_section", "memory_table"]

Row = dict[str, Any]


def _starved(row: Row) -> float:
    return row["param_starved_cycles"] / row["cycles"]


def _sorts(rows: Sequence[Row], name: str) -> list:
    return list(dict.fromkeys(row[name] for row in rows))


def memory_table(rows: Sequence[Row]) -> Table:
    """A line for each network and latency; the share of cycles that wait for parameters, for each number of bursts."""
    bursts = _sorts(rows, "outstanding")
    lines = []
    for network in _sorts(rows, "network"):
        for latency in _sorts(rows, "latency"):
            cells = []
            for count in bursts:
                wanted = {"network": network, "latency": latency, "outstanding": count}
                row = next(row for row in rows if wanted.items() <= row.items())
                cells += [f"{row['cycles']:,.0f} ({percent(_starved(row))})"]
            lines.append([network, latency, *cells])
    return Table(["network", "latency", *(f"{count} outstanding" for count in bursts)], lines)


def memory_section(result: dict[str, Any]) -> str:
    """A memory.json in Markdown."""
    row = result["rows"][0]
    note = (
        "\nCycles per image and, in brackets, the share that waits for parameters (PARAM_STARVED). "
        f"{row['rows']}x{row['cols']}, B = {row['bytes_per_beat']}, bursts of {row['burst']} beats, suite `{row['suite']}`, "
        f"{row['images']} images back to back; latency in cycles. By `{result['command']}`.\n\n"
        "![share of cycles that wait for parameters, against the memory's latency](results/memory.png)\n"
    )
    return markdown(memory_table(result["rows"]), 1) + note


def memory_area(result: dict[str, Any]) -> str:
    """A memory-area.json in Markdown."""
    head = ["device", "array", "B", "outstanding", "LUT4", "FF", "BRAM"]
    lines = [
        [
            row["device"],
            f"{row['rows']}x{row['rows']}",
            *(row[name] for name in ("bytes_per_beat", "outstanding", "lut4", "ff", "bram")),
        ]
        for row in result["components"]
    ]
    return markdown(Table(head, lines), 2) + f"\nBy `{result['command']}`.\n"


def memory_figure(result: dict[str, Any]) -> bytes:
    """The share of cycles that wait for parameters against the latency as a PNG: a plot for each network, a line for each
    number of outstanding bursts."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator, PercentFormatter, ScalarFormatter

    rows = result["rows"]
    networks, bursts = _sorts(rows, "network"), _sorts(rows, "outstanding")
    figure = Figure((4 * len(networks), 3.2), layout="constrained")
    for number, (network, axes) in enumerate(
        zip(networks, figure.subplots(1, len(networks), squeeze=False)[0], strict=True)
    ):
        for colour, count in zip(SERIES, bursts, strict=False):
            line = [row for row in rows if (row["network"], row["outstanding"]) == (network, count)]
            latencies, shares = [row["latency"] for row in line], [_starved(row) for row in line]
            axes.plot(latencies, shares, "o-", color=colour, markersize=4, label=None if number else str(count))
        axes.set_xscale("log")
        axes.set_xticks(_sorts(rows, "latency"))
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.set(title=network, xlabel="latency of the memory, cycles", ylim=(0, None))
    figure.axes[0].set_ylabel("cycles that wait for parameters")
    figure.legend(loc="outside right center", title="outstanding\nbursts", frameon=False)
    return png(figure)
