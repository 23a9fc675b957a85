"""A board with a small accelerator that enforces licences, and what may lie in its flash: right, and wrong in each way."""

from dataclasses import replace

from deeplock.fpga.boards import board
from deeplock.pymodel.attacks.bits import flip
from deeplock.pymodel.spec.registers import Error
from tests.pymodel.spec.test_licence import MODEL, NEXT, OTHER_KEY, config_of, issued, sealed

__all__ = ["BOARD", "CASES", "FLASH", "LOADABLE", "RIGHT"]

SUITE = "acorn"
BOARD = replace(board("icebreaker"), config=config_of(SUITE))
LOADABLE = sealed(SUITE).under(issued(SUITE))
"""Under a licence for test_licence.DEVICE_KEY."""
_SIZE = 1 << 12

_LICENCE, _HEAD, _STREAM = 8 * len(LOADABLE.licence), 8 * len(LOADABLE.head), LOADABLE.stream
_CONTENTS = {
    Error.NONE: [_STREAM],
    Error.BAD_LICENCE: [
        issued(SUITE, key=OTHER_KEY).stream + sealed(SUITE).stream,
        *(flip(_STREAM, bit) for bit in (300, _LICENCE - 1)),
    ],
    Error.OTHER_MODEL: [issued(SUITE, model=MODEL ^ 1).stream + sealed(SUITE).stream],
    Error.OTHER_VERSION: [
        issued(SUITE, f"versions={versions}").stream + sealed(SUITE).stream
        for versions in (f"{NEXT + 1}-", f"0-{NEXT - 1}")
    ],
    Error.BAD_TAG: [flip(_STREAM, bit) for bit in (_LICENCE, _HEAD - 1, _HEAD)],
}
"""Of the flash, at one address after another: whole streams, and the error that each ends with."""

FLASH = bytes(BOARD.loadable_address)
CASES: list[tuple[int, Error]] = []
for _error, _streams in _CONTENTS.items():
    for _stream in _streams:
        CASES.append((len(FLASH), _error))
        FLASH += _stream.ljust(_SIZE, b"\xff")
RIGHT = CASES[0][0]
"""Address of the right one."""
