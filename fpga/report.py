"""Rows of results, as `deeplock synth --json` writes them."""

from typing import Any

from fpga.jobs import Result

__all__ = ["row_of"]


def row_of(result: Result) -> dict[str, Any]:
    """A result as a row: what cli/synth.py says."""
    placements = result.placements
    slowest = min(placements, key=lambda placement: placement.fmax_mhz, default=None)
    return {
        "device": result.job.device.name,
        "board": None,
        **result.job.design.fields,
        **result.area.total,
        "fmax_mhz": [placement.fmax_mhz for placement in placements],
        "critical_path": slowest.critical_path if slowest else [],
        "cells": slowest.used if slowest else {},
        "modules": result.area.modules,
        "harness": result.area.harness,
        "error": result.error,
    }
