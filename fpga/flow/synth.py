"""Measures a design on a device: synthesis gives resources by module, place and route clock and bitstream. All is cached."""

from dataclasses import dataclass, replace
from functools import partial
from inspect import getfile
from pathlib import Path

from deeplock.fpga.flow.bitstream import bitstream
from deeplock.fpga.flow.designs import Design
from deeplock.fpga.flow.families import find_family
from deeplock.fpga.flow.families.family import Device, NoPlacement
from deeplock.fpga.flow.floorplan import write_floorplan
from deeplock.fpga.flow.netlist import HARNESS, RESOURCES, Netlist, read_netlist
from deeplock.fpga.flow.nextpnr import Placement, options, place_and_route, read_report, routed
from deeplock.fpga.flow.sources import Source
from deeplock.fpga.flow.toolchain import program_version
from deeplock.fpga.flow.yosys import mapping, preparation, synthesise
from deeplock.hw.families import blocks_of
from deeplock.hw.families.placement import floorplan
from deeplock.pymodel.cache import cache_root, digest, made

__all__ = ["Area", "measure_area", "measure_clock", "source_digest"]


@dataclass(frozen=True)
class Area:
    """Resources of a design.

    modules  resources (netlist.RESOURCES) by module
    harness  those of the harness around it
    digest   source_digest of the design, from measure_area
    """

    modules: dict[str, dict[str, int]]
    harness: dict[str, int]
    digest: str = ""

    @property
    def total(self) -> dict[str, int]:
        """Resources of all modules."""
        return {what: sum(module[what] for module in self.modules.values()) for what in RESOURCES}

    def excess(self, device: Device) -> str:
        """The resources of which `device` has too few; "" if the design fits."""
        used = {what: count + self.harness[what] for what, count in self.total.items()}
        limits = device.capacity.items()
        return ", ".join(f"{used[what]} {what} of {limit}" for what, limit in limits if used[what] > limit)


def _facts_of_netlist(source: Source, device: Device) -> tuple[object, ...]:
    """What a netlist depends on, except Yosys."""
    return (source.rtlil, device, *preparation(), *mapping(device))


def _facts_of_placement(source: Source, device: Device, seed: int) -> tuple[object, ...]:
    """What a placement depends on, except netlist, floorplan and nextpnr."""
    return (*options(device, seed, bool(source.constraints)), *filter(None, [source.constraints]))


def _digest_of(source: Source, device: Device) -> str:
    sites = blocks_of(device).dsp_sites
    facts = (*_facts_of_netlist(source, device), *_facts_of_placement(source, device, seed=0), sites)
    return digest(*facts, files=[Path(getfile(floorplan))] if sites else [])


def source_digest(design: Design, device: Device) -> str:
    """Digest of all that a design's figures depend on, except tools and seeds: RTL, constraints, device, floorplan, options."""
    return _digest_of(design.source(device), device)


def _netlist_of(source: Source, device: Device) -> Path:
    name = digest(*_facts_of_netlist(source, device), program_version("yosys"))
    return made(cache_root() / "synth" / name / "netlist.json", lambda path: synthesise(source.rtlil, device, path))


def _area(netlist: Netlist) -> Area:
    modules = dict(netlist.modules)
    return Area(modules, modules.pop(HARNESS, dict.fromkeys(RESOURCES, 0)))


def measure_area(design: Design, device: Device) -> Area:
    """Synthesise a design, once for the same RTL, Yosys and options. It need not fit the device.

    Raises DeeplockError if Yosys is missing, RuntimeError if it fails.
    """
    source = design.source(device)
    area = _area(read_netlist(_netlist_of(source, device), find_family(device.family)))
    return replace(area, digest=_digest_of(source, device))


def measure_clock(design: Design, device: Device, seed: int) -> Placement:
    """Place and route a design with a seed, once for the same netlist, floorplan, constraints, nextpnr and options.

    A board's design that reaches device.mhz comes with its bitstream.

    Raises NoPlacement if it does not fit or pins are too far away, DeeplockError if a program is missing, RuntimeError if one
    fails.
    """
    source = design.source(device)
    path = _netlist_of(source, device)
    family = find_family(device.family)
    netlist = read_netlist(path, family)
    if excess := _area(netlist).excess(device):
        raise NoPlacement(f"does not fit {device.name}: {excess}")
    constraints = source.constraints
    chosen = [*_facts_of_placement(source, device, seed)]
    if sites := floorplan(netlist.cells, blocks_of(device).dsp_sites):
        chosen.append(repr(sites))
        placed = path.with_name(f"floorplan-{digest(sites)}.json")
        path = made(placed, partial(write_floorplan, path, sites))
    report = path.with_name(f"seed-{seed}-{digest(program_version(family.nextpnr), *chosen)}.json")
    made(report, lambda unfinished: place_and_route(path, device, seed, constraints, unfinished))
    placement = read_report(report, seed, device, bool(constraints), netlist.module_of)
    if constraints and placement.meets:
        return replace(placement, bitstream=bitstream(routed(report, device), device.family))
    return placement
