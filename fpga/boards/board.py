"""What is to be known of a board."""

from collections.abc import Callable
from dataclasses import dataclass

from amaranth.build import Platform

from deeplock.pymodel.spec.config import Config

__all__ = ["Board"]


@dataclass(frozen=True)
class Board:
    """A board that can be bought, and what is put on it.

    name            as in `deeplock synth --board`, 11 characters at most
    device          of fpga.flow.families
    platform        of amaranth-boards, or a subclass with what that lacks. It has an oscillator, `uart` with rx and tx, and
                    `spi_flash_4x` with cs, dq and, unless it is the family's configuration clock, clk
    config          of the accelerator
    clock_hz        of the system; a multiple that a PLL can make of the oscillator
    baud            of the host link
    divider         system cycles per clock of the flash: fpga.gateware.flash.SpiPins
    loadable_address   where `deeplock program` puts the loadable in the flash, behind the bitstream
    program         command line that writes a bitstream to the flash, {file} stands for it
    program_loadable   the same for the loadable, at {address}
    cache_bytes     block RAM that keeps the locked loadable: fpga.gateware.loadable_cache
    """

    name: str
    device: str
    platform: Callable[[], Platform]
    config: Config
    clock_hz: int
    baud: int
    divider: int
    loadable_address: int
    program: str
    program_loadable: str
    cache_bytes: int = 0
