"""One file a board: its pins, its clock, its memory, the accelerator on it. New files are found automatically."""

from importlib import import_module
from pkgutil import iter_modules

from deeplock.fpga.boards.board import Board
from deeplock.pymodel.errors import DeeplockError

__all__ = ["BOARDS", "board"]

BOARDS: dict[str, Board] = {
    board.name: board
    for module in iter_modules(__path__)
    if module.name != "board"
    for board in import_module(f"{__name__}.{module.name}").BOARDS
}


def board(name: str) -> Board:
    """The board of that name; DeeplockError if there is none."""
    if name not in BOARDS:
        raise DeeplockError(f"board must be {', '.join(BOARDS)}, not {name}")
    return BOARDS[name]
