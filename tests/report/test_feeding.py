"""docs/feeding.svg: it is what report/feeding.py draws, well-formed, inside its frame, and its words are those of programs."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Descriptor
from deeplock.report.drawing import FONT
from deeplock.report.feeding import ALONE, EDGE, HEIGHT, INSIDE, STACKED, WIDTH, draw
from tests.random_networks import network_of

COMMITTED = (Path(__file__).parents[2] / "docs" / "feeding.svg").read_text()
SVG = "{http://www.w3.org/2000/svg}"
ROWS = 8
CONFIG = Config(rows=ROWS, cols=8, bytes_per_beat=8)


def test_the_committed_drawing_is_what_the_script_makes():
    assert draw() == COMMITTED, "docs/feeding.svg: run `python -m deeplock.report.results`"


def test_the_drawing_is_well_formed_inside_its_frame_and_large_enough():
    root = ElementTree.fromstring(COMMITTED)
    letters = {element.text for element in root.iter(f"{SVG}text")}
    assert {
        "row by row: 5 words",
        "3 rows stacked: 4 words",
        *(label for word in EDGE + STACKED for label in word),
    } <= letters
    assert FONT * 820 / WIDTH >= 11
    for box in root.iter(f"{SVG}rect"):
        x, y, width, height = (float(box.get(name) or 0) for name in ("x", "y", "width", "height"))
        assert x > 0 and y > 0 and x + width < WIDTH and y + height < HEIGHT


def conv(name: str, source: str, kernel: int, channels: int, pad: int = 0) -> Conv:
    weight = np.ones((1, kernel, kernel, channels), np.int8)
    scales = np.zeros(1, np.int32), np.full(1, 1 << 15), np.full(1, 15)
    return Conv(name, source, weight, *scales, (1, 1), (pad, pad, pad, pad), 0, 0, -128, 127)


def words_read(layer: Descriptor, pixel: int, names: list[str], base: int) -> list[list[str]]:
    """The words that the feeder reads for a pixel, bytes by their names; `names` of the tensor's bytes from `base` on."""
    words = []
    for first, outside in zip(layer.reads(0, ROWS, 8)[pixel], layer.outside(ROWS)[pixel], strict=True):
        run = []
        for number, out in enumerate(outside):
            behind = number >= layer.run_bytes(ROWS)
            run.append("-" if behind else "p" if out else names[first - base + number])
        words += [run[at : at + ROWS] for at in range(0, len(run), ROWS)]
    return words


def test_a_kernel_row_is_read_as_the_drawing_shows():
    """3x3 same on 4x6 pixels of 5 channels, kernel row 1 of output row 1: around pixel 2 and at the left edge."""
    loadable = compile_network(network_of((4, 6, 5), conv("a", "input", 3, 5, pad=1)), CONFIG)
    (layer,), base = loadable.program, loadable.header.destination * ROWS
    assert loadable.header.runs == 1, "the ifmap is copied as it is"
    names = [str(byte % 30) for byte in range(4 * 30)]
    assert words_read(layer, 6 + 2, names, base)[2:4] == INSIDE
    assert words_read(layer, 6, names, base)[2:4] == EDGE


def test_rows_are_stacked_as_the_drawing_shows():
    """5x5 on 8x8 pixels of one channel: read by a first layer, and by a second one."""
    pixels = [f"{'abcdefgh'[row]}{column}" for row in range(8) for column in range(8)]
    loadable = compile_network(network_of((8, 8, 1), conv("a", "input", 5, 1)), CONFIG)
    (layer,), header = loadable.program, loadable.header
    loops = np.indices((header.windows_y, header.windows_x, header.runs, header.run_bytes)).reshape(4, -1)
    sources = np.array([header.y_pitch, header.x_pitch, header.run_pitch, 1]) @ loops
    assert words_read(layer, 0, [pixels[source] for source in sources], header.destination * ROWS) == STACKED
    loadable = compile_network(network_of((8, 8, 1), conv("a", "input", 1, 1), conv("b", "a", 5, 1)), CONFIG)
    first, second = loadable.program
    assert words_read(second, 0, pixels, first.destination) == ALONE
