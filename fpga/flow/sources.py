"""Sources for Yosys and nextpnr: of a component in the harness, or of a board's top with its pins."""

from collections.abc import Callable
from dataclasses import dataclass

from amaranth import Elaboratable
from amaranth.back import rtlil
from amaranth.lib.wiring import Component

from deeplock.fpga.boards.board import Board
from deeplock.fpga.flow.families import find_family
from deeplock.fpga.flow.families.family import Device
from deeplock.fpga.flow.harness import Harness
from deeplock.fpga.flow.yosys import TOP

__all__ = ["Source", "board_source", "harness_source"]


@dataclass(frozen=True)
class Source:
    """rtlil: module TOP and all below. constraints: of pins and clocks, for the family's nextpnr, or ""."""

    rtlil: str
    constraints: str = ""


def harness_source(component: Callable[[], Component], by_module: bool, device: Device) -> Source:
    """The component that `component` makes, in a harness, on any pins; `by_module`: resources are wanted by module.

    A component that instantiates modules from outside Amaranth holds them in its attribute `rtlil`.
    """
    made = component()
    harness = Harness(made, buffered=by_module)
    foreign = getattr(made, "rtlil", "")
    return Source(rtlil.convert(harness, name=TOP, platform=device, emit_src=False) + foreign)


def board_source(top: Callable[[Board], Elaboratable], board: Board, device: Device) -> Source:
    """The design that `top` makes, on the board's pins."""
    files = board.platform().prepare(top(board), TOP, emit_src=False).files
    suffix, _ = find_family(device.family).constraints
    return Source(files[f"{TOP}.il"], files[f"{TOP}.{suffix}"])
