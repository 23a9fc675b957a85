"""The operators: one file each in this folder, found by name. `max_pool` is the OPERATOR of max_pool.py."""

from importlib import import_module
from pkgutil import iter_modules

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.layer import Layer

__all__ = ["names", "operator", "register"]

_registered: dict[str, type[Layer]] = {}  # operators from outside this folder


def names() -> tuple[str, ...]:
    """The names of all operators."""
    return (*sorted(module.name for module in iter_modules(__path__)), *_registered)


def operator(name: str) -> type[Layer]:
    """The operator of that name; DeeplockError if there is none."""
    if name in _registered:
        return _registered[name]
    if name not in names():
        raise DeeplockError(f"operator must be one of {', '.join(names())}, not {name}")
    return import_module(f"{__name__}.{name}").OPERATOR


def register(new: type[Layer]) -> None:
    """Add an operator from outside this folder; ValueError if its name is taken."""
    if new.kind in names():
        raise ValueError(f"there is an operator {new.kind} already")
    _registered[new.kind] = new
