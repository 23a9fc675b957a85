"""Cycles times LUT4 of each platform, for docs/benchmarks.md: area.json beside software.json and cycles.json."""

from dataclasses import asdict
from itertools import cycle
from typing import Any

from deeplock.pymodel.spec.config import Config
from deeplock.report.palette import GREY, png
from deeplock.report.software_report import COLOURS, NAMES, arrays_of, networks_of, pairs_of
from deeplock.report.tables import Table

__all__ = ["DEVICE", "area_figure", "area_table"]

DEVICE = "lfe5u-85f"
"""The device of all areas. The smaller ECP5 has too little block RAM for the arrays as they are simulated."""

_UNIT = "accelerator 8x8"
_SIMULATED = ("rows", "cols", "bytes_per_beat", "activation_words")
"""Fields of an accelerator in a row of cycles.json; all others have their defaults (bench.rtl.config_for)."""

Row = dict[str, Any]


def _core_area(platform: str, area: dict) -> Row | None:
    wanted = {"device": DEVICE, "component": "riscv", "core": platform}
    return next((row for row in area["components"] if wanted.items() <= row.items()), None)


def _array_area(array: Row, area: dict) -> Row | None:
    config = Config(**{name: array[name] for name in _SIMULATED})
    wanted = {"device": DEVICE, "board": None, **asdict(config), "key_sizes": list(config.key_sizes)}
    found = (row for row in area["rows"] if all(row.get(name, value) == value for name, value in wanted.items()))
    return next(found, None)  # what a row lacks was added to Config after it was measured


def _platforms(software: dict, cycles: dict, area: dict) -> dict[str, tuple[Row, dict[str, float]]]:
    """Of each synthesised platform, by name: resources, and cycles of a locked inference of each network, ideal memory."""
    found: dict[str, tuple[Row, dict[str, float]]] = {}

    def add(name: str, resources: Row | None, network: str, count: float) -> None:
        if resources is not None:
            found.setdefault(name, (resources, {}))[1][network] = count

    for network in networks_of(software["rows"]):
        for _, locked, _ in pairs_of(software["rows"], network):
            platform = locked["platform"]
            if locked["memory"] == "ideal":
                add(NAMES[platform], _core_area(platform, area), network, locked["cycles"])
        for row in arrays_of(cycles, network):
            name = f"accelerator {row['rows']}x{row['cols']}"
            add(name, _array_area(row, area), network, row["cycles_locked"])
    return found


def area_table(software: dict, cycles: dict, area: dict) -> Table:
    """Resources of each platform, and cycles x LUT4: in millions and, in brackets, over the 8x8 array's."""
    platforms, networks = _platforms(software, cycles, area), networks_of(software["rows"])
    unit, of_unit = platforms.get(_UNIT, ({}, {}))
    cells: list[list[object]] = []
    for name, (resources, counts) in platforms.items():
        products = []
        for network in networks:
            product = resources["lut4"] * counts.get(network, 0)
            text = f"{product / 1e6:,.1f}" if product else "-"
            if product and network in of_unit:
                text += f" ({product / (unit['lut4'] * of_unit[network]):,.2f} x)"
            products.append(text)
        cells.append([name, *(f"{resources[what]:,}" for what in ("lut4", "ff", "bram", "dsp")), *products])
    return Table(["platform", "LUT4", "FF", "BRAM", "DSP", *networks], cells)


def area_figure(software: dict, cycles: dict, area: dict) -> bytes:
    """A PNG: cycles against LUT4, a colour for each platform, a mark for each network; on a line the product is the same."""
    import numpy as np
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    platforms, networks = _platforms(software, cycles, area), networks_of(software["rows"])
    marks = dict(zip(networks, cycle("osD^vP*X"), strict=False))
    figure = Figure((8, 5.5))
    axes = figure.subplots()
    for name, (resources, counts) in platforms.items():
        for network, count in counts.items():
            axes.plot(resources["lut4"], count, marks[network], color=COLOURS.get(name, GREY), markersize=7)
        axes.plot([], [], "s", color=COLOURS.get(name, GREY), label=name)
    for network, mark in marks.items():
        axes.plot([], [], mark, color="none", markeredgecolor="black", label=network)
    axes.set(xscale="log", yscale="log", ylabel="cycles per image, locked")
    axes.set_xlabel("LUT4; along a line cycles x LUT4 stays the same, from line to line it is ten times as much")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.margins(0.08)
    wide, tall = axes.get_xlim(), axes.get_ylim()
    ends = np.array(wide)
    for power in range(int(np.log10(wide[0] * tall[0])), int(np.log10(wide[1] * tall[1])) + 1):
        axes.plot(ends, 10.0**power / ends, color=GREY, linewidth=0.8, zorder=0)
    axes.set(xlim=wide, ylim=tall)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=8)
    return png(figure)
