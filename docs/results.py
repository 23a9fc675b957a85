"""Take measured figures into README.md and docs/results: python docs/results.py [DEMO|FILE ...]

DEMO is the folder of a `deeplock demo`, FILE docs/results/accuracy.json; by default build/demo, if it is there, and
every such file that is.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from cli.demo_report import report_rows
from cli.evaluate_paper import table as accuracy_table

DOCS = Path(__file__).resolve().parent
RESULTS = DOCS / "results"
README = DOCS.parent / "README.md"


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
    lines = [f"| {' | '.join(map(str, row))} |\n" for row in (head, ["---"] + ["--:"] * (len(head) - 1), *rows)]
    note = (
        f"\n{images} test images; mean ± standard deviation over {keys} random wrong keys on the first {few} of them. "
        "float32 as recorded in training; all else by the golden model's arithmetic.\n\n"
        "![accuracy of each network: float32, int8, locked with the right key and with wrong ones]"
        "(docs/results/accuracy.png)\n"
    )
    return put_between(text, "accuracy", "".join(lines) + note)


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


TAKE: dict[str, Callable[[Path], None]] = {"accuracy.json": take_accuracy}
"""By file name; any other name is a demo's folder."""

if __name__ == "__main__":
    RESULTS.mkdir(exist_ok=True)
    usual = [path for path in (Path("build/demo"), *map(RESULTS.joinpath, TAKE)) if path.exists()]
    for path in list(map(Path, sys.argv[1:])) or usual:
        TAKE.get(path.name, take_demo)(path)
        print(f"{path}: taken")
