"""The tables of `deeplock synth`, from the rows of its JSON."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from deeplock.report.tables import Table

__all__ = ["component_table", "core_table", "key_of", "module_table", "plain_of", "timing_lines", "utilisation_table"]

_RESOURCES = ("lut4", "ff", "carry", "bram", "dsp", "spram", "lutram")
_RESULTS = ("seeds", "fmax_mhz", "meets", "critical_path", "cells", "modules", "harness", "error", "digest")
_OF_LOCK = ("suite", "sbox", "key_sizes", "ofmap_bytes")

Row = dict[str, Any]


def _clock(row: Row) -> str:
    """Median and range over the seeds, and the clock that a board needs."""
    clocks = row["fmax_mhz"]
    text = f"{median(clocks):.1f} ({min(clocks):.1f}..{max(clocks):.1f})"
    return f"{text} of {row['clock_mhz']:g}" if row["board"] else text


def _megahertz(row: Row) -> str:
    """The clock as a table's cell, if any seed has one; it also shows whether other seeds do not fit."""
    if not row["fmax_mhz"]:
        return "does not fit" if row["error"] else ""
    return _clock(row) + ("; other seeds do not fit" if row["error"] else "")


def plain_of(row: Row, rows: Sequence[Row]) -> Row | None:
    """The row that is the same except for having no lock."""

    def rest(row: Row) -> list:
        measured = {*_OF_LOCK, *_RESOURCES, *_RESULTS}
        return [value for name, value in row.items() if name not in measured]

    if not row["key_sizes"]:
        return None
    return next((other for other in rows if not other["key_sizes"] and rest(other) == rest(row)), None)


def key_of(row: Row) -> str:
    """The key sizes of a row, in bytes."""
    return ", ".join(map(str, row["key_sizes"]))


def core_table(rows: Sequence[Row]) -> Table:
    """A line for each accelerator and board; a locked one's also shows its overhead over the plain one."""
    head = [
        "device",
        "array",
        "B",
        "lanes",
        "suite",
        "S-box",
        "key bytes",
        "LUT4",
        "FF",
        "BRAM",
        "DSP",
        "MHz",
        "LUT4 more",
        "clock",
    ]
    lines = []
    for row in rows:
        line = [row["board"] or row["device"], f"{row['rows']}x{row['cols']}"]
        line += [row["bytes_per_beat"], row["lanes"], row["suite"]]
        line += [row["sbox"] or "", key_of(row)]
        line += [row[name] for name in ("lut4", "ff", "bram", "dsp")] + [_megahertz(row)]
        plain = plain_of(row, rows)
        line.append(f"{100 * (row['lut4'] / plain['lut4'] - 1):+.1f} %" if plain else "")
        timed = plain and plain["fmax_mhz"] and row["fmax_mhz"]
        line.append(f"{median(row['fmax_mhz']) / median(plain['fmax_mhz']):.3f}" if plain and timed else "")
        lines.append(line)
    return Table(head, lines)


def component_table(rows: Sequence[Row]) -> Table:
    """A line for each component."""
    head = ["device", "component", "S-box", "what", "LUT4", "FF", "BRAM", "DSP", "MHz"]
    lines = []
    for row in rows:
        what = [str(row[name]) for name in ("direction", "core") if name in row]
        what += [f"B={row['bytes_per_beat']}"] if "bytes_per_beat" in row else []
        what += [f"key {key_of(row)}"] if "key_sizes" in row else []
        line = [row["device"], row["component"], row.get("sbox", ""), " ".join(what)]
        lines.append(line + [row[name] for name in ("lut4", "ff", "bram", "dsp")] + [_megahertz(row)])
    return Table(head, lines)


def module_table(row: Row) -> Table:
    """A line for each module, the largest first, and their sum."""
    columns = [name for name in _RESOURCES if row[name]]
    modules = sorted(row["modules"].items(), key=lambda item: -item[1]["lut4"])
    lines = [[name, *(counts[column] for column in columns)] for name, counts in modules]
    return Table(["module", *columns], [*lines, ["total", *(row[column] for column in columns)]])


def utilisation_table(row: Row, capacity: Mapping[str, int]) -> Table:
    """A line for each resource of the device (Device.capacity). A placement on a board counts cells, by nextpnr's names."""
    counts = [(name, row[name], available) for name, available in capacity.items()]
    if row["board"] and row["cells"]:
        counts = [(name, *numbers) for name, numbers in row["cells"].items()]
    lines = [
        [name, used, available, f"{100 * used / available:.1f} %"] for name, used, available in counts if available
    ]
    return Table([f"of {row['device']}", "used", "available", ""], lines)


def timing_lines(row: Row) -> list[str]:
    """Lines that show each seed's clock, the critical path, and why a seed has no clock."""
    if not row["fmax_mhz"]:
        return []
    way = ", ".join(f"{module} {delay:.1f}" for module, delay in row["critical_path"])
    clocks = ", ".join(f"{clock:.1f}" for clock in row["fmax_mhz"])
    lines = [f"clock: {_clock(row)} MHz; seeds: {clocks}", f"critical path (ns): {way}"]
    return [*lines, row["error"]] if row["error"] else lines
