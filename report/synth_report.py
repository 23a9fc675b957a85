"""Markdown tables and a figure of area.json, for report/results.py."""

from statistics import median
from typing import Any

from deeplock.pymodel.spec.config import ON_DEMAND, Config
from deeplock.report.board_rates import rates_table
from deeplock.report.palette import BLACK, BLUE, GREY, ORANGE, PURPLE, SERIES, TEAL, png
from deeplock.report.synth_tables import component_table, core_table, plain_of
from deeplock.report.tables import Table, markdown

__all__ = ["area_figure", "area_summary", "area_tables", "suites_area"]

_REST = "all else"

_PARTS = {
    "array": ("array",),
    "accumulators, post-processing": ("accumulator", "post", "ofmap_buffer"),
    "activations": ("activation_memory", "feeder", "unfolder", "issue"),
    "weights": ("weight_loader",),
    "registers": ("registers",),
    _REST: (),
}
"""Parts of the figure, and the modules in them."""

_LOCKS = {"deep-lock": ORANGE, "acorn": BLUE, "ascon": TEAL, "tinyjambu": PURPLE}

Row = dict[str, Any]


def area_tables(result: dict) -> dict[str, str]:
    """Markdown tables, by the names of their marks in docs/fpga.md."""
    tools = ", ".join(f"{name} {version}" for name, version in result["tools"].items())
    how = f"\nBy `{result['command']}`. {tools}.\n"
    boards = [row for row in result["rows"] if row["board"] is not None]
    figure = "\n![LUT4 of the plain accelerator by module, what each lock adds, and the clock of each seed](results/area.png)\n"
    return {
        "cores": markdown(core_table(_cores(result)), 7) + figure + how,
        "options": markdown(_options_table(result), 2),
        "boards": markdown(core_table(boards), 7) if boards else "",
        "rates": markdown(rates_table(boards), 4),
        "components": markdown(component_table(result["components"]), 4),
    }


def _cores(result: dict) -> list[Row]:
    """Accelerators alone, without options."""
    return [row for row in result["rows"] if row["board"] is None and not _options(row)]


def _options(row: Row) -> list[str]:
    return [name for name in ON_DEMAND if row.get(name)]


def _options_table(result: dict) -> Table:
    """What options cost: a line for each accelerator that was measured with some, and how much more than without them."""
    measured = {"lut4": "LUT4", "ff": "FF", "bram": "BRAM", "dsp": "DSP"}
    lines = []
    for row in result["rows"]:
        if row["board"] is None and _options(row):
            same = {name: row[name] for name in ("device", *vars(Config())) if name not in ON_DEMAND}
            without = next(other for other in _cores(result) if same.items() <= other.items())
            cells = [f"{row[name]} ({row[name] - without[name]:+d})" for name in measured]
            array = f"{row['rows']}x{row['cols']}"
            lines.append([row["device"], array, row["lanes"], row["suite"], " and ".join(_options(row)), *cells])
    return Table(["device", "array", "lanes", "suite", "option", *measured.values()], lines)


_README_SHOWS = (("lfe5u-85f", "8x8"), ("up5k", "4x4"))
"""Device and array of the rows that README.md shows."""


def area_summary(result: dict) -> str:
    """What the suites cost, for README.md: a line for each suite on a large and on a small device."""
    head, rows = core_table(_cores(result))
    device, array, suite, more = (head.index(name) for name in ("device", "array", "suite", "LUT4 more"))
    chosen = [
        row for row in rows if (row[device], row[array]) in _README_SHOWS and (row[suite] == "plain" or row[more])
    ]
    shown = [head.index(name) for name in ("device", "array", "suite", "LUT4", "FF", "BRAM", "DSP", "LUT4 more")]
    return markdown(Table([head[index] for index in shown], [[row[index] for index in shown] for row in chosen]), 3)


def suites_area(result: dict) -> str:
    """What the suites cost, for docs/choosing-a-suite.md: a line for each core whose plain form has been measured too."""
    head, rows = core_table(_cores(result))
    shown = [
        head.index(name)
        for name in ("device", "array", "B", "suite", "S-box", "LUT4", "FF", "BRAM", "LUT4 more", "MHz", "clock")
    ]
    suites = head.index("suite"), head.index("LUT4 more")
    lines = [[line[index] for index in shown] for line in rows if line[suites[0]] == "plain" or line[suites[1]]]
    return markdown(Table([head[index] for index in shown], lines), 5)


def _luts_of(row: Row, part: str) -> int:
    """LUT4 of a part and all that is in it."""
    places = [(name.split(".")[0], module["lut4"]) for name, module in row["modules"].items()]
    named = {name for names in _PARTS.values() for name in names}
    return sum(luts for name, luts in places if name in _PARTS[part] or (part == _REST and name not in named))


def _groups(rows: list[Row]) -> list[tuple[Row, list[Row]]]:
    """(plain accelerator, the locked ones that are the same but for the lock) of each device and array."""
    found = [(plain, [row for row in rows if plain_of(row, rows) is plain]) for plain in rows if not plain["key_sizes"]]
    return [(plain, locked) for plain, locked in found if locked]


def area_figure(result: dict) -> bytes:
    """PNG: for each device and array the plain accelerator by module; beside it what each lock adds, and the clocks."""
    from matplotlib.figure import Figure

    groups = _groups(_cores(result))
    places, labels, bounds, start = {}, {}, [], 0
    for number, (plain, locked) in enumerate(groups):
        for row in (plain, *locked):
            places[start] = (number, row)
            labels[start] = f"{row['suite']}, {row['sbox']}" if row["sbox"] else row["suite"]
            start += 1
        bounds.append((start - 1 - len(locked), start - 1))
        start += 1
    figure = Figure((12, 1.4 + 0.2 * start), layout="constrained")
    whole, more, clock = figure.subplots(1, 3, width_ratios=(3, 3, 2))
    middles = [(first + last) / 2 for first, last in bounds]
    left = [0] * len(groups)
    for part, colour in zip(_PARTS, SERIES, strict=False):
        luts = [_luts_of(plain, part) for plain, _ in groups]
        whole.barh(middles, luts, 1.6, left=left, label=part, color=GREY if part == _REST else colour)
        left = [edge + count for edge, count in zip(left, luts, strict=True)]
    for place, (number, row) in places.items():
        plain = groups[number][0]
        if row is not plain:
            added = row["lut4"] - plain["lut4"]
            more.barh(place, added, 0.75, color=_LOCKS[row["suite"]])
            more.text(added, place, f" {100 * added / plain['lut4']:+.1f} %", va="center", fontsize=8)
        clock.plot(row["fmax_mhz"], [place] * len(row["fmax_mhz"]), "o", color=BLUE, markersize=3, alpha=0.7)
        if row["fmax_mhz"]:
            clock.plot([median(row["fmax_mhz"])], [place], "|", color=BLACK, markersize=10)
    whole.set_yticks(middles, [f"{plain['device']} {plain['rows']}x{plain['cols']}" for plain, _ in groups])
    whole.set_xlabel("LUT4 of the plain accelerator")
    more.set_yticks(list(places), [labels[place] for place in places], fontsize=8)
    more.set(xlabel="LUT4 that the lock adds", xlim=(0, 1.2 * max(bar.get_width() for bar in more.patches)))
    clock.set_yticks(list(places), [""] * len(places))
    clock.margins(x=0.08)
    clock.set(xlabel="MHz of each seed; bar: median", xlim=(0, None))
    clock.grid(axis="x", linewidth=0.4)
    for axes in (whole, more, clock):
        axes.set_ylim(start - 1.4, -0.6)
    figure.legend(*whole.get_legend_handles_labels(), loc="outside lower left", ncols=6, frameon=False, fontsize=8)
    return png(figure)
