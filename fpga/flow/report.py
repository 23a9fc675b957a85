"""Rows of results, as `deeplock synth --json` writes them."""

import json
from collections.abc import Iterable
from typing import Any

from deeplock.fpga.flow.jobs import Job, Result
from deeplock.fpga.flow.netlist import RESOURCES

__all__ = ["Row", "fault_of", "figures_of", "identity_of", "labels_of", "row_of"]

Row = dict[str, Any]

_MEASURED = {*RESOURCES, "fmax_mhz", "meets", "critical_path", "cells", "modules", "harness", "error", "digest"}
"""Columns that say what was found. All others are labels."""


def labels_of(job: Job) -> Row:
    """The columns that say what a job's row is of: device, configuration, seeds."""
    return {"device": job.device.name, "board": None, **job.design.fields, "seeds": list(job.seeds)}


def identity_of(row: Row) -> str:
    """The labels of a row as text, which is the same before and after the row is in a file."""
    return json.dumps({name: value for name, value in row.items() if name not in _MEASURED})


def row_of(result: Result) -> Row:
    """A result as a row; cli/commands/synth.py describes its columns."""
    placements = result.placements
    slowest = min(placements, key=lambda placement: placement.fmax_mhz, default=None)
    labels = labels_of(result.job)
    return {
        **labels,
        **result.area.total,
        "fmax_mhz": [placement.fmax_mhz for placement in placements],
        **({"meets": any(placement.meets for placement in placements)} if labels["board"] else {}),
        "critical_path": slowest.critical_path if slowest else [],
        "cells": slowest.used if slowest else {},
        "modules": result.area.modules,
        "harness": result.area.harness,
        "error": result.error,
        "digest": result.area.digest,
    }


def fault_of(row: Row) -> str:
    """Why there is no clock frequency or, for a board, no bitstream; "" if all is well."""
    clocks = row["fmax_mhz"]
    if not clocks or row["board"] is None:
        return row["error"]
    if row["meets"]:
        return ""
    reached = f"not {max(clocks)} MHz (the best of {len(clocks)} seeds)"
    return f"clock sync must reach {row['clock_mhz']:g} MHz, {reached}: no bitstream"


def figures_of(command: str, rows: Iterable[Row], tools: dict[str, str]) -> dict[str, Any]:
    """The content of the JSON file: components apart from accelerators and boards, each in the order of `rows`."""
    figures: dict[str, Any] = {"command": command, "rows": [], "components": [], "tools": tools}
    for row in rows:
        figures["components" if "component" in row else "rows"].append(row)
    return figures
