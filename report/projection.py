"""Images a second to expect of an accelerator; on a board, also the most that its memory and its host link allow."""

from math import prod
from typing import Any

from deeplock.fpga.boards.board import Board
from deeplock.fpga.gateware.sdram import WORD_BYTES
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.loadable import Loadable
from deeplock.report.expectation import expectation
from deeplock.report.tables import Table

__all__ = ["PARTS", "projection", "projection_table", "projection_text"]

PARTS = {"array": "array", "flash": "flash", "sdram": "SDRAM", "link": "host link"}
"""What a rate is of, by the name in a projection."""

_BITS_ON_LINK = 10
"""Of a byte on the UART, with start and stop bit. Frames and their answers come on top."""


def projection(loadable: Loadable, config: Config, clock_mhz: float, board: Board | None = None) -> dict[str, Any]:
    """Images a second of each part alone. The slowest is a bound for all together, which wait for each other.

    array   by the cycles of pymodel/compiler/cycles.py
    flash   by the rate at which it gives the parameters; None without a board, or if they lie in block RAM or SDRAM
    sdram   the same of the SDRAM; None if they do not lie there
    link    by the bytes of ifmap and ofmap; None without a board
    """
    header, clock_hz = loadable.header, clock_mhz * 1e6
    expected = expectation(loadable, config)["expected_cycles"]
    flash = sdram = link = None
    if board is not None:
        parameters = header.parameter_beats * header.bytes_per_beat
        if parameters > board.cache_bytes and board.sdram:
            sdram = clock_hz * loadable.batch * WORD_BYTES / parameters
        elif parameters > board.cache_bytes:
            flash = clock_hz * loadable.batch / (8 // board.flash_lines * board.divider * parameters)
        on_link = header.ifmap_beats * header.rows + prod(loadable.interface.output_shape)
        link = board.baud / (_BITS_ON_LINK * on_link)
    return {
        "network": loadable.interface.network,
        "suite": loadable.suite,
        "clock_mhz": clock_mhz,
        "expected_cycles": expected,
        "array": round(clock_hz / expected, 1),
        "flash": flash and round(flash, 1),
        "sdram": sdram and round(sdram, 1),
        "link": link and round(link, 1),
    }


def projection_text(found: dict[str, Any]) -> str:
    """What the rates are of, in a line."""
    return (
        f"{found['network']}: {found['expected_cycles']:,.0f} cycles an image expected, at {found['clock_mhz']:g} MHz"
        + f"; suite {found['suite']} adds cycles of its own" * suite(found["suite"]).seals
    )


def projection_table(found: dict[str, Any]) -> Table:
    """A line for each part that there is."""
    return Table(
        ["at most by", "images/s"],
        [[name, found[part]] for part, name in PARTS.items() if found[part]],
    )
