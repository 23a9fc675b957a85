"""Designs with a fault: a module of the hardware with a part of its source replaced."""

import inspect
from types import ModuleType

__all__ = ["mutant"]


def mutant(module: ModuleType, right: str = "", wrong: str = "", **imported) -> ModuleType:
    """The module, or mutant, anew, with `wrong` in place of `right`, which must be there once, and these in place of what it
    imports."""
    source = getattr(module, "source", None) or inspect.getsource(module)
    if right and source.count(right) != 1:
        raise ValueError(f"{right!r} must be in {module.__name__} once, not {source.count(right)} times")
    copy = ModuleType(f"{module.__name__}_mutant")
    copy.__package__ = module.__package__
    source = source.replace(right, wrong) if right else source
    exec(compile(source, f"<{copy.__name__}>", "exec"), copy.__dict__)
    imported["source"] = source
    copy.__dict__.update(imported)
    return copy
