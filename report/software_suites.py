"""Opening of parameters by each suite in software (software.json), beside the accelerator (cycles.json): a table for
docs/benchmarks.md."""

from typing import Any

from deeplock.report.software_report import arrays_of, networks_of
from deeplock.report.tables import Table

__all__ = ["suites_table"]

Row = dict[str, Any]

_ARRAY = (8, 8)


def _cells(plain: Row | None, locked: Row | None) -> list[str]:
    """What opening a byte costs, in cycles or instructions; locked / plain."""
    if plain is None or locked is None:
        return ["-", "-"]
    per_byte = locked.get("unlock_cycles_per_byte")
    if per_byte is None and "instructions" in locked:
        per_byte = (locked["instructions"] - plain["instructions"]) / locked["param_bytes"]
    return [f"{per_byte:.2f}" if per_byte is not None else "-", f"{locked['ratio']:.2f}"]


def suites_table(software: dict, cycles: dict) -> Table:
    """A line for each network and suite: variant unlock-all on VexRiscv and on a host, and the array."""
    head = ["network", "suite", "ideal: cycles / byte", "locked / plain", "slow: cycles / byte", "locked / plain"]
    head += ["host: instructions / byte", "locked / plain", "8x8: locked / plain", "speed-up"]
    lines: list[list[object]] = []
    for network in networks_of(software["rows"]):
        rows = {
            (row["platform"], row["memory"], row["suite"]): row
            for row in software["rows"]
            if row["network"] == network and row["variant"] in ("plain", "unlock-all")
        }
        for suite in dict.fromkeys(suite for _, _, suite in rows if suite != "plain"):
            line: list[object] = [network, suite]
            for where in (("vexriscv", "ideal"), ("vexriscv", "slow"), ("host", "host")):
                line += _cells(rows.get((*where, "plain")), rows.get((*where, suite)))
            core = rows.get(("vexriscv", "ideal", suite))
            array = next(
                (row for row in arrays_of(cycles, network, suite) if (row["rows"], row["cols"]) == _ARRAY), None
            )
            line.append(f"{array['cycles_locked'] / array['cycles_plain']:.3f}" if array else "-")
            line.append(f"{core['cycles'] / array['cycles_locked']:,.0f} x" if core and array else "-")
            lines.append(line)
    return Table(head, lines)
