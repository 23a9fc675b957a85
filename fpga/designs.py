"""What can be synthesised: whole accelerators, and the components whose cost is asked for."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from amaranth.lib.wiring import Component

from hw.accelerator import Accelerator
from hw.composite_sbox import CompositeSbox
from hw.key_schedule import KeySchedule
from hw.sbox import STYLES, Sbox
from hw.unlock import UnlockUnit
from pymodel.config import Config
from pymodel.key_schedule import KEY_SIZES
from pymodel.sbox import INV_SBOX, SBOX

__all__ = ["COMPONENTS", "Design", "core", "key_schedule", "sbox", "unlock_unit"]


@dataclass(frozen=True, eq=False)
class Design:
    """Something to synthesise; it can be sent to another process.

    name        for people
    fields      what a row of results says of it
    component   makes it
    by_module   whether it has modules whose resources matter
    """

    name: str
    fields: dict[str, Any]
    component: Callable[[], Component]
    by_module: bool = False


def core(config: Config) -> Design:
    """An accelerator, without a board around it."""
    locks = config.suite != "plain"
    name = f"{config.rows}x{config.cols} B={config.bytes_per_beat} lanes={config.lanes} {config.suite}"
    fields = asdict(config) | ({} if locks else {"sbox": None, "key_bits": None})
    return Design(f"{name} {config.sbox}" if locks else name, fields, partial(Accelerator, config), True)


_ARGUMENTS = {
    "direction": ("forward", "inverse", "both"),
    "sbox": STYLES,
    "bytes_per_beat": (4, 8, 16),
    "key_bits": (0, 128, 192, 256),
}


def _component(kind: str, make: Callable[[], Component], **arguments: int | str) -> Design:
    for name, value in arguments.items():
        if value not in _ARGUMENTS[name]:
            raise ValueError(f"{name} must be one of {', '.join(map(str, _ARGUMENTS[name]))}, not {value}")
    name = " ".join([kind, *(f"{argument}={value}" for argument, value in arguments.items())])
    return Design(name, {"component": kind, **arguments}, make)


def sbox(direction: str, sbox: str) -> Design:
    """One S-box, "forward", "inverse" or, in style "composite", "both" in one; ValueError for anything else."""
    if direction == "both" and sbox != "composite":
        raise ValueError(f"direction both is for sbox composite, not for {sbox}")
    make = partial(CompositeSbox, direction)
    if sbox != "composite":
        make = partial(Sbox, 1, sbox, INV_SBOX if direction == "inverse" else SBOX)
    return _component("sbox", make, direction=direction, sbox=sbox)


def key_schedule(bytes_per_beat: int, key_bits: int, sbox: str) -> Design:
    """A key schedule for keys of 128, 192 or 256 bits, or with 0 for all three; ValueError for anything else."""
    sizes = KEY_SIZES if key_bits == 0 else (key_bits // 8,)
    make = partial(KeySchedule, bytes_per_beat, sbox, sizes)
    return _component("key_schedule", make, bytes_per_beat=bytes_per_beat, key_bits=key_bits, sbox=sbox)


def unlock_unit(bytes_per_beat: int, sbox: str) -> Design:
    """An unlock unit; ValueError for a number of bytes or a style that no accelerator has."""
    make = partial(UnlockUnit, bytes_per_beat, sbox)
    return _component("unlock_unit", make, bytes_per_beat=bytes_per_beat, sbox=sbox)


COMPONENTS: dict[str, Callable[..., Design]] = {
    "sbox": sbox,
    "key_schedule": key_schedule,
    "unlock_unit": unlock_unit,
}
"""Those that a sweep can ask for, by name."""
