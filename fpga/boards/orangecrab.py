"""OrangeCrab r0.2 with the ECP5 of 25 thousand LUTs: ulx3s-25f's accelerator at 48 MHz, as its oscillator. The UART is on pins
0 (in) and 1 (out) of the header; the bitstream goes where the boot loader of the board looks for it."""

from dataclasses import replace

from amaranth.build import Attrs, Pins, PinsN, Resource, Subsignal
from amaranth_boards.orangecrab_r0_2 import OrangeCrabR0_2_25FPlatform

from deeplock.fpga.boards import ulx3s
from deeplock.fpga.boards.board import resources_with

__all__ = ["BOARDS"]


class _OrangeCrab(OrangeCrabR0_2_25FPlatform):
    resources = resources_with(
        OrangeCrabR0_2_25FPlatform,
        # that of amaranth-boards has the clock on a pin, which only the configuration reaches
        Resource(
            "spi_flash_4x", 0,
            Subsignal("cs", PinsN("U17", dir="o")),
            Subsignal("dq", Pins("U18 T18 R18 N18", dir="io")),
            Attrs(IO_TYPE="LVCMOS33"),
        ),
        Resource(
            "uart", 0,
            Subsignal("rx", Pins("0", dir="i", conn=("io", 0))),
            Subsignal("tx", Pins("1", dir="o", conn=("io", 0))),
            Attrs(IO_TYPE="LVCMOS33"),
        ),
    )  # fmt: skip


BOARDS = [
    replace(
        ulx3s.BOARDS[0],
        name="orangecrab",
        device="lfe5u-25f-mg285",
        platform=_OrangeCrab,
        clock_hz=48_000_000,
        sdram=False,
        program="ecpprog -o 0x80000 {file}",
        program_loadable="ecpprog -o {address} {file}",
    )
]
