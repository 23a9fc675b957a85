"""The register map for other tools: a C header and SystemRDL 2.0, made from registers.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from deeplock.pymodel.spec import memory
from deeplock.pymodel.spec.config import FEATURE_BITS
from deeplock.pymodel.spec.registers import (
    ERROR_TEXTS,
    ID,
    REGISTERS,
    Access,
    Command,
    Error,
    Interrupt,
    Register,
    Status,
)

__all__ = ["c_header", "fields_of", "memory_c_header", "system_rdl"]


@dataclass(frozen=True)
class _Bits:
    """Bits high..low of a register."""

    name: str
    high: int
    low: int


def _flags(members: type[IntEnum]) -> tuple[_Bits, ...]:
    places = ((member.name, member.value.bit_length() - 1) for member in members)
    return tuple(_Bits(name, bit, bit) for name, bit in places)


_ERROR = _Bits("ERROR_CODE", 15, 8)
_FIELDS = {
    "GEOMETRY": (_Bits("ROWS", 7, 0), _Bits("COLS", 15, 8), _Bits("BYTES_PER_BEAT", 23, 16), _Bits("SUITE", 31, 24)),
    "CONTROL": _flags(Command),
    "STATUS": (*_flags(Status), _ERROR),
    "CONFIG": (_Bits("ZEROISE_AT_END", 0, 0),),
    "COUNT": (_Bits("COUNT", 15, 0),),
    "KEY_SIZE": (_Bits("BYTES", 31, 0),),
    "PROFILE": (_Bits("LAYER", 7, 0),),
    "FEATURES": tuple(_Bits(name.upper(), bit, bit) for bit, name in enumerate(FEATURE_BITS)),
    "INTERRUPT": _flags(Interrupt),
}

_MEMORY_FIELDS = {
    "CONTROL": _flags(memory.Command),
    "STATUS": (*_flags(memory.Status), _ERROR),
    "INTERRUPT": _flags(memory.Interrupt),
}


def fields_of(register: Register) -> tuple[_Bits, ...]:
    """Its fields; of a register with one number in it, all bits."""
    return _FIELDS.get(register.name, (_Bits("VALUE", 31, 0),))


_ACCESS = {Access.READ: "read", Access.WRITE: "write", Access.READ_WRITE: "read, write"}


def c_header() -> str:
    """deeplock_regs.h, for C from C89 on, C++ and assemblers: addresses, fields, error codes."""
    about = "the Deeplock accelerator: 32 bits, little-endian. Made from pymodel/spec/registers.py"
    return _c_header("DEEPLOCK", about, ID, REGISTERS, _FIELDS, ERROR_TEXTS)


def memory_c_header() -> str:
    """deeplock_memory_regs.h: the same of the memory master."""
    about = "the Deeplock accelerator's memory master: 32 bits, little-endian. Made from pymodel/spec/memory.py"
    return _c_header("DEEPLOCK_MEMORY", about, memory.ID, memory.REGISTERS, _MEMORY_FIELDS, memory.ERROR_TEXTS)


def _c_header(
    prefix: str,
    about: str,
    identification: int,
    registers: Sequence[Register],
    fields: Mapping[str, tuple[_Bits, ...]],
    errors: Mapping[Any, str],
) -> str:
    rows: list[tuple[str, str, str]] = [("ID_VALUE", f"{identification:#x}", "what register ID reads")]
    rows.append(("", "", "byte addresses"))
    rows += [(f"REG_{r.name}", f"{r.address:#04x}", f"{_ACCESS[r.access]}: {r.meaning}") for r in registers]
    for register in registers:
        if register.name in fields:
            rows.append(("", "", f"fields of {register.name}"))
            for field in fields[register.name]:
                name, mask = f"{register.name}_{field.name}", (2 << field.high) - (1 << field.low)
                rows.append((name, f"{mask:#x}", ""))
                if field.high > field.low:
                    rows.append((f"{name}_SHIFT", str(field.low), ""))
    rows.append(("", "", "error codes in STATUS"))
    rows += [(f"ERROR_{error.name}", str(error.value), text) for error, text in errors.items()]
    lines = [
        f"#define {prefix}_{name} {value}" + f"  /* {text} */" * bool(text) if name else f"\n/* {text} */"
        for name, value, text in rows
    ]
    guard = (f"#ifndef {prefix}_REGS_H", f"#define {prefix}_REGS_H", "")
    return "\n".join([f"/* The registers of {about}. */", *guard, *lines, "", "#endif", ""])


def _text(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _rdl_field(register: Register, field: _Bits) -> str:
    software = {Access.READ: "r", Access.WRITE: "w", Access.READ_WRITE: "rw"}[register.access]
    hardware = {Access.READ: "w", Access.WRITE: "r", Access.READ_WRITE: "r"}[register.access]
    properties = f"sw = {software}; hw = {hardware};"
    if register.name == "CONTROL":
        properties += " singlepulse;"
    if register.name == "STATUS" and field == _ERROR:
        properties += " encode = error_code;"
    reset = f" = {'1' if register.name == 'COUNT' else '0'}" if register.access != Access.READ else ""
    return f"        field {{ {properties} }} {field.name}[{field.high}:{field.low}]{reset};"


def system_rdl() -> str:
    """deeplock.rdl: address map `deeplock`."""
    codes = [f"    {error.name} = {error.value} {{ desc = {_text(ERROR_TEXTS[error])}; }};" for error in Error]
    lines = ["// The registers of the Deeplock accelerator. Made from pymodel/spec/registers.py."]
    lines += ["enum error_code {", *codes, "};", ""]
    lines += ["addrmap deeplock {", '    name = "Deeplock accelerator";', "    littleendian;", ""]
    lines += ["    default regwidth = 32;", "    default accesswidth = 32;", ""]
    for register in REGISTERS:
        lines += ["    reg {", f"        desc = {_text(register.meaning)};"]
        lines += [_rdl_field(register, field) for field in fields_of(register)]
        lines.append(f"    }} {register.name} @ {register.address:#04x};")
    return "\n".join([*lines, "};", ""])
