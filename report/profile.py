"""The profile of `deeplock simulate`: where the cycles of each layer went, as a table and as a picture.

`layers` are dicts of pymodel.spec.layers.LayerFacts, each with its "counters" of a run of `inferences` inferences.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from deeplock.pymodel.spec.registers import COUNTERS
from deeplock.report.palette import CAUSES, in_words, png
from deeplock.report.tables import Table, readable

__all__ = ["draw", "table"]

_BOUNDS = ("lower_bound", "array_bound")


def _present(layers: Sequence[dict[str, Any]]) -> list[str]:
    """The causes that cost any cycle."""
    return [cause for cause in CAUSES if any(layer["counters"][cause] for layer in layers)]


def table(layers: Sequence[dict[str, Any]], inferences: int) -> Table:
    """Cycles per inference of each layer and of all, causes that cost no cycle left out."""
    causes, shapes = _present(layers), ("input", "output", "kernel", "pool")

    def cells(name: object, what: list[object], layer: dict[str, Any]) -> list[object]:
        cycles = layer["counters"]["CYCLES"] / inferences
        figures: list[object] = [round(cycles, 1)]
        for bound in _BOUNDS:
            figures += [layer[bound], round(cycles / layer[bound], 3) if layer[bound] else "-"]
        return [name, *what, *figures, *(round(layer["counters"][cause] / inferences, 1) for cause in causes)]

    rows = [
        cells(f"{number} {layer['name']}", [readable(layer[shape]) for shape in shapes], layer)
        for number, layer in enumerate(layers, 1)
    ]
    sums = {name: sum(layer["counters"][name] for layer in layers) for name, _ in COUNTERS}
    total = {"counters": sums} | {bound: sum(layer[bound] for layer in layers) for bound in _BOUNDS}
    rows.append(cells("all", [""] * len(shapes), total))
    bounds = chain(*((in_words(bound), "ratio") for bound in _BOUNDS))
    return Table(["layer", *shapes, "cycles", *bounds, *map(in_words, causes)], rows)


def draw(layers: Sequence[dict[str, Any]], inferences: int, title: str) -> bytes:
    """A PNG: for each layer its cycles per inference by cause, with its bounds, and the causes' shares."""
    names = [
        f"{number}: {readable(each['input'])} → {readable(each['output'])}" for number, each in enumerate(layers, 1)
    ]
    cycles = np.array([layer["counters"]["CYCLES"] for layer in layers]) / inferences
    bounds = {name: np.array([layer[name] for layer in layers]) for name in _BOUNDS}
    places = np.arange(len(layers))
    figure = Figure((11, 1.5 + 0.36 * len(layers)), layout="constrained")
    absolute, share = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    left = np.zeros(len(layers))
    for cause in _present(layers):
        part = np.array([layer["counters"][cause] for layer in layers]) / inferences
        style = {"color": CAUSES[cause], "height": 0.7, "label": in_words(cause)}
        absolute.barh(places, part, left=left, **style)
        share.barh(places, 100 * part / cycles, left=100 * left / cycles, **style)
        left += part
    for (name, bound), line in zip(bounds.items(), ("solid", (0, (2, 1))), strict=True):
        style = {"color": "black", "linewidth": 1.5, "linestyles": line, "label": in_words(name)}
        absolute.vlines(bound, places - 0.45, places + 0.45, **style)
    for place, cycle, bound in zip(places, cycles, bounds["array_bound"], strict=True):
        label = f"  {cycle:,.0f} = {cycle / bound:.2f} x array bound"
        absolute.text(max(cycle, bound), place, label, va="center", fontsize=8)
    absolute.set_yticks(places, names)
    absolute.invert_yaxis()
    absolute.set(xlabel="cycles per inference", xlim=(0, 1.5 * max(*cycles, *bounds["array_bound"])))
    absolute.xaxis.set_major_formatter("{x:,.0f}")
    share.set(xlabel="share of the layer's cycles (%)", xlim=(0, 100))
    figure.suptitle(title)
    figure.legend(*absolute.get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    return png(figure, tight=False)
