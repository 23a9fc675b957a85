"""The memory master's parameters and registers: the one place where its addresses, fields and codes are written.

hw/memory/, the simulations, docs/registers.md and the C header are made from these tables. Addresses are bytes, registers
32 bits.
"""

from dataclasses import dataclass
from enum import IntEnum

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.registers import Access, Register, markdown_tables_of

__all__ = [
    "ADDRESS_BITS",
    "BYTES_BITS",
    "ERROR_TEXTS",
    "ID",
    "PACKETS_BITS",
    "REGISTERS",
    "Channel",
    "Command",
    "Error",
    "Interrupt",
    "MemoryOptions",
    "Status",
    "address",
    "markdown_table",
]

ID = 0x314D_4C44
"""Value of register ID: "DLM1" in little-endian ASCII."""

ADDRESS_BITS, BYTES_BITS, PACKETS_BITS = 32, 24, 16
"""Bits of a transfer's address, of its packets' size in bytes, and of their number."""


@dataclass(frozen=True)
class MemoryOptions:
    """The memory master's parameters.

    burst        beats of the longest burst: a power of two from 2 to 256. Bursts end at multiples of their longest, so none
                 crosses 4 KiB
    outstanding  bursts of reads on their way at a time: a power of two up to 16. The loadable's buffer holds as many bursts
    """

    burst: int = 16
    outstanding: int = 4

    def __post_init__(self) -> None:
        for name, least, most in (("burst", 2, 256), ("outstanding", 1, 16)):
            value = getattr(self, name)
            if not (least <= value <= most and value & (value - 1) == 0):
                raise DeeplockError(f"{name} must be a power of two from {least} to {most}, not {value}")


class Channel(IntEnum):
    """The accelerator's streams, as the master numbers them."""

    LOADABLE = 0
    IFMAP = 1
    OFMAP = 2


class Command(IntEnum):
    """Values of CONTROL."""

    LOADABLE = 1 << Channel.LOADABLE
    IFMAP = 1 << Channel.IFMAP
    OFMAP = 1 << Channel.OFMAP
    STOP = 1 << 3


class Status(IntEnum):
    """Bits of STATUS below the error code in bits 15..8."""

    LOADABLE = 1 << Channel.LOADABLE
    IFMAP = 1 << Channel.IFMAP
    OFMAP = 1 << Channel.OFMAP
    PENDING = 1 << 3
    IDLE = 1 << 4


class Interrupt(IntEnum):
    """Bits of INTERRUPT. `irq` is high while STATUS shows a cause whose bit is set."""

    IDLE = Status.IDLE
    ERROR = 1 << 8
    """Any error code."""


class Error(IntEnum):
    """Error codes in STATUS bits 15..8. The first one stays until STOP."""

    NONE = 0
    READ_SLVERR = 1
    READ_DECERR = 2
    READ_LENGTH = 3
    WRITE_SLVERR = 4
    WRITE_DECERR = 5
    OFMAP_LENGTH = 6


ERROR_TEXTS = {
    Error.NONE: "no error",
    Error.READ_SLVERR: "a read was answered with SLVERR",
    Error.READ_DECERR: "a read was answered with DECERR",
    Error.READ_LENGTH: "a burst of reads had RLAST too early or not at its end",
    Error.WRITE_SLVERR: "a write was answered with SLVERR",
    Error.WRITE_DECERR: "a write was answered with DECERR",
    Error.OFMAP_LENGTH: "an ofmap was shorter or longer than BYTES",
}

REGISTERS = (
    Register("ID", 0x00, Access.READ, 'identification, "DLM1"'),
    Register("CONTROL", 0x04, Access.WRITE, "one of LOADABLE, IFMAP, OFMAP: begin a transfer of this stream; or STOP"),
    Register(
        "STATUS", 0x08, Access.READ, "LOADABLE, IFMAP, OFMAP: transfers going on; PENDING, IDLE | error code << 8"
    ),
    Register(
        "ADDRESS", 0x0C, Access.WRITE, "of the next transfer: where it begins, a multiple of a beat of the loadable"
    ),
    Register("BYTES", 0x10, Access.WRITE, "of the next transfer: bytes of a packet, below 2^24"),
    Register("PACKETS", 0x14, Access.WRITE, "of the next transfer: packets, 1..65535"),
    Register("INTERRUPT", 0x18, Access.READ_WRITE, "what raises irq while STATUS shows it: IDLE, ERROR"),
)


def address(name: str) -> int:
    """Byte address of the register `name`."""
    return next(register.address for register in REGISTERS if register.name == name)


def markdown_table() -> str:
    """The tables of docs/registers.md, "The memory master"."""
    return markdown_tables_of(REGISTERS, {"CONTROL": Command, "STATUS": Status, "INTERRUPT": Interrupt}, ERROR_TEXTS)
