"""The accelerator that runs a loadable."""

from dataclasses import replace
from typing import Any

from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.loadable import Loadable

__all__ = ["accelerator_for"]


def accelerator_for(loadable: Loadable, **given: Any) -> Config:
    """An accelerator of the loadable's geometry, packing and suite; default memories, larger where the loadable needs more.

    given   fields of Config to set instead; None leaves the field as it is

    Raises DeeplockError if these fields are not valid together, or the accelerator cannot run the loadable.
    """
    header, needs = loadable.header, loadable.memory_needs
    fields: dict[str, Any] = {name: getattr(header, name) for name in ("rows", "cols", "activation_words")}
    fields["dense"] = bool(header.dense)
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
