"""iCESugar: iCEBreaker's device, clocks and array on other pins, with another programmer."""

from dataclasses import replace

from amaranth_boards.icesugar import ICESugarPlatform

from deeplock.fpga.boards import icebreaker

__all__ = ["BOARDS"]

BOARDS = [
    replace(
        icebreaker.BOARDS[0],
        name="icesugar",
        platform=ICESugarPlatform,
        program="openFPGALoader -b ice40_generic -f {file}",
        program_loadable="openFPGALoader -b ice40_generic -f -o {address} {file}",
    )
]
