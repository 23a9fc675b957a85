"""ULX3S with the ECP5 of 25 or 85 thousand LUTs: 25 MHz, 16 MB of flash on the configuration clock, 32 MB of SDRAM or more."""

from dataclasses import replace

from amaranth.build import Attrs, Pins, PinsN, Resource, Subsignal
from amaranth_boards.ulx3s import ULX3S_25F_Platform, ULX3S_85F_Platform

from deeplock.fpga.boards.board import Board, resources_with
from deeplock.pymodel.spec.config import Config

__all__ = ["BOARDS"]

# amaranth-boards has a UART with handshake pins, and a flash with one data pin each way
_OWN = [
    Resource(
        "uart", 0,
        Subsignal("rx", Pins("M1", dir="i")),
        Subsignal("tx", Pins("L4", dir="o")),
        Attrs(IO_TYPE="LVCMOS33"),
    ),
    Resource(
        "spi_flash_4x", 0,
        Subsignal("cs", PinsN("R2", dir="o")),
        Subsignal("dq", Pins("W2 V2 Y2 W1", dir="io")),
        Attrs(PULLMODE="NONE", DRIVE="4", IO_TYPE="LVCMOS33"),
    ),
]  # fmt: skip


class _Ulx3s25f(ULX3S_25F_Platform):
    resources = resources_with(ULX3S_25F_Platform, *_OWN)


class _Ulx3s85f(ULX3S_85F_Platform):
    resources = resources_with(ULX3S_85F_Platform, *_OWN)


_25F = Board(
    name="ulx3s-25f",
    device="lfe5u-25f",
    platform=_Ulx3s25f,
    config=Config(
        rows=8,
        cols=8,
        bytes_per_beat=8,
        lanes=4,
        activation_words=4096,
        accumulators=512,
        program_words=512,
        ifmap_bytes=1024,
        key_sizes=(16,),
        sbox="rom",
    ),
    clock_hz=50_000_000,
    baud=2_000_000,
    divider=2,
    loadable_address=1 << 22,
    program="openFPGALoader -b ulx3s -f {file}",
    program_loadable="openFPGALoader -b ulx3s -f -o {address} {file}",
    suite="ascon",
    licensed=(("permissions", True),),
    sdram=True,
)
_85F = replace(
    _25F,
    name="ulx3s-85f",
    device="lfe5u-85f",
    suite="acorn",
    licensed_clock_hz=50_000_000,
    platform=_Ulx3s85f,
    config=replace(
        _25F.config, cols=16, bytes_per_beat=16, lanes=8, activation_words=8192, ifmap_bytes=4096, ofmap_bytes=0
    ),
    clock_hz=80_000_000,
    cache_bytes=192 << 10,
)

BOARDS = [_25F, _85F]
