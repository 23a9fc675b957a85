"""The register map of the accelerator's AXI4-Lite port: the one place where addresses, fields and codes are written.

hw/control/registers.py, the drivers and docs/registers.md are made from these tables. Addresses are bytes, registers 32 bits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from deeplock.pymodel.spec.config import FEATURE_BITS, Config

__all__ = [
    "COUNTERS",
    "ERROR_TEXTS",
    "ID",
    "REGISTERS",
    "Access",
    "Command",
    "Error",
    "Interrupt",
    "Register",
    "Status",
    "address",
    "counters_of",
    "key_writes",
    "markdown_table",
    "markdown_tables_of",
]  # fmt: skip

ID = 0x314B_4C44
"""Value of register ID: "DLK1" in little-endian ASCII."""


class Access(IntEnum):
    READ = 0
    WRITE = 1  # reads as zero
    READ_WRITE = 2


@dataclass(frozen=True)
class Register:
    name: str
    address: int
    access: Access
    meaning: str


class Command(IntEnum):
    """Bits of CONTROL; writing a one starts the action, and one write may start several."""

    LOAD = 1 << 0
    START = 1 << 1
    ABORT = 1 << 2
    ZEROISE = 1 << 3


class Status(IntEnum):
    """Bits of STATUS below the error code in bits 15..8."""

    BUSY = 1 << 0
    LOADED = 1 << 1
    KEYED = 1 << 2
    DONE = 1 << 3
    FLUSHING = 1 << 4
    ERASING = 1 << 5


class Interrupt(IntEnum):
    """Bits of INTERRUPT, each where STATUS has what causes it. `irq` is high while STATUS shows a cause whose bit is set."""

    LOADED = Status.LOADED
    DONE = Status.DONE
    ERROR = 1 << 8
    """Any error code."""


class Error(IntEnum):
    """Error codes in STATUS bits 15..8. An error stops the core and leaves it idle, without its program and, unless it has
    licences, without its key."""

    NONE = 0
    NO_KEY = 1
    NO_PROGRAM = 2
    BAD_MAGIC = 3
    BAD_GEOMETRY = 4
    TOO_LARGE = 5
    BAD_DESCRIPTOR = 6
    LOADABLE_TRUNCATED = 7
    LOADABLE_TOO_LONG = 8
    IFMAP_LENGTH = 9
    ABORTED = 10
    BAD_KEY_SIZE = 11
    BAD_TAG = 12
    BAD_LICENCE = 13
    OTHER_MODEL = 14
    OTHER_VERSION = 15
    NONE_LEFT = 16


ERROR_TEXTS = {
    Error.NONE: "no error",
    Error.NO_KEY: "started, or with a suite that seals loaded, without a key",
    Error.NO_PROGRAM: "started without a program",
    Error.BAD_MAGIC: "the loadable does not begin with the magic number",
    Error.BAD_GEOMETRY: "the loadable was compiled for another geometry, packing or suite",
    Error.TOO_LARGE: "the program is larger than the program memory",
    Error.BAD_DESCRIPTOR: "a layer descriptor is not valid",
    Error.LOADABLE_TRUNCATED: "the loadable stream ended too early",
    Error.LOADABLE_TOO_LONG: "the loadable stream did not end where it should",
    Error.IFMAP_LENGTH: "the ifmap has the wrong length",
    Error.ABORTED: "aborted",
    Error.BAD_KEY_SIZE: "the key size is not one that this accelerator takes",
    Error.BAD_TAG: "a tag is wrong: another key sealed the loadable, or it was changed",
    Error.BAD_LICENCE: "the licence is for another device, or was changed",
    Error.OTHER_MODEL: "the licence is for another model",
    Error.OTHER_VERSION: "the licence does not cover this version of the model",
    Error.NONE_LEFT: "the licence allows fewer inferences from power-up on",
}
"""Meanings of the error codes, for messages and for docs/registers.md."""

COUNTERS = (
    ("CYCLES", "cycles from START to the last ofmap beat"),
    ("COMPUTE", "cycles in which a word of activations entered the array"),
    ("PARAM_STARVED", "cycles in which the array waited for a parameter that the loadable stream did not offer"),
    (
        "KEY_STARVED",
        "cycles in which the array waited for a parameter that waited for the key stream, or for the cipher",
    ),
    ("LOAD_BOUND", "cycles in which the array waited for weights while parameters arrived"),
    ("FEEDER", "cycles in which the array waited for the window feeder"),
    ("POST", "cycles in which the array waited for the requantise lanes"),
    ("OUTPUT_STALLED", "cycles in which the array waited for room on the ofmap stream"),
    ("DRAIN", "cycles between a layer's last word and the next layer's first"),
    ("INPUT_STARVED", "cycles in which a layer waited for the ifmap"),
)

REGISTERS = (
    Register("ID", 0x00, Access.READ, 'identification, "DLK1"'),
    Register("GEOMETRY", 0x04, Access.READ, "rows | cols << 8 | bytes per beat << 16 | suite << 24"),
    Register("LANES", 0x08, Access.READ, "requantise lanes = bytes per ofmap beat"),
    Register("ACTIVATION_WORDS", 0x0C, Access.READ, "depth of the activation memory in words of `rows` bytes"),
    Register("ACCUMULATORS", 0x10, Access.READ, "depth of the accumulator memory in pixels"),
    Register("PROGRAM_WORDS", 0x14, Access.READ, "depth of the program memory in 32-bit words"),
    Register("IFMAP_BYTES", 0x18, Access.READ, "bytes that the ifmap buffer holds"),
    Register("SUM_BITS", 0x1C, Access.READ, "bits of accumulators and biases: 24 or 32"),
    Register("CONTROL", 0x20, Access.WRITE, "commands: LOAD, START, ABORT, ZEROISE"),
    Register("STATUS", 0x24, Access.READ, "BUSY, LOADED, KEYED, DONE, FLUSHING, ERASING | error code << 8"),
    Register("CONFIG", 0x28, Access.READ_WRITE, "bit 0: zeroise the key at the end of a run"),
    Register("COUNT", 0x2C, Access.READ_WRITE, "inferences that START runs back to back, 1..65535"),
    Register(
        "KEY_SIZE", 0x30, Access.WRITE, "16, 24 or 32 bytes: clears the key and begins one of this size; KEY0 is next"
    ),
    Register("PROFILE", 0x34, Access.READ_WRITE, "layer whose cycles the counters count, 1..255; 0: all of the run"),
    Register(
        "FEATURES",
        0x38,
        Access.READ,
        "what it has: " + ", ".join(f"bit {i} {name}" for i, name in enumerate(FEATURE_BITS)),
    ),
    Register(
        "OFMAP_BYTES",
        0x3C,
        Access.READ,
        "bytes that the ofmap buffer holds; the ofmap of a sealed loadable takes half at most",
    ),
    *(
        Register(f"KEY{i}", 0x40 + 4 * i, Access.WRITE, f"key bytes {4 * i}..{4 * i + 3}, lowest first; in order")
        for i in range(8)
    ),
    Register("INTERRUPT", 0x60, Access.READ_WRITE, "what raises irq while STATUS shows it: LOADED, DONE, ERROR"),
    *(Register(name, 0x80 + 4 * i, Access.READ, meaning) for i, (name, meaning) in enumerate(COUNTERS)),
)


def counters_of(config: Config) -> list[str]:
    """Names of the counters that count; the others read 0."""
    return [name for name, _ in COUNTERS][: None if config.counters else 1]


def key_writes(key: bytes) -> list[tuple[str, int]]:
    """The writes of registers that put a key of 16, 24 or 32 bytes in place, in order; none for b""."""
    words = [(f"KEY{at // 4}", int.from_bytes(key[at : at + 4], "little")) for at in range(0, len(key), 4)]
    return [("KEY_SIZE", len(key)), *words] if key else []


def address(name: str) -> int:
    """Byte address of the register `name`."""
    return next(register.address for register in REGISTERS if register.name == name)


def _table(head: tuple[str, ...], rows) -> str:
    cells = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in cells)


def markdown_table() -> str:
    """The tables of docs/registers.md: registers, bits of CONTROL, STATUS and INTERRUPT, error codes."""
    bits = {"CONTROL": Command, "STATUS": Status, "INTERRUPT": Interrupt}
    return markdown_tables_of(REGISTERS, bits, ERROR_TEXTS)


def markdown_tables_of(
    registers: Sequence[Register], bits: Mapping[str, type[IntEnum]], errors: Mapping[Any, str]
) -> str:
    """Tables of registers, of the bits of some, and of error codes."""
    access = {Access.READ: "read", Access.WRITE: "write", Access.READ_WRITE: "read, write"}
    tables = (
        _table(
            ("address", "register", "access", "meaning"),
            [(f"0x{r.address:02X}", r.name, access[r.access], r.meaning) for r in registers],
        ),
        _table(
            ("register", "bit", "name"),
            [(name, bit.value.bit_length() - 1, bit.name) for name, members in bits.items() for bit in members],
        ),
        _table(("error code", "name", "meaning"), [(error.value, error.name, text) for error, text in errors.items()]),
    )
    return "\n\n".join(tables) + "\n"
