"""What can be synthesised: whole accelerators, and the components whose cost is asked for."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from amaranth.hdl import Fragment
from amaranth.lib.wiring import Component

from hw.accelerator import Accelerator
from hw.composite_sbox import CompositeSbox
from hw.key_schedule import KeySchedule
from hw.sbox import Sbox
from hw.unlock import UnlockUnit
from pymodel.config import Config
from pymodel.sbox import INV_SBOX, SBOX

__all__ = ["COMPONENTS", "Design", "core", "key_schedule", "sbox", "unlock_unit"]


@dataclass(frozen=True, eq=False)
class Design:
    """Something to synthesise; it can be sent to another process.

    name       for people
    fields     what a row of results says of it
    component  makes it
    """

    name: str
    fields: dict[str, Any]
    component: Callable[[], Component]


def core(config: Config) -> Design:
    """An accelerator, without a board around it."""
    locks = config.suite != "plain"
    name = f"{config.rows}x{config.cols} B={config.bytes_per_beat} lanes={config.lanes} {config.suite}"
    fields = asdict(config) | ({} if locks else {"sbox": None, "key_bits": None})
    return Design(f"{name} {config.sbox}" if locks else name, fields, partial(Accelerator, config))


def _component(kind: str, arguments: dict[str, Any], make: Callable[[], Component]) -> Design:
    Fragment.get(make(), None)  # so that it refuses its arguments here; Amaranth warns of components that nobody uses
    name = " ".join([kind, *(f"{argument}={value}" for argument, value in arguments.items())])
    return Design(name, {"component": kind, **arguments}, make)


def sbox(direction: str, sbox: str) -> Design:
    """One S-box, "forward", "inverse" or, in style "composite", "both" in one; ValueError for anything else."""
    make = partial(CompositeSbox, direction)
    if direction != "both" and sbox != "composite":
        make = partial(Sbox, 1, sbox, INV_SBOX if direction == "inverse" else SBOX)
    return _component("sbox", {"direction": direction, "sbox": sbox}, make)


def key_schedule(bytes_per_beat: int, key_bits: int, sbox: str) -> Design:
    """A key schedule for keys of 128, 192 or 256 bits, or with 0 for all three; ValueError for anything else."""
    sizes = (16, 24, 32) if key_bits == 0 else (key_bits // 8,)
    arguments = {"bytes_per_beat": bytes_per_beat, "key_bits": key_bits, "sbox": sbox}
    return _component("key_schedule", arguments, partial(KeySchedule, bytes_per_beat, sbox, sizes))


def unlock_unit(bytes_per_beat: int, sbox: str) -> Design:
    """An unlock unit; ValueError for a number of bytes or a style that it does not have."""
    arguments = {"bytes_per_beat": bytes_per_beat, "sbox": sbox}
    return _component("unlock_unit", arguments, partial(UnlockUnit, bytes_per_beat, sbox))


COMPONENTS: dict[str, Callable[..., Design]] = {
    "sbox": sbox,
    "key_schedule": key_schedule,
    "unlock_unit": unlock_unit,
}
"""Those that a sweep can ask for, by name."""
