"""One file a device family: its devices and all that the flow knows of its tools. New files are found automatically."""

from importlib import import_module
from pkgutil import iter_modules

from deeplock.fpga.flow.families.family import Device, Family
from deeplock.pymodel.errors import DeeplockError

__all__ = ["DEVICES", "FAMILIES", "find_device", "find_family"]

FAMILIES: dict[str, Family] = {
    module.name: import_module(f"{__name__}.{module.name}").FAMILY
    for module in iter_modules(__path__)
    if module.name != "family"
}

DEVICES: dict[str, Device] = {device.name: device for family in FAMILIES.values() for device in family.devices}


def find_family(name: str) -> Family:
    """The family of that name (Device.family); DeeplockError if there is none."""
    if name not in FAMILIES:
        raise DeeplockError(f"family must be {', '.join(FAMILIES)}, not {name}")
    return FAMILIES[name]


def find_device(name: str) -> Device:
    """The device of that name; DeeplockError if there is none."""
    if name not in DEVICES:
        raise DeeplockError(f"device must be {', '.join(DEVICES)}, not {name}")
    return DEVICES[name]
