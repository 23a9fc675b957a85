"""Draws how kernel windows become words: `draw()` gives the text of docs/feeding.svg, which report/results.py writes."""

from collections.abc import Sequence

from deeplock.report.drawing import picture, rectangle, text

__all__ = ["ALONE", "EDGE", "INSIDE", "STACKED", "draw"]

WIDTH, HEIGHT = 1040, 520
CELL = 27
ROWS = 8
"""Bytes of a word."""
PADDING, BEHIND = "p", "-"

CHANNELS, PIXELS, TALL, WIDE = 5, 6, 3, 3
"""Above: a kernel on an input row of so many pixels."""
SIZE, DEEP = 5, 3
"""Below: a square kernel on one channel, and the ifmap rows that are stacked."""


def words_of(run: Sequence[str]) -> list[list[str]]:
    """The words of a run; what lies behind it is masked."""
    filled = [*run, *[BEHIND] * (-len(run) % ROWS)]
    return [filled[at : at + ROWS] for at in range(0, len(filled), ROWS)]


def _kernel_row(pixel: int) -> list[list[str]]:
    """Words of a kernel row whose first column is at that pixel."""
    places = range(pixel * CHANNELS, (pixel + WIDE) * CHANNELS)
    return words_of([str(byte) if byte >= 0 else PADDING for byte in places])


def _rows(names: str) -> list[list[str]]:
    """Words of the window's rows of these names, stacked."""
    return words_of([f"{name}{column}" for column in range(SIZE) for name in names])


NAMES = "abcde"
INSIDE, EDGE = _kernel_row(1), _kernel_row(-1)
ALONE = [word for name in NAMES for word in _rows(name)]
STACKED = _rows(NAMES[:DEEP]) + _rows(NAMES[-DEEP:])

_TINTS = {"a": "#dcefdc", "b": "#b9dfb9", "c": "#f6d7a8", "d": "#d3e4f5", "e": "#aecdec"}
_LEFT = 40
_FIRST = _LEFT + CHANNELS * CELL
"""Where byte 0 of the input row is."""


def _look(label: str) -> str:
    if label == BEHIND:
        return 'fill="white" stroke="#6b7280" stroke-dasharray="3 2"'
    if label == PADDING:
        return 'fill="#d1d5db" stroke="#6b7280"'
    name = label[0] if label[0] in NAMES else NAMES[int(label) // CHANNELS % 2]
    return f'fill="{_TINTS[name]}" stroke="#6b7280"'


def cells(x: float, y: float, labels: Sequence[str]) -> list[str]:
    parts = []
    for number, label in enumerate(labels):
        parts.append(rectangle(x + number * CELL, y, CELL, CELL, _look(label)))
        parts.append(text(x + (number + 0.5) * CELL, y + CELL / 2 + 5, label, middle=True))
    return parts


def words(x: float, y: float, all_words: Sequence[Sequence[str]]) -> list[str]:
    """Words side by side, each in a frame."""
    parts = []
    for number, word in enumerate(all_words):
        at = x + number * ROWS * CELL
        parts += cells(at, y, word)
        parts.append(rectangle(at, y, ROWS * CELL, CELL, 'fill="none" stroke="#111827" stroke-width="2.5"'))
    return parts


def kernel_rows() -> list[str]:
    """A kernel row inside the input, and at its left edge."""
    parts = [
        text(_LEFT, 34, f"{TALL}x{WIDE} kernel on {CHANNELS} channels: a kernel row is one run of bytes", bold=True),
        text(_LEFT, 78, "an input row"),
        text(_LEFT, 96, "in memory"),
        *cells(_FIRST, 76, [str(byte) for byte in range(PIXELS * CHANNELS)]),
    ]
    for pixel in range(PIXELS):
        parts.append(text(_FIRST + (pixel + 0.5) * CHANNELS * CELL, 66, f"pixel {pixel}", middle=True))
    right = _FIRST + (CHANNELS + len(INSIDE) * ROWS) * CELL + 14
    parts += [
        text(_LEFT, 140, f"pixels 1 to {WIDE}"),
        *words(_FIRST + CHANNELS * CELL, 122, INSIDE),
        text(right, 140, f"{WIDE * CHANNELS} bytes in {len(INSIDE)} words of {ROWS}"),
        *words(_FIRST - CHANNELS * CELL, 168, EDGE),
        text(right - 2 * CHANNELS * CELL, 186, "the same at the left edge of the input"),
    ]
    padded = TALL * WIDE * -(-CHANNELS // ROWS)
    parts.append(
        text(
            _LEFT,
            224,
            f"A window takes {TALL * len(INSIDE)} words. If each pixel began a word, it would take {padded}.",
        )
    )
    return parts


def stacked() -> list[str]:
    """The window of a first layer, read row by row and stacked."""
    top, alone, both = 316, 240, 520
    parts = [
        text(_LEFT, 270, f"First layer, {SIZE}x{SIZE} kernel on 1 channel: rows of the ifmap are stacked", bold=True),
        text(_LEFT, top - 12, "window"),
        text(alone, top - 12, f"row by row: {len(ALONE)} words"),
        text(both, top - 12, f"{DEEP} rows stacked: {len(STACKED)} words"),
    ]
    for row, name in enumerate(NAMES):
        parts += cells(_LEFT, top + row * (CELL + 4), [f"{name}{column}" for column in range(SIZE)])
        parts += words(alone, top + row * (CELL + 4), [ALONE[row]])
    for row in range(2):
        parts += words(both, top + row * (CELL + 4), STACKED[2 * row : 2 * row + 2])
    parts += [
        text(both, top + 88, f"Both kernel rows are runs of {SIZE * DEEP} bytes: {DEEP} rows of a column, then"),
        text(both, top + 106, "of the next column. Row c is in both; each of its weights is"),
        text(both, top + 124, "split at random into two parts, one for each run."),
    ]
    return parts


def legend() -> list[str]:
    return [
        *cells(_LEFT, 480, [PADDING]),
        text(_LEFT + CELL + 10, 498, "outside the input: reads as the padding value"),
        *cells(_LEFT + 380, 480, [BEHIND]),
        text(_LEFT + 380 + CELL + 10, 498, "behind the run: reads as 0"),
        rectangle(_LEFT + 640, 480, CELL, CELL, 'fill="none" stroke="#111827" stroke-width="2.5"'),
        text(_LEFT + 640 + CELL + 10, 498, "a word, from any byte on"),
    ]


def draw() -> str:
    parts = [*kernel_rows(), *stacked(), *legend()]
    return picture("How kernel windows are read as words", WIDTH, HEIGHT, parts)
