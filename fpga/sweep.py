"""Sweeps: tables of designs and devices, in TOML.

TOML, because a list in a field stands for one row with each of its values, and because it takes comments:

    [[core]]
    device = ["lfe5u-25f", "lfe5u-85f"]
    rows = 8
    cols = 8
    suite = ["plain", "deep-lock"]
    sbox = ["rom", "composite"]

    [[component]]
    component = "key_schedule"
    device = "up5k"
    bytes_per_beat = 4
    key_bits = [0, 128, 192, 256]
    sbox = "rom"

A `core` takes the fields of pymodel.config.Config and has its defaults; a `component` the arguments of its function in
fpga.designs. Rows that come to the same count once: suite plain has no S-boxes.
"""

import tomllib
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

from fpga.designs import COMPONENTS, Design, core
from fpga.devices import Device, find_device
from pymodel.config import Config
from pymodel.errors import DeeplockError

__all__ = ["read_sweep"]


def _rows(table: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every combination of the values of fields that are lists."""
    choices = [value if isinstance(value, list) else [value] for value in table.values()]
    for values in product(*choices):
        yield dict(zip(table, values, strict=True))


def _design(kind: str, fields: dict[str, Any]) -> Design:
    if kind == "core":
        return core(Config(**fields))
    name = fields.pop("component")
    if name not in COMPONENTS:
        raise ValueError(f"component must be {', '.join(COMPONENTS)}, not {name}")
    return COMPONENTS[name](**fields)


def read_sweep(path: Path) -> list[tuple[Design, Device]]:
    """The rows of a sweep file, in its order, cores first. DeeplockError for what is wrong in it."""
    try:
        tables = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise DeeplockError(f"{path}: {error}") from None
    if unknown := tables.keys() - {"core", "component"}:
        raise DeeplockError(f"{path}: tables must be [[core]] or [[component]], not {min(unknown)}")
    found: dict[str, tuple[Design, Device]] = {}
    for kind in ("core", "component"):
        if not isinstance(tables.get(kind, []), list):
            raise DeeplockError(f"{path}: {kind} must be a list of tables, [[{kind}]]")
        for number, table in enumerate(tables.get(kind, []), 1):
            for fields in _rows(table):
                try:
                    device = find_device(fields.pop("device"))
                    design = _design(kind, fields)
                except KeyError as error:
                    raise DeeplockError(f"{path}: [[{kind}]] {number}: no {error.args[0]}") from None
                except (TypeError, ValueError) as error:
                    raise DeeplockError(f"{path}: [[{kind}]] {number}: {error}") from None
                found.setdefault(repr((device.name, design.name, design.fields)), (design, device))
    if not found:
        raise DeeplockError(f"{path}: no [[core]] and no [[component]]")
    return list(found.values())
