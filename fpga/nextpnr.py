"""Place and route: a netlist to a clock frequency."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fpga.devices import Device
from fpga.toolchain import run_program
from pymodel.errors import DeeplockError

__all__ = ["Placement", "options", "place_and_route", "read_report"]


@dataclass(frozen=True)
class Placement:
    """What one seed gave.

    fmax_mhz       clock frequency that every path from register to register meets
    critical_path  the slowest of them: modules and ns, in the order of the signal; routing counts for the module that it
                   leads to
    used           cells in nextpnr's own terms: used and available
    """

    seed: int
    fmax_mhz: float
    critical_path: list[tuple[str, float]]
    used: dict[str, tuple[int, int]]


def options(device: Device, seed: int) -> list[str]:
    """nextpnr's options but for the files."""
    found = [*device.part, "-q", "--seed", str(seed), "--freq", str(device.mhz), "--timing-allow-fail"]
    if device.family == "ecp5":
        found += ["--lpf-allow-unconstrained", "--router", "router2"]  # router1 takes several times as long
    return found


def _too_much(log: str) -> list[str]:
    """What of which there is not enough, from the utilisation in nextpnr's log."""
    rows = re.findall(r"^Info:\s+(\w+):\s*(\d+)/\s*(\d+)\s+\d+%$", log, re.MULTILINE)
    return [f"{used} {kind} of {available}" for kind, used, available in rows if int(used) > int(available)]


def place_and_route(netlist: Path, device: Device, seed: int, report: Path) -> None:
    """Place and route a netlist with a seed of nextpnr's. Report and log go to the folder where the netlist is.

    Raises DeeplockError where it does not fit or nextpnr is missing, RuntimeError where it fails for another reason.
    """
    log = report.with_suffix(".log")
    log.unlink(missing_ok=True)
    files = ["--json", netlist.name, "--report", report.name, "--log", log.name]
    printed = run_program(f"nextpnr-{device.family}", [*options(device, seed), *files], netlist.parent)
    if not report.exists():
        text = log.read_text() if log.exists() else printed
        if excess := _too_much(text):
            raise DeeplockError(f"does not fit {device.name}: {', '.join(excess)}")
        raise RuntimeError(f"nextpnr-{device.family} made no {report}: {text[-2000:] or 'it said nothing'}")


def _critical_path(report: dict, module_of: Callable[[str], str]) -> list[tuple[str, float]]:
    paths = [
        path["path"]
        for path in report["critical_paths"]
        if path["from"].startswith("posedge") and path["to"].startswith("posedge")
    ]
    slowest = max(paths, key=lambda path: sum(step["delay"] for step in path), default=[])
    parts: list[tuple[str, float]] = []
    for step in slowest:
        cell = step["to"]["cell"]
        # what nextpnr put in itself belongs to what it serves
        module = parts[-1][0] if parts and cell.startswith("$nextpnr") else module_of(cell)
        delay = step["delay"]
        if parts and parts[-1][0] == module:
            delay += parts.pop()[1]
        parts.append((module, delay))
    return [(module, round(delay, 2)) for module, delay in parts]


def read_report(path: Path, seed: int, module_of: Callable[[str], str]) -> Placement:
    """Read what nextpnr reported; `module_of` gives the module of a cell."""
    report = json.loads(path.read_text())
    return Placement(
        seed,
        round(min(clock["achieved"] for clock in report["fmax"].values()), 2),
        _critical_path(report, module_of),
        {name: (cells["used"], cells["available"]) for name, cells in report["utilization"].items() if cells["used"]},
    )
