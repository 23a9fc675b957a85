"""The accelerator that runs a loadable."""

from typing import Any

from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.loadable import Loadable

__all__ = ["accelerator_for"]


def accelerator_for(loadable: Loadable, **given: Any) -> Config:
    """An accelerator of the loadable's geometry, packing and suite; default memories, larger where the loadable needs more.

    given   fields of Config to set instead; None leaves the field as it is

    Raises DeeplockError if these fields are not valid together, or the accelerator cannot run the loadable.
    """
    needs = loadable.memory_needs
    fields: dict[str, Any] = {name: getattr(loadable.header, name) for name in ("rows", "cols")}
    fields["dense"] = bool(loadable.header.dense)
    for name, need in needs.items():
        fields[name] = max(getattr(Config, name), 1 << (need - 1).bit_length())
    fields["activation_words"] = needs["activation_words"]
    fields |= {name: value for name, value in given.items() if value is not None}
    fields.setdefault("bytes_per_beat", min(loadable.header.bytes_per_beat, fields["cols"]))
    config = Config(**fields, suite=loadable.suite)
    loadable.check_fits(config)
    return config
