"""Rows of results, as `deeplock synth --json` writes them."""

from typing import Any

from deeplock.fpga.flow.jobs import Result

__all__ = ["fault_of", "row_of"]


def fault_of(result: Result) -> str:
    """Why there is no clock frequency or, for a board, no bitstream; "" if all is well."""
    best = result.best
    if best is None or "board" not in result.job.design.fields:
        return result.error
    if best.meets:
        return ""
    needed, seeds = result.job.device.mhz, len(result.placements)
    return f"clock sync must reach {needed:g} MHz, not {best.fmax_mhz} MHz (the best of {seeds} seeds): no bitstream"


def row_of(result: Result) -> dict[str, Any]:
    """A result as a row; cli/synth.py describes its columns."""
    placements = result.placements
    fields = result.job.design.fields
    slowest = min(placements, key=lambda placement: placement.fmax_mhz, default=None)
    return {
        "device": result.job.device.name,
        "board": None,
        **fields,
        **result.area.total,
        "fmax_mhz": [placement.fmax_mhz for placement in placements],
        **({"meets": any(placement.meets for placement in placements)} if "board" in fields else {}),
        "critical_path": slowest.critical_path if slowest else [],
        "cells": slowest.used if slowest else {},
        "modules": result.area.modules,
        "harness": result.area.harness,
        "error": result.error,
    }
