"""The boards, and the accelerator that each one has."""

from dataclasses import dataclass
from importlib import import_module

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.config import Config

__all__ = ["BOARDS", "Board", "board"]


@dataclass(frozen=True)
class Board:
    """A board that can be bought, and what is put on it.

    name            as in `deeplock synth --board`
    device          of fpga.flow.devices
    platform        class of amaranth-boards, as "module:class": pins and oscillator
    config          of the accelerator
    clock_hz        of the system; a multiple that a PLL can make of the oscillator
    baud            of the host link
    divider         system cycles per clock of the flash
    cache_bytes     block RAM that keeps the locked loadable: fpga.gateware.loadable_cache
    loadable_address   where `deeplock program` puts the loadable in the flash, behind the bitstream
    program         command line that writes a bitstream to the flash, {file} stands for it
    program_loadable   the same for the loadable, at {address}
    """

    name: str
    device: str
    platform: str
    config: Config
    clock_hz: int
    baud: int
    divider: int
    cache_bytes: int
    loadable_address: int
    program: str
    program_loadable: str

    def make_platform(self):
        """An instance of its platform."""
        module, _, name = self.platform.partition(":")
        return getattr(import_module(f"amaranth_boards.{module}"), name)()


_UP5K = Config(
    rows=4, cols=4, bytes_per_beat=4, lanes=1, multiplier_cycles=8, activation_words=8192, single_port=True,
    accumulators=256, sum_bits=24, padding=False, folding=False, diagonal=False, word_unfolding=False,
    pipeline_registers=False, program_words=256, ifmap_bytes=1024, key_sizes=(16,), sbox="rom",
)  # fmt: skip
_ECP5_85 = Config(
    rows=8, cols=16, bytes_per_beat=16, lanes=8, activation_words=8192, accumulators=512, program_words=512,
    ifmap_bytes=4096, key_sizes=(16,), sbox="rom",
)  # fmt: skip
_ECP5_25 = Config(
    rows=8, cols=8, bytes_per_beat=8, lanes=4, activation_words=4096, accumulators=512, program_words=512,
    ifmap_bytes=1024, key_sizes=(16,), sbox="rom",
)  # fmt: skip

BOARDS = {
    board.name: board
    for board in (
        Board(
            "icebreaker", "up5k", "icebreaker:ICEBreakerPlatform", _UP5K, 24_000_000, 1_000_000, 1, 0, 1 << 20,
            "iceprog {file}", "iceprog -o {address} {file}",
        ),
        Board(
            "icesugar", "up5k", "icesugar:ICESugarPlatform", _UP5K, 24_000_000, 1_000_000, 1, 0, 1 << 20,
            "openFPGALoader -b ice40_generic -f {file}", "openFPGALoader -b ice40_generic -f -o {address} {file}",
        ),
        Board(
            "ulx3s-25f", "lfe5u-25f", "ulx3s:ULX3S_25F_Platform", _ECP5_25, 50_000_000, 2_000_000, 2, 0, 1 << 22,
            "openFPGALoader -b ulx3s -f {file}", "openFPGALoader -b ulx3s -f -o {address} {file}",
        ),
        Board(
            "ulx3s-85f", "lfe5u-85f", "ulx3s:ULX3S_85F_Platform", _ECP5_85, 80_000_000, 2_000_000, 2, 192 << 10, 1 << 22,
            "openFPGALoader -b ulx3s -f {file}", "openFPGALoader -b ulx3s -f -o {address} {file}",
        ),
    )
}  # fmt: skip


def board(name: str) -> Board:
    """The board of that name; DeeplockError if there is none."""
    if name not in BOARDS:
        raise DeeplockError(f"board must be {', '.join(BOARDS)}, not {name}")
    return BOARDS[name]
