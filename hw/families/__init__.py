"""One file a device family, with the blocks that only it has. New files are found automatically."""

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

    platform   Amaranth's, or anything with a `device`; None, or a `device` of None, means generic RTL without blocks

    Raises DeeplockError for a device that no family knows.
    """
    device = getattr(platform, "device", None)
    if device is None:
        return Blocks()
    for family in FAMILIES:
        if device in family.devices:
            return family(device)
    known = ", ".join(name for family in FAMILIES for name in family.devices)
    raise DeeplockError(f"device must be {known}, or None for generic RTL, not {device}")
