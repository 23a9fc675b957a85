"""Sweeps: tables of designs and devices, in TOML.

A list in a field stands for a row with each of its values; a value may itself be a list. TOML also takes comments:

    [[core]]
    device = ["lfe5u-25f", "lfe5u-85f"]
    rows = 8
    cols = 8
    suite = ["plain", "deep-lock"]
    sbox = ["rom", "composite"]

    [[board]]
    board = ["icebreaker", "ulx3s-85f"]
    suite = ["plain", "deep-lock"]

    [[component]]
    component = "key_schedule"
    device = "up5k"
    bytes_per_beat = 4
    key_sizes = [[16], [24], [32], [16, 24, 32]]
    sbox = "rom"

A `core` takes the fields of `Config`. Defaults are Config's, or with `board` those of that board's accelerator and its
device. A `board` is a board's whole design and takes the same fields, with the defaults of fpga.boards. One whose suite seals
takes licences unless `licences` is false. A `component` takes
the arguments of its function in fpga.flow.designs. `seeds`, in any table, is the number of placements of its rows; 0 means
area only. Equal rows count once: suite plain has no S-boxes.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from deeplock.fpga.boards import board
from deeplock.fpga.flow.designs import COMPONENTS, Design, core, on_board
from deeplock.fpga.flow.families import find_device
from deeplock.fpga.flow.families.family import Device
from deeplock.fpga.flow.jobs import Job
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.config import Config

__all__ = ["read_sweep"]

_KINDS = ("core", "board", "component")


def _rows(table: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every combination of the values of fields that are lists; a value that is itself a list becomes a tuple."""
    choices = [value if isinstance(value, list) else [value] for value in table.values()]
    for values in product(*choices):
        yield {name: tuple(v) if isinstance(v, list) else v for name, v in zip(table, values, strict=True)}


def _changed(config: Config, fields: dict[str, Any]) -> Config:
    return replace(config.with_suite(fields.get("suite", config.suite)), **fields)


def _design(kind: str, fields: dict[str, Any]) -> tuple[Design, Device]:
    if kind == "board":
        there = board(fields.pop("board")).for_suite(fields.pop("suite", None), fields.pop("licences", None))
        return on_board(replace(there, config=replace(there.config, **fields)))
    if kind == "core" and "board" in fields:
        there = board(fields.pop("board"))
        device = find_device(fields.pop("device", there.device))
        return core(_changed(there.config, fields)), device
    device = find_device(fields.pop("device"))
    if kind == "core":
        return core(Config(**fields)), device
    name = fields.pop("component")
    if name not in COMPONENTS:
        raise ValueError(f"component must be {', '.join(COMPONENTS)}, not {name}")
    return COMPONENTS[name](**fields), device


_MOST_BYTES = 1 << 20


def read_sweep(path: Path, seeds: int) -> list[Job]:
    """The rows of a sweep file in its order: cores, boards, components. A row has `seeds` placements unless it says otherwise.

    Raises DeeplockError if the file is wrong.
    """
    try:
        with open(path, "rb") as file:
            tables = tomllib.loads(file.read(_MOST_BYTES).decode())  # /dev/zero has no end
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DeeplockError(f"{path}: {error}") from None
    if unknown := tables.keys() - set(_KINDS):
        raise DeeplockError(f"{path}: tables must be [[core]], [[board]] or [[component]], not {min(unknown)}")
    found: dict[str, Job] = {}
    for kind in _KINDS:
        if not isinstance(tables.get(kind, []), list):
            raise DeeplockError(f"{path}: {kind} must be a list of tables, [[{kind}]]")
        for number, table in enumerate(tables.get(kind, []), 1):
            for fields in _rows(table):
                try:
                    numbers = range(1, fields.pop("seeds", seeds) + 1)
                    design, device = _design(kind, fields)
                except KeyError as error:
                    raise DeeplockError(f"{path}: [[{kind}]] {number}: no {error.args[0]}") from None
                except (TypeError, ValueError) as error:
                    raise DeeplockError(f"{path}: [[{kind}]] {number}: {error}") from None
                found.setdefault(repr((device.name, design.name, design.fields)), Job(design, device, numbers))
    if not found:
        raise DeeplockError(f"{path}: no [[core]], no [[board]] and no [[component]]")
    return list(found.values())
