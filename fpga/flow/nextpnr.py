"""Place and route: from a netlist to a clock frequency and the configuration that a bitstream is made of."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from deeplock.fpga.flow.families import find_family
from deeplock.fpga.flow.families.family import Device, NoPlacement
from deeplock.fpga.flow.toolchain import run_program

__all__ = ["Placement", "options", "place_and_route", "read_report", "routed"]


@dataclass(frozen=True)
class Placement:
    """Result of one seed.

    fmax_mhz       clock frequency that every register-to-register path meets
    meets          whether it reaches the target frequency
    critical_path  the slowest path: modules and ns, in signal order; routing counts for the module that it leads to
    used           used and available cells, by nextpnr's names
    bitstream      of a board's design that meets its clock; b"" otherwise
    """

    seed: int
    fmax_mhz: float
    meets: bool
    critical_path: list[tuple[str, float]]
    used: dict[str, tuple[int, int]]
    bitstream: bytes = field(default=b"", repr=False)


def options(device: Device, seed: int, on_pins: bool) -> list[str]:
    """nextpnr's options, without the files; `on_pins`: constraints place every pin."""
    family = find_family(device.family)
    common = ["-q", "--seed", str(seed), "--freq", str(device.mhz), "--timing-allow-fail"]
    chosen = family.options_of.get(device.name, family.options)
    return [*device.part, *common, *(() if on_pins else family.anywhere), *chosen]


_FINISHED = "Program finished normally."
"""nextpnr's last line: all files are complete. icepack would make a bitstream even of half a file."""

_FULL = r"^ERROR: (Unable to find legal placement|Failed to route|Routing design failed)"
"""nextpnr's errors that another seed may avoid."""


def _too_much(log: str) -> list[str]:
    """The resources that the design needs more of than there are, from the utilisation in nextpnr's log."""
    rows = re.findall(r"^Info:\s+(\w+):\s*(\d+)/\s*(\d+)\s+\d+%$", log, re.MULTILINE)
    return [f"{used} {kind} of {available}" for kind, used, available in rows if int(used) > int(available)]


def routed(report: Path, device: Device) -> Path:
    """The configuration that `place_and_route` writes if there are constraints."""
    return report.with_suffix(f".{find_family(device.family).configuration[0]}")


def place_and_route(netlist: Path, device: Device, seed: int, constraints: str, report: Path) -> None:
    """Place and route a netlist with one seed. Report and log go to the netlist's folder.

    `constraints` is Source.constraints; if it is not empty, `routed` is written too.

    Raises NoPlacement if it does not fit, DeeplockError if nextpnr is missing, RuntimeError if it fails for another reason.
    """
    log = report.with_suffix(".log")
    log.unlink(missing_ok=True)
    files = ["--json", netlist.name, "--report", report.name, "--log", log.name]
    family = find_family(device.family)
    if pins := constraints or family.anywhere_pins:
        suffix, option = family.constraints
        given = report.with_suffix(f".{suffix}")
        given.write_text(pins)
        files.append(f"{option}={given.name}")
    if constraints:
        files.append(f"{family.configuration[1]}={routed(report, device).name}")
    chosen = options(device, seed, bool(constraints))
    printed = run_program(family.nextpnr, [*chosen, *files], netlist.parent)
    text = log.read_text() if log.exists() else printed
    if not report.exists() or _FINISHED not in text:
        if excess := _too_much(text):
            raise NoPlacement(f"does not fit {device.name}: {', '.join(excess)}")
        if re.search(_FULL, text, re.MULTILINE):
            raise NoPlacement(f"does not fit {device.name} with seed {seed}: place and route found no way")
        raise RuntimeError(f"{family.nextpnr} made no {report}: {text[-2000:] or 'it said nothing'}")


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
        # a cell that nextpnr added belongs to the module that it serves
        module = parts[-1][0] if parts and cell.startswith("$nextpnr") else module_of(cell)
        delay = step["delay"]
        if parts and parts[-1][0] == module:
            delay += parts.pop()[1]
        parts.append((module, delay))
    return [(module, round(delay, 2)) for module, delay in parts]


def read_report(path: Path, seed: int, device: Device, on_pins: bool, module_of: Callable[[str], str]) -> Placement:
    """Read nextpnr's report; `on_pins` as for `options`; `module_of` gives the module of a cell.

    Raises RuntimeError unless nextpnr checked exactly one clock, at device.mhz; NoPlacement if that is reached but the
    family's check of the pins fails.
    """
    report = json.loads(path.read_text())
    clocks = list(report["fmax"].values())
    if len(clocks) != 1 or not math.isclose(clocks[0]["constraint"], device.mhz, rel_tol=1e-3):
        raise RuntimeError(f"nextpnr must check one clock at {device.mhz} MHz, not {report['fmax']}: {path}")
    (clock,) = clocks
    meets = clock["achieved"] >= max(clock["constraint"], device.mhz)
    if meets and on_pins and (check_pins := find_family(device.family).check_pins):
        check_pins(report, device.mhz)
    cells = ((name, each["used"], each["available"]) for name, each in report["utilization"].items())
    # nextpnr for Gowin counts cells of its own for which the device has no place
    used = {name: (number, available) for name, number, available in cells if number and available}
    return Placement(seed, round(clock["achieved"], 2), meets, _critical_path(report, module_of), used)
