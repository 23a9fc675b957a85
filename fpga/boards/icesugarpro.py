"""iCESugar-Pro: ulx3s-25f's device and accelerator in another package; 32 MB of flash on the configuration clock."""

from dataclasses import replace

from amaranth.build import Attrs, Pins, PinsN, Resource, Subsignal
from amaranth_boards.icesugar_pro import ICESugarProPlatform

from deeplock.fpga.boards import ulx3s
from deeplock.fpga.boards.board import resources_with

__all__ = ["BOARDS"]


class _IceSugarPro(ICESugarProPlatform):
    resources = resources_with(
        ICESugarProPlatform,
        # that of amaranth-boards has the clock on a pin, which only the configuration reaches
        Resource(
            "spi_flash_4x", 0,
            Subsignal("cs", PinsN("N8", dir="o")),
            Subsignal("dq", Pins("T8 T7 M7 N7", dir="io")),
            Attrs(IO_TYPE="LVCMOS33"),
        ),
    )  # fmt: skip


BOARDS = [
    replace(
        ulx3s.BOARDS[0],
        name="icesugarpro",
        device="lfe5u-25f-bg256",
        platform=_IceSugarPro,
        program="openFPGALoader -c cmsisdap -f {file}",
        program_loadable="openFPGALoader -c cmsisdap -f -o {address} {file}",
    )
]
