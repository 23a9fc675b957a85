"""One file a device family: the blocks that only it has. A new file here is found by itself."""

from importlib import import_module
from pkgutil import iter_modules

from deeplock.hw.families.blocks import Blocks
from deeplock.pymodel.errors import DeeplockError

__all__ = ["FAMILIES", "blocks_of"]

FAMILIES: tuple[type[Blocks], ...] = tuple(
    import_module(f"{__name__}.{module.name}").FAMILY
    for module in iter_modules(__path__)
    if module.name not in ("blocks", "placement")
)


def blocks_of(platform) -> Blocks:
    """The blocks of the device that a design is made for.

    platform   Amaranth's, or anything with its `device`; None, and a `device` of None, stand for generic RTL without any

    Raises DeeplockError for a device of which no family knows.
    """
    device = getattr(platform, "device", None)
    if device is None:
        return Blocks()
    for family in FAMILIES:
        if device in family.devices:
            return family(device)
    known = ", ".join(name for family in FAMILIES for name in family.devices)
    raise DeeplockError(f"device must be {known}, or None for generic RTL, not {device}")
