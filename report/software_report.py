"""Software (software.json) beside the accelerator (cycles.json): tables and a figure for pages of docs."""

from collections.abc import Sequence
from typing import Any

from deeplock.bench.software import cost
from deeplock.bench.workload import LOCKED
from deeplock.report.palette import BLUE, GREEN, GREY, LIGHT_BLUE, ORANGE, PURPLE, RED, SAND, TEAL, png
from deeplock.report.tables import Table

__all__ = [
    "COLOURS", "NAMES", "arrays_of", "comparison", "figure", "headline", "layer_rows", "networks_of", "pairs_of",
    "soc_table", "software_table", "timings",
]  # fmt: skip

Row = dict[str, Any]
NAMES = {
    "vexriscv": "VexRiscv",
    "vexriscv-cfu": "VexRiscv + custom instruction",
    "picorv32": "PicoRV32",
    "soc": "SoC: VexRiscv, accelerator 8x8",
    "host": "host, C",
    "pytorch-int8": "host, PyTorch int8",
    "pytorch-float32": "host, PyTorch float32",
}
"""Names of the platforms in tables and figures."""

COLOURS = {
    "VexRiscv": ORANGE,
    "VexRiscv + custom instruction": SAND,
    "PicoRV32": RED,
    "SoC: VexRiscv, accelerator 8x8": GREEN,
    "accelerator 4x4": LIGHT_BLUE,
    "accelerator 8x8": BLUE,
    "accelerator 8x16": TEAL,
    "accelerator 16x16": PURPLE,
}
"""Colours of the platforms in figures."""

_ON_THE_WAY = "on the way in"
"""Where the accelerator unlocks."""

_SOFTWARE = ("vexriscv", "picorv32")
"""Cores without a custom instruction."""


def networks_of(rows: Sequence[Row]) -> list[str]:
    """The names of the networks, in the order of the rows of software.json."""
    return list(dict.fromkeys(row["network"] for row in rows))


def pairs_of(rows: Sequence[Row], network: str) -> list[tuple[Row, Row, Row | None]]:
    """(plain, the variant of the paper's suite that costs least, its unlock-all) of each platform and memory."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row["network"] == network and row["suite"] in ("plain", LOCKED):
            found.setdefault((row["platform"], row["memory"]), []).append(row)
    result = []
    for variants in found.values():
        by_name = {row["variant"]: row for row in variants}
        locked = [row for name, row in by_name.items() if name != "plain"]
        result.append((by_name["plain"], min(locked, key=cost), by_name.get("unlock-all")))
    return result


def best_software(rows: Sequence[Row], network: str) -> Row:
    """The locked inference that takes the fewest cycles on a core without a custom instruction, with ideal memory."""
    pairs = pairs_of(rows, network)
    return min((locked for _, locked, _ in pairs if locked["platform"] in _SOFTWARE), key=cost)


def arrays_of(cycles: dict, network: str, suite: str = LOCKED) -> list[Row]:
    """The rows of cycles.json for this network and suite."""
    return [row for row in cycles["rows"] if (row["network"], row["suite"]) == (network, suite)]


def software_table(rows: Sequence[Row]) -> Table:
    """A line for each row of software.json: what `deeplock bench software` prints."""
    head = ["network", "platform", "memory", "suite", "variant"]
    head += ["cycles", "accelerator", "per MAC", "unlock per byte", "instructions", "µs"]
    cells: list[list[object]] = []
    for row in rows:
        figures: list[object] = [
            round(row["cycles"]) if "cycles" in row else "-",
            round(row["accelerator_cycles"]) if "accelerator_cycles" in row else "-",
            round(row["cycles_per_mac"], 2) if "cycles" in row else "-",
            round(row["unlock_cycles_per_byte"], 2) if row.get("unlock_cycles_per_byte") is not None else "-",
            round(row["instructions"]) if "instructions" in row else "-",
            round(row["nanoseconds"] / 1000, 1) if "nanoseconds" in row else "-",
        ]
        names = [row[name] for name in ("network", "platform", "memory", "suite", "variant")]
        cells.append([*names, *figures, round(row["ratio"], 2), "yes" if row["outputs_equal_golden"] else "NO"])
    return Table([*head, "locked / plain", "equal"], cells)


def comparison(software: dict, cycles: dict) -> Table:
    """Cycles per image of cores and arrays."""
    rows = software["rows"]
    head = ["network", "platform", "memory", "plain", "locked", "variant", "locked / plain", "cycles / MAC"]
    cells: list[list[object]] = []
    for network in networks_of(rows):
        best = cost(best_software(rows, network))
        for plain, locked, whole in pairs_of(rows, network):
            if "cycles" not in plain:
                continue
            on_the_way = locked["variant"] == "stream"
            unlock = (locked if on_the_way else whole or {}).get("unlock_cycles_per_byte")
            figures = [
                f"{locked['ratio']:.2f}",
                f"{plain['cycles_per_mac']:.2f}",
                "-" if unlock is None else f"{unlock:.2f}",
            ]
            variant = _ON_THE_WAY if on_the_way else locked["variant"]
            counts = [f"{plain['cycles']:,.0f}", f"{locked['cycles']:,.0f}", variant]
            names = [network, NAMES[plain["platform"]], plain["memory"]]
            cells.append([*names, *counts, *figures, f"{best / cost(locked):.2f}"])
        work = next(row["macs"] for row in rows if row["network"] == network)
        for row in arrays_of(cycles, network):
            plain, locked = row["cycles_plain"], row["cycles_locked"]
            figures = [f"{locked / plain:.3f}", f"{plain / work:.3f}", "0.00" if locked == plain else "-"]
            names = [network, f"accelerator {row['rows']}x{row['cols']}", "stream"]
            cells.append([*names, f"{plain:,.0f}", f"{locked:,.0f}", _ON_THE_WAY, *figures, f"{best / locked:,.0f}"])
    return Table([*head, "unlock cycles / byte", "speed-up"], cells)


def timings(software: dict) -> Table:
    """Instructions and time on this machine."""
    head = ["network", "platform", "suite", "variant", "instructions", "ratio", "time (µs)", "ratio"]
    cells: list[list[object]] = []
    for row in software["rows"]:
        if "nanoseconds" in row:
            counted = "instructions" in row
            instructions = [f"{row['instructions']:,.0f}", f"{row['ratio']:.2f}"] if counted else ["-", "-"]
            names = [row["network"], NAMES[row["platform"]], row["suite"], row["variant"]]
            cells.append([*names, *instructions, f"{row['nanoseconds'] / 1000:,.1f}", f"{row['time_ratio']:.2f}"])
    return Table(head, cells)


def soc_table(software: dict) -> Table:
    """Of each suite on the SoC: cycles of an inference by its host and by the accelerator, and over the best software."""
    head = [
        "network",
        "memory",
        "suite",
        "host",
        "accelerator",
        "host / accelerator",
        "key and program, once",
        "speed-up",
    ]
    rows, cells = software["rows"], []
    for row in rows:
        if row["platform"] == "soc":
            same = (other for other in rows if other["network"] == row["network"] and other["platform"] in _SOFTWARE)
            best = min(cost(other) for other in same if other["suite"] == row["suite"] and other["memory"] == "ideal")
            host, accelerator = row["cycles"], row["accelerator_cycles"]
            figures = [f"{host:,.0f}", f"{accelerator:,.0f}", f"{host / accelerator:.2f}", f"{row['load_cycles']:,}"]
            cells.append([row["network"], row["memory"], row["suite"], *figures, f"{best / host:,.0f} x"])
    return Table(head, cells)


def layer_rows(software: dict) -> Table:
    """Cycles of each layer with weights on VexRiscv, ideal memory."""
    head = ["network", "layer", "multiplications", "plain", "cycles / MAC", "fused", "cycles / MAC"]
    cells: list[list[object]] = []
    on_core = [row for row in software["rows"] if (row["platform"], row["memory"]) == ("vexriscv", "ideal")]
    for plain in on_core:
        if plain["variant"] != "plain":
            continue
        fused = next(row for row in on_core if (row["network"], row["variant"]) == (plain["network"], "fused"))
        for layer, other in zip(plain["layers"], fused["layers"], strict=True):
            if work := layer["macs"]:
                pair = [(f"{each['cycles']:,}", f"{each['cycles'] / work:.2f}") for each in (layer, other)]
                cells.append([plain["network"], layer["name"], f"{work:,}", *pair[0], *pair[1]])
    return Table(head, cells)


def headline(software: dict, cycles: dict) -> Table:
    """The cost of locking on each kind of machine, and the speed-up of the arrays and of the SoC."""
    rows = software["rows"]
    head = ["network", "RISC-V", "RISC-V + custom instruction", "host", "accelerator"]
    head = [*head, "8x8 over best software", "16x16 over best software", "SoC over best software"]
    cells: list[list[object]] = []
    for network in networks_of(rows):
        of_platform = {
            locked["platform"]: locked
            for _, locked, _ in pairs_of(rows, network)
            if locked["memory"] in ("ideal", "host")
        }
        best = cost(best_software(rows, network))
        arrays = {f"{row['rows']}x{row['cols']}": row for row in arrays_of(cycles, network)}
        picked = [arrays.get(name) for name in ("8x8", "16x16")]
        lock = [row["cycles_locked"] / row["cycles_plain"] for row in picked if row]
        machines = map(of_platform.get, ("vexriscv", "vexriscv-cfu", "host"))
        shares = [f"{row['ratio']:.2f}" if row else "-" for row in machines]
        counts = [row["cycles_locked"] if row else None for row in picked]
        counts.append(of_platform["soc"]["cycles"] if "soc" in of_platform else None)
        gains = [f"{best / count:,.0f} x" if count else "-" for count in counts]
        cells.append([network, *shares, f"{max(lock):.3f}" if lock else "-", *gains])
    return Table(head, cells)


def figure(software: dict, cycles: dict) -> bytes:
    """A PNG: cycles of a locked inference on each platform, and their ratio to those of a plain one."""
    from matplotlib.figure import Figure

    rows, networks = software["rows"], networks_of(software["rows"])
    bars: dict[str, dict[str, tuple[float, float]]] = {}
    for network in networks:
        for plain, locked, _ in pairs_of(rows, network):
            if plain["memory"] == "ideal":
                bars.setdefault(NAMES[plain["platform"]], {})[network] = (cost(plain), cost(locked))
        for row in arrays_of(cycles, network):
            if row["rows"] == row["cols"]:
                name = f"accelerator {row['rows']}x{row['cols']}"
                bars.setdefault(name, {})[network] = (row["cycles_plain"], row["cycles_locked"])
    order = sorted(bars, key=lambda name: -max(pair[1] / bars["VexRiscv"][net][1] for net, pair in bars[name].items()))
    drawn = Figure((10.5, 4))
    left, right = drawn.subplots(1, 2, width_ratios=(2, 3))
    width = 0.8 / len(order)
    for index, name in enumerate(order):
        found = [(place, *bars[name][net]) for place, net in enumerate(networks) if net in bars[name]]
        places = [place + width * (index - (len(order) - 1) / 2) for place, *_ in found]
        style = {"label": name, "color": COLOURS.get(name, GREY)}
        left.plot(places, [locked for _, _, locked in found], "o", markersize=5, **style)
        added = right.bar(places, [100 * (locked / plain - 1) for _, plain, locked in found], width, **style)
        right.bar_label(added, fmt="%.0f", fontsize=6)
    left.set(yscale="log", ylabel="cycles per image, locked")
    left.grid(axis="y", linewidth=0.4)
    right.margins(y=0.08)
    right.set(ylabel="cycles that locking adds (%)", ylim=(0, None))
    for axes in (left, right):
        axes.set_xticks(range(len(networks)), networks, fontsize=8)
        axes.set_xlim(-0.5, len(networks) - 0.5)
    drawn.legend(*left.get_legend_handles_labels(), loc="lower center", ncols=3, frameon=False, fontsize=8)
    drawn.subplots_adjust(bottom=0.24, wspace=0.25)
    return png(drawn)
