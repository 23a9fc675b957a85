"""Tables and figure of mlperf-tiny.json, for docs/benchmarks.md and `deeplock bench mlperf-tiny`."""

from collections.abc import Sequence
from typing import Any

from deeplock.report.palette import BLACK, SERIES, png
from deeplock.report.tables import Table, markdown, percent

__all__ = ["PUBLISHED", "mlperf_figure", "mlperf_section", "mlperf_table"]

Row = dict[str, Any]

TITLES = {
    "ic": "image classification",
    "kws": "keyword spotting",
    "vww": "visual wake words",
    "ad": "anomaly detection",
}
PUBLISHED = {"ic": 0.86, "kws": 0.31, "vww": 0.09}
"""MACs per multiplier and cycle of the best FPGA entry of MLPerf Tiny v1.1, fpgaConvNet's: MACs x inferences/s / (clock x DSP
multipliers)."""
_CLOCK_MHZ = 50


def _use(row: Row) -> float:
    """MACs per multiplier and cycle, locked."""
    return row["macs"] / (row["rows"] * row["cols"] * row["cycles_locked"])


def mlperf_table(rows: Sequence[Row]) -> Table:
    """A line for each network and array."""
    head = ["network", "array", "images", "wrong bytes", "MACs", "plain", "locked", "bound", "ratio"]
    lines = []
    for row in rows:
        line = [TITLES[row["network"]], f"{row['rows']}x{row['cols']}", row["images"], row["mismatches"]]
        line += [f"{row['macs']:,}", f"{row['cycles_plain']:,.0f}", f"{row['cycles_locked']:,.0f}"]
        line += [f"{row['lower_bound']:,}", f"{row['ratio']:.3f}", f"{_use(row):.2f}"]
        lines.append([*line, f"{1e6 * _CLOCK_MHZ / row['cycles_locked']:,.0f}"])
    return Table([*head, "MACs / multiplier and cycle", f"inferences/s at {_CLOCK_MHZ} MHz"], lines)


def mlperf_section(result: dict[str, Any]) -> str:
    """A mlperf-tiny.json in Markdown."""
    found = result["accuracy"]["ic"]
    note = (
        f"\nImage classification on all {found['pictures']:,} test pictures of CIFAR-10: {percent(found['golden'])} right, "
        f"{found['engine']} {percent(found['tflite'])}; both name the same class on {percent(found['agreement'])}. "
        f"By `{result['command']}`.\n\n"
        "![MACs per multiplier and cycle of each network and array, and of the best published FPGA entry]"
        "(results/mlperf-tiny.png)\n"
    )
    return markdown(mlperf_table(result["rows"]), 2) + note


def mlperf_figure(result: dict[str, Any]) -> bytes:
    """MACs per multiplier and cycle as a PNG: bars for each network and array, and a line for what is published."""
    from matplotlib.figure import Figure

    rows = result["rows"]
    names = list(dict.fromkeys(row["network"] for row in rows))
    arrays = list(dict.fromkeys((row["rows"], row["cols"]) for row in rows))
    figure = Figure((8, 3.4), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(arrays)
    for row in rows:
        network, array = names.index(row["network"]), arrays.index((row["rows"], row["cols"]))
        at = network + (array - (len(arrays) - 1) / 2) * width
        label = f"{row['rows']}x{row['cols']}" if network == 0 else None
        axes.bar(at, _use(row), 0.92 * width, color=SERIES[array], label=label)
    for name, value in PUBLISHED.items():
        if name in names:
            at = names.index(name)
            label = "best published FPGA entry" if at == 0 else None
            axes.plot([at - 0.42, at + 0.42], [value] * 2, color=BLACK, linestyle="--", linewidth=1.2, label=label)
    axes.set_xticks(range(len(names)), [TITLES[name] for name in names])
    axes.set(ylabel="MACs / multiplier and cycle, locked", ylim=(0, 1))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    return png(figure)
