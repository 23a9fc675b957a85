"""What can be synthesised: accelerators, boards, and components on their own."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from amaranth.lib.wiring import Component

from deeplock.fpga.boards.board import Board
from deeplock.fpga.flow.families import find_device
from deeplock.fpga.flow.families.family import Device
from deeplock.fpga.flow.riscv import Processor
from deeplock.fpga.flow.sources import Source, board_source, harness_source
from deeplock.fpga.gateware.top import Top
from deeplock.hw.accelerator import Accelerator
from deeplock.hw.lock.composite_sbox import CompositeSbox
from deeplock.hw.lock.key_schedule import KeySchedule
from deeplock.hw.lock.sbox import STYLES, Sbox
from deeplock.hw.lock.unlock import UnlockUnit
from deeplock.hw.memory.master import MemoryMaster
from deeplock.pymodel.lock.sbox import INV_SBOX, SBOX
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.memory import MemoryOptions
from deeplock.sim.riscv.cores import CORES, packaged_verilog

__all__ = ["COMPONENTS", "Design", "core", "key_schedule", "memory_master", "on_board", "riscv", "sbox", "unlock_unit"]


@dataclass(frozen=True, eq=False)
class Design:
    """Something to synthesise; it can be sent to another process.

    name     for people
    fields   its columns in a row of results
    source   makes it for a device
    """

    name: str
    fields: dict[str, Any]
    source: Callable[[Device], Source]


def core(config: Config) -> Design:
    """An accelerator, without a board around it."""
    styled = suite(config.suite).sbox is not None
    name = f"{config.rows}x{config.cols} B={config.bytes_per_beat} lanes={config.lanes} {config.suite}"
    fields = asdict(config) | ({} if styled else {"sbox": None})
    source = partial(harness_source, partial(Accelerator, config), True)
    return Design(f"{name} {config.sbox}" if styled else name, fields, source)


def on_board(board: Board) -> tuple[Design, Device]:
    """A board's whole design, and its device with the board's clock as the target."""
    design, clock_mhz = core(board.config), board.clock_hz / 1e6
    fields = {"board": board.name, "clock_mhz": clock_mhz} | design.fields
    device = replace(find_device(board.device), mhz=clock_mhz)
    return Design(f"{board.name} {design.name}", fields, partial(board_source, Top, board)), device


_ARGUMENTS = {
    "direction": ("forward", "inverse", "both"),
    "sbox": STYLES,
    "bytes_per_beat": (4, 8, 16),
    "key_sizes": ((16,), (24,), (32,), (16, 24, 32)),
    "core": tuple(CORES),
    "rows": (4, 8, 16),
    "outstanding": (1, 2, 4, 8, 16),
}


def _component(kind: str, make: Callable[[], Component], **arguments: int | str | tuple[int, ...]) -> Design:
    for name, value in arguments.items():
        if value not in _ARGUMENTS[name]:
            raise ValueError(f"{name} must be one of {', '.join(map(str, _ARGUMENTS[name]))}, not {value}")
    name = " ".join([kind, *(f"{argument}={value}" for argument, value in arguments.items())])
    return Design(name, {"component": kind, **arguments}, partial(harness_source, make, False))


def sbox(direction: str, sbox: str) -> Design:
    """One S-box: "forward", "inverse" or, in style "composite", "both" in one; ValueError for anything else."""
    if direction == "both" and sbox != "composite":
        raise ValueError(f"direction both is for sbox composite, not for {sbox}")
    make = partial(CompositeSbox, direction)
    if sbox != "composite":
        make = partial(Sbox, 1, sbox, INV_SBOX if direction == "inverse" else SBOX)
    return _component("sbox", make, direction=direction, sbox=sbox)


def key_schedule(bytes_per_beat: int, key_sizes: tuple[int, ...], sbox: str) -> Design:
    """A key schedule for keys of 16, 24 or 32 bytes, or of all three; ValueError for anything else."""
    make = partial(KeySchedule, bytes_per_beat, sbox, key_sizes)
    return _component("key_schedule", make, bytes_per_beat=bytes_per_beat, key_sizes=key_sizes, sbox=sbox)


def unlock_unit(bytes_per_beat: int, sbox: str) -> Design:
    """An unlock unit; ValueError for a number of bytes or a style that no accelerator has."""
    make = partial(UnlockUnit, bytes_per_beat, sbox)
    return _component("unlock_unit", make, bytes_per_beat=bytes_per_beat, sbox=sbox)


def memory_master(rows: int, bytes_per_beat: int, outstanding: int) -> Design:
    """The memory master of a square array; ValueError for what no accelerator has."""
    make = partial(_memory_master, rows, bytes_per_beat, outstanding)
    return _component("memory_master", make, rows=rows, bytes_per_beat=bytes_per_beat, outstanding=outstanding)


def _memory_master(rows: int, bytes_per_beat: int, outstanding: int) -> MemoryMaster:
    config = Config(rows=rows, cols=rows, bytes_per_beat=bytes_per_beat)
    return MemoryMaster(config, MemoryOptions(outstanding=outstanding))


def riscv(core: str) -> Design:
    """A core of the software baseline; ValueError for an unknown one, or where its Verilog is missing."""
    design = _component("riscv", partial(Processor, core), core=core)
    packaged_verilog(CORES[core])
    return design


COMPONENTS: dict[str, Callable[..., Design]] = {
    "sbox": sbox,
    "key_schedule": key_schedule,
    "unlock_unit": unlock_unit,
    "memory_master": memory_master,
    "riscv": riscv,
}
"""The components that a sweep can ask for, by name."""
