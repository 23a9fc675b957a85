"""Take measured figures into README.md and docs/results: python report/results.py [DEMO|FILE ...]

DEMO is the folder of a `deeplock demo`, FILE a file of docs/results: accuracy, cycles, cycles-batch, board, area,
software or security.json; by default build/demo, if it is there, and every such file that is. Each time it also draws
docs/datapath.svg.
"""

import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from deeplock.bench.accuracy import table as accuracy_table
from deeplock.bench.board import table as board_table
from deeplock.bench.rtl import table as cycles_cells
from deeplock.cli.output import markdown_table
from deeplock.report import software_area, software_report
from deeplock.report.attack_report import security_figures, security_tables
from deeplock.report.datapath import draw
from deeplock.report.demo_report import report_rows
from deeplock.report.synth_report import area_figure, area_summary, area_tables

DOCS = Path(__file__).resolve().parents[1] / "docs"
RESULTS = DOCS / "results"
README = DOCS.parent / "README.md"
FPGA = DOCS / "fpga.md"
SECURITY = DOCS / "security.md"
BENCHMARKS = DOCS / "benchmarks.md"


def put_between(text: str, name: str, content: str) -> str:
    """The text with this content between the marks of that name, `<!-- name: ... -->` and `<!-- /name -->`."""
    marks = re.compile(rf"(<!-- {name}: [^\n]*-->\n).*?(<!-- /{name} -->)", re.DOTALL)
    result, count = marks.subn(lambda found: found[1] + content + found[2], text)
    if count != 1:
        raise ValueError(f"marks of {name} must be there once, not {count} times")
    return result


def put_table(text: str, report: dict) -> str:
    """README.md with the figures of this report of a demo."""
    rows = "".join(f"| {what} | {figure} |\n" for what, figure in report_rows(report))
    return put_between(text, "demo", f"| | |\n|---|--:|\n{rows}")


def put_accuracy(text: str, result: dict) -> str:
    """README.md with the figures of this accuracy.json."""
    head, rows = accuracy_table(result["networks"])
    keys, images, few = (
        "/".join(sorted({f"{entry[name]:,}" for entry in result["networks"].values()}))
        for name in ("wrong_keys", "images", "wrong_key_images")
    )
    note = (
        f"\n{images} test images; mean ± standard deviation over {keys} random wrong keys on the first {few} of them. "
        "float32 as recorded in training; all else by the golden model's arithmetic.\n\n"
        "![accuracy of each network: float32, int8, locked with the right key and with wrong ones]"
        "(docs/results/accuracy.png)\n"
    )
    return put_between(text, "accuracy", markdown_table(head, rows, 1) + note)


def draw_accuracy(result: dict, path: Path) -> None:
    """Bars for each network, with the standard deviation over the wrong keys."""
    from matplotlib.figure import Figure

    networks = result["networks"]
    figure = Figure((8, 3.6))
    axes = figure.subplots()
    bars = {
        "float32": ("float", "#b8b8b8"),
        "int8": ("int8", "#7fa8d1"),
        "locked, right key": ("unlocked", "#2f6fb0"),
        "locked, wrong keys": ("wrong_key_mean", "#d9792b"),
    }
    for index, (label, (column, colour)) in enumerate(bars.items()):
        places = [place + 0.2 * (index - 1.5) for place in range(len(networks))]
        heights = [100 * entry[column] for entry in networks.values()]
        wrong = column == "wrong_key_mean"
        errors = [100 * entry["wrong_key_std"] for entry in networks.values()] if wrong else None
        drawn = axes.bar(places, heights, 0.19, yerr=errors, capsize=3, label=label, color=colour)
        axes.bar_label(drawn, fmt="%.1f", padding=2, fontsize=8)
    axes.axhline(10, color="black", linestyle="--", linewidth=0.8, label="chance")
    axes.set_xticks(range(len(networks)), list(networks))
    axes.set(ylabel="test accuracy (%)", ylim=(0, 110))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=5, frameon=False, fontsize=8)
    figure.savefig(path, format="png", dpi=130, bbox_inches="tight", metadata={"Software": None})


def take_demo(folder: Path) -> None:
    text = (folder / "report.json").read_text()
    (RESULTS / "demo.json").write_text(text)
    for name in ("accuracy", "cycles", "digits", "bytes"):
        (RESULTS / f"demo-{name}.png").write_bytes((folder / f"{name}.png").read_bytes())
    README.write_text(put_table(README.read_text(), json.loads(text)))


def take_accuracy(path: Path) -> None:
    result = json.loads(path.read_text())
    README.write_text(put_accuracy(README.read_text(), result))
    draw_accuracy(result, RESULTS / "accuracy.png")


def cycles_table(result: dict) -> str:
    """A cycles.json as a Markdown table."""
    head, cells = cycles_cells(result["rows"])
    return markdown_table(head, cells, 2)


def cycles_figure(result: dict) -> bytes:
    """A cycles.json as a PNG: for each network and array, cycles by cause over the lower bound."""
    import matplotlib
    import numpy as np
    from matplotlib.figure import Figure

    rows = result["rows"]
    causes = [name for name in rows[0]["counters"] if name != "CYCLES" and any(r["counters"][name] for r in rows)]
    names = [f"{row['network']} {row['rows']}x{row['cols']}" for row in rows]
    figure = Figure((8, 1.2 + 0.3 * len(rows)))
    axes = figure.subplots()
    left = np.zeros(len(rows))
    for index, cause in enumerate(causes):
        share = np.array([row["counters"][cause] / row["lower_bound"] for row in rows])
        colour = matplotlib.colormaps["tab10"](index)
        axes.barh(range(len(rows)), share, left=left, color=colour, label=cause.lower().replace("_", " "), height=0.7)
        left += share
    for index, row in enumerate(rows):
        axes.text(left[index], index, f" {row['ratio']:.3f}", va="center", fontsize=8)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.axvline(1.1, color="black", linestyle="--", linewidth=0.8)
    axes.set_yticks(range(len(rows)), names)
    axes.invert_yaxis()
    axes.set(xlabel="cycles per image, locked, over the lower bound (dashed: 1.10)", xlim=(0, 1.12 * left.max()))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1 - 1 / (2 + len(rows))), ncols=4, frameon=False)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=130, bbox_inches="tight")
    return file.getvalue()


def put_cycles(text: str, name: str, result: dict) -> str:
    """README.md with the figures of cycles.json or, for batches, cycles-batch.json; `name` without .json."""
    lines = [
        "| network | array | lower bound | cycles, plain | cycles, locked | ratio |\n",
        "|---|---|--:|--:|--:|--:|\n",
    ]
    for row in result["rows"]:
        lines.append(
            f"| {row['network']} | {row['rows']}x{row['cols']} | {row['lower_bound']:,} | {row['cycles_plain']:,.0f} "
            f"| {row['cycles_locked']:,.0f} | {row['ratio']:.3f} |\n"
        )
    wrong = sum(row["mismatches"] for row in result["rows"])
    starved = sum(row["key_starved_cycles"] for row in result["rows"])
    note = (
        f"\nEvery byte of every ofmap is compared with the golden model: {wrong} differ. Cycles in which the array waited for "
        f"a key byte: {starved:g}. All counters: [docs/results/{name}.md](docs/results/{name}.md).\n\n"
        f"![cycles by cause, as a multiple of the lower bound](docs/results/{name}.png)\n"
    )
    return put_between(text, name, "".join(lines) + note)


def take_cycles(file: Path) -> None:
    result = json.loads(file.read_text())
    README.write_text(put_cycles(README.read_text(), file.stem, result))
    how = f"Cycles per image, back to back, by `{result['command']}` on {result['machine']}.\n\n"
    (RESULTS / f"{file.stem}.md").write_text(how + cycles_table(result))
    (RESULTS / f"{file.stem}.png").write_bytes(cycles_figure(result))


def take_board(file: Path) -> None:
    result = json.loads(file.read_text())
    head, cells = board_table(result["rows"])
    table = markdown_table(head, cells, 3)
    FPGA.write_text(put_between(FPGA.read_text(), "board", table + f"\nBy `{result['command']}`.\n"))


def take_area(file: Path) -> None:
    result = json.loads(file.read_text())
    for name, content in area_tables(result).items():
        FPGA.write_text(put_between(FPGA.read_text(), name, content))
    README.write_text(put_between(README.read_text(), "area", area_summary(result)))
    (RESULTS / "area.png").write_bytes(area_figure(result))


def put_software(text: str, software: dict, cycles: dict, area: dict) -> str:
    """docs/benchmarks.md with the figures of this software.json, cycles.json and area.json."""
    tables = {
        "software": (software_report.comparison(software, cycles), 3),
        "software-host": (software_report.timings(software), 3),
        "software-layers": (software_report.layer_rows(software), 2),
    }
    for name, ((head, cells), words) in tables.items():
        text = put_between(text, name, markdown_table(head, cells, words))
    head, cells = software_area.area_table(software, cycles, area)
    content = "Not measured yet: `deeplock synth --sweep fpga/flow/area.toml --json docs/results/area.json`.\n"
    if cells:
        content = markdown_table(head, cells, 1) + f"\nBy `{area['command']}`.\n{AREA_FIGURE}"
    text = put_between(text, "software-area", content)
    return put_between(text, "software-command", f"By `{software['command']}` on {software['machine']}.\n")


AREA_FIGURE = "\n![cycles of a locked inference against LUT4, lines of equal product](results/software-area.png)\n"


def take_software(file: Path) -> None:
    software, cycles = json.loads(file.read_text()), json.loads((RESULTS / "cycles.json").read_text())
    path = RESULTS / "area.json"
    area = json.loads(path.read_text()) if path.exists() else {"rows": [], "components": []}
    text = put_software(BENCHMARKS.read_text(), software, cycles, area)
    BENCHMARKS.write_text(text)
    (RESULTS / "software.png").write_bytes(software_report.figure(software, cycles))
    if AREA_FIGURE in text:
        (RESULTS / "software-area.png").write_bytes(software_area.area_figure(software, cycles, area))
    table = markdown_table(*software_report.headline(software, cycles), 1)
    README.write_text(put_between(README.read_text(), "software", table))


def take_security(file: Path) -> None:
    result = json.loads(file.read_text())
    for name, content in security_tables(result).items():
        SECURITY.write_text(put_between(SECURITY.read_text(), name, content))
    for name, content in security_figures(result).items():
        (RESULTS / f"security-{name}.png").write_bytes(content)


TAKE: dict[str, Callable[[Path], None]] = {
    "accuracy.json": take_accuracy,
    "cycles.json": take_cycles,
    "cycles-batch.json": take_cycles,
    "board.json": take_board,
    "software.json": take_software,
    "area.json": take_area,
    "security.json": take_security,
}
"""By file name; any other name is a demo's folder."""


if __name__ == "__main__":
    RESULTS.mkdir(exist_ok=True)
    (DOCS / "datapath.svg").write_text(draw())
    found = [path for path in (Path("build/demo"), *(RESULTS / name for name in TAKE)) if path.exists()]
    for path in [Path(argument) for argument in sys.argv[1:]] or found:
        TAKE.get(path.name, take_demo)(path)
