"""Tables, text and figure of accuracy.json, for README.md, docs/measured.md and `deeplock evaluate --paper`."""

from typing import Any

from deeplock.pymodel.zoo.datasets import CLASSES
from deeplock.report.palette import BLUE, GREY, LIGHT_BLUE, ORANGE, png
from deeplock.report.tables import Table, markdown, percent

__all__ = ["accuracy_figure", "accuracy_section", "accuracy_summary", "accuracy_table"]


def accuracy_table(networks: dict[str, Any]) -> Table:
    """A line for each network."""
    head = ["network", "parameters", "float32", "int8", "locked, right key", "locked, wrong keys"]
    rows = [
        [
            name,
            f"{entry['parameters']:,}",
            *(percent(entry[column]) for column in ("float", "int8", "unlocked")),
            f"{percent(entry['wrong_key_mean'])} ± {100 * entry['wrong_key_std']:.2f}",
        ]
        for name, entry in networks.items()
    ]
    return Table(head, rows)


def accuracy_summary(result: dict[str, Any]) -> str:
    """An accuracy.json in Markdown, without what all networks have in common."""
    head, rows = accuracy_table(result["networks"])
    shown = [index for index, name in enumerate(head) if name != "parameters"]
    return markdown(Table([head[index] for index in shown], [[row[index] for index in shown] for row in rows]), 1)


def accuracy_section(result: dict[str, Any]) -> str:
    """An accuracy.json in Markdown."""
    keys, images, few = (
        " or ".join(sorted({f"{entry[name]:,}" for entry in result["networks"].values()}))
        for name in ("wrong_keys", "images", "wrong_key_images")
    )
    note = (
        f"\n{images} test images; mean ± standard deviation over {keys} random wrong keys on the first {few} of them. "
        "float32 as recorded in training; all else by the golden model's arithmetic.\n\n"
        "![accuracy of each network: float32, int8, locked with the right key and with wrong ones]"
        "(results/accuracy.png)\n"
    )
    return markdown(accuracy_table(result["networks"]), 1) + note


def accuracy_figure(result: dict[str, Any]) -> bytes:
    """A PNG: bars for each network, with the standard deviation over the wrong keys."""
    from matplotlib.figure import Figure

    networks = result["networks"]
    figure = Figure((8, 3.6))
    axes = figure.subplots()
    bars = {
        "float32": ("float", GREY),
        "int8": ("int8", LIGHT_BLUE),
        "locked, right key": ("unlocked", BLUE),
        "locked, wrong keys": ("wrong_key_mean", ORANGE),
    }
    for index, (label, (column, colour)) in enumerate(bars.items()):
        places = [place + 0.2 * (index - 1.5) for place in range(len(networks))]
        heights = [100 * entry[column] for entry in networks.values()]
        wrong = column == "wrong_key_mean"
        errors = [100 * entry["wrong_key_std"] for entry in networks.values()] if wrong else None
        drawn = axes.bar(places, heights, 0.19, yerr=errors, capsize=3, label=label, color=colour)
        axes.bar_label(drawn, fmt="%.1f", padding=2, fontsize=8)
    chances = [100 / len(CLASSES[name]) for name in networks]
    left, right = ([place + side for place in range(len(networks))] for side in (-0.45, 0.45))
    axes.hlines(chances, left, right, color="black", linestyle="--", linewidth=0.8, label="chance")
    axes.set_xticks(range(len(networks)), list(networks))
    axes.set(ylabel="test accuracy (%)", ylim=(0, 110))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=5, frameon=False, fontsize=8)
    return png(figure)
