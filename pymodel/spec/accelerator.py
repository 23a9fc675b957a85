"""The accelerator that runs a loadable, and sizes of arrays."""

from dataclasses import replace
from typing import Any

from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.loadable import Loadable

__all__ = ["accelerator_for", "array_of"]


def array_of(rows: int | None, cols: int | None, bytes_per_beat: int | None) -> dict[str, int]:
    """The array's sizes, by their names in Config. What is None follows from the others: the array is square, with 8 rows if
    nothing is given, and a beat has as many bytes as the array columns, up to 16."""
    rows = rows or min(cols or Config.rows, Config.rows)
    cols = cols or rows
    return {"rows": rows, "cols": cols, "bytes_per_beat": bytes_per_beat or min(cols, 16)}


def accelerator_for(loadable: Loadable, **given: Any) -> Config:
    """An accelerator of the loadable's geometry, packing and suite, with the features that it needs; default memories, larger
    where it needs more.

    given   fields of Config to set instead; None leaves the field as it is

    Raises DeeplockError if these fields are not valid together, or the accelerator cannot run the loadable.
    """
    header, needs = loadable.header, loadable.memory_needs
    fields: dict[str, Any] = {name: getattr(header, name) for name in ("rows", "cols", "activation_words")}
    fields |= dict.fromkeys(loadable.features, True) | {"dense": bool(header.dense)}
    chosen = {name: value for name, value in given.items() if value is not None}
    fields |= chosen
    fields.setdefault("bytes_per_beat", min(header.bytes_per_beat, fields["cols"]))
    config = Config(**fields, suite=loadable.suite)
    larger = {
        name: 1 << (need - 1).bit_length()
        for name, need in needs.items()
        if name not in chosen and need > getattr(config, name)
    }
    config = replace(config, **larger)
    loadable.check_fits(config)
    return config
