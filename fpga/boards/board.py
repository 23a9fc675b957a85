"""Description of a board."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from amaranth.build import Platform, Resource

from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.spec.config import Config

__all__ = ["Board", "resources_with"]


@dataclass(frozen=True)
class Board:
    """A commercial board and the system on it.

    name            as in `deeplock synth --board`, 11 characters at most
    device          of fpga.flow.families
    platform        of amaranth-boards, or a subclass that adds what it lacks. It has an oscillator, `uart` with rx and tx, and
                    `spi_flash_4x` or `spi_flash_2x` with cs, dq and, unless the flash is on the configuration clock, clk
    config          of the accelerator
    clock_hz        of the system; a multiple that a PLL can make of the oscillator
    baud            of the host link
    divider         system cycles per clock of the flash: fpga.gateware.flash.SpiPins
    loadable_address   where `deeplock program` puts the loadable in the flash, after the bitstream
    program         command line that writes a bitstream, {file}, to the flash
    program_loadable   the same for the loadable, at {address}
    suite           that it has unless another is asked for: the smallest that seals, and is as fast as its flash
    licensed        what else is in `config` of a board that takes licences: `permissions`, where there is room for them;
                    fewer `counters` or a smaller memory, where room must be made
    licensed_clock_hz   of the system if it takes licences; 0: clock_hz too
    cache_bytes     bytes of block RAM for the locked loadable: fpga.gateware.loadable_cache
    flash_lines     data lines of the flash that the board connects: 4 or 2
    sdram           it has a SDRAM of 32 MB, the platform's `sdram`: fpga.gateware.sdram_cache
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
    suite: str
    licensed: tuple[tuple[str, int], ...] = ()
    licensed_clock_hz: int = 0
    cache_bytes: int = 0
    flash_lines: int = 4
    sdram: bool = False

    def for_suite(self, name: str | None = None, licences: bool | None = None) -> "Board":
        """The same board with another lock suite on it, by default its own; if that seals, it takes licences unless told not
        to."""
        config = self.config.with_suite(name or self.suite)
        takes = suite(config.suite).seals if licences is None else licences
        if not takes:
            return replace(self, config=config)
        config = replace(config, licences=True, **dict(self.licensed))
        return replace(self, config=config, clock_hz=self.licensed_clock_hz or self.clock_hz)


def resources_with(platform: type, *own: Resource) -> list[Resource]:
    """The platform's resources, with `own` in place of those of the same names."""
    names = {resource.name for resource in own}
    return [*(resource for resource in platform.resources if resource.name not in names), *own]
