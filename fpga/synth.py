"""A design on a device: resources by module from synthesis, a clock frequency from place and route. Both are cached."""

from dataclasses import dataclass
from pathlib import Path

from amaranth.back import rtlil

from fpga.cache import cache_folder, digest, made
from fpga.designs import Design
from fpga.devices import Device
from fpga.harness import Harness
from fpga.netlist import HARNESS, RESOURCES, Netlist, read_netlist
from fpga.nextpnr import Placement, options, place_and_route, read_report
from fpga.toolchain import program_version
from fpga.yosys import TOP, mapping, preparation, synthesise
from pymodel.errors import DeeplockError

__all__ = ["Area", "measure_area", "measure_clock"]


@dataclass(frozen=True)
class Area:
    """Resources (netlist.RESOURCES) of a design by module; those of the harness around it are apart."""

    modules: dict[str, dict[str, int]]
    harness: dict[str, int]

    @property
    def total(self) -> dict[str, int]:
        """Resources of all modules."""
        return {what: sum(module[what] for module in self.modules.values()) for what in RESOURCES}

    def excess(self, device: Device) -> str:
        """What of which `device` has too little, "" if it all fits."""
        used = {what: count + self.harness[what] for what, count in self.total.items()}
        limits = device.capacity.items()
        return ", ".join(f"{used[what]} {what} of {limit}" for what, limit in limits if used[what] > limit)


def _netlist_of(design: Design, device: Device) -> Path:
    harness = Harness(design.component(), buffered=design.by_module)
    text = rtlil.convert(harness, name=TOP, platform=device, emit_src=False)
    folder = cache_folder(text, repr(device), *preparation(), *mapping(device), program_version("yosys"))
    return made(folder / "netlist.json", lambda path: synthesise(text, device, path))


def _area(netlist: Netlist) -> Area:
    modules = dict(netlist.modules)
    return Area(modules, modules.pop(HARNESS))


def measure_area(design: Design, device: Device) -> Area:
    """Synthesise a design in a harness, unless that was done before: the same RTL with the same Yosys and options.

    Raises DeeplockError if Yosys is missing, RuntimeError where it fails. The design need not fit.
    """
    return _area(read_netlist(_netlist_of(design, device)))


def measure_clock(design: Design, device: Device, seed: int) -> Placement:
    """Place and route a design with a seed, unless that was done before with the same netlist, nextpnr and options.

    Raises DeeplockError where it does not fit or a program is missing, RuntimeError where one fails.
    """
    path = _netlist_of(design, device)
    netlist = read_netlist(path)
    if excess := _area(netlist).excess(device):
        raise DeeplockError(f"does not fit {device.name}: {excess}")
    facts = digest(program_version(f"nextpnr-{device.family}"), *options(device, seed))
    report = path.with_name(f"seed-{seed}-{facts}.json")
    made(report, lambda unfinished: place_and_route(path, device, seed, unfinished))
    return read_report(report, seed, netlist.module_of)
