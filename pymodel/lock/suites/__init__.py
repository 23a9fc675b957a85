"""The lock suites: one file each in this folder, found by name. `deep-lock` is the SUITE of deep_lock.py.

A file is imported only when its suite is asked for, so that help and checks can list the names without importing NumPy.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from deeplock.pymodel.errors import DeeplockError

if TYPE_CHECKING:
    from deeplock.pymodel.lock.suite import ByteSuite, Suite

__all__ = ["byte_suite", "names", "register", "suite", "suite_of_id"]

_registered: "dict[str, Suite]" = {}  # suites from outside this folder


def names() -> tuple[str, ...]:
    """The names of all suites."""
    return (*sorted(module.name.replace("_", "-") for module in iter_modules(__path__)), *_registered)


def suite(name: str) -> "Suite":
    """The suite of that name; DeeplockError if there is none."""
    if name in _registered:
        return _registered[name]
    if name not in names():
        raise DeeplockError(f"suite must be one of {', '.join(names())}, not {name}")
    return import_module(f"{__name__}.{name.replace('-', '_')}").SUITE


def byte_suite(name: str) -> "ByteSuite":
    """The suite of that name, which locks bytes; DeeplockError if it seals loadables instead."""
    from deeplock.pymodel.lock.suite import ByteSuite

    found = suite(name)
    if not isinstance(found, ByteSuite):
        raise DeeplockError(
            f"suite {name} seals loadables as a whole, and nothing else: compile the network, then seal it"
        )
    return found


def suite_of_id(id: int) -> "Suite":
    """The suite that has this number in headers and registers; DeeplockError if there is none."""
    for found in map(suite, names()):
        if found.id == id:
            return found
    raise DeeplockError(f"suite must be one of {', '.join(names())}, and none of them has number {id}")


def register(new: "Suite") -> None:
    """Add a suite from outside this folder; ValueError if its name or its number is taken."""
    for other in map(suite, names()):
        if new.name == other.name or new.id == other.id:
            raise ValueError(f"suite {new.name}, number {new.id}: there is {other.name}, number {other.id}")
    _registered[new.name] = new
