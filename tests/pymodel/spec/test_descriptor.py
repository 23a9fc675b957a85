"""Header and descriptor: their records, their page, and what a descriptor's fields mean."""

from dataclasses import FrozenInstanceError, asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.descriptor import Descriptor
from deeplock.pymodel.spec.entry import ENTRY
from deeplock.pymodel.spec.header import Header
from deeplock.pymodel.spec.licence import Terms
from tests.hw.layer_tools import descriptor


@pytest.mark.parametrize("kind", [Header, Descriptor])
@given(data=st.data())
def test_what_is_packed_is_unpacked(kind, data):
    values = {name: data.draw(st.integers(*field.range)) for name, field in kind.layout.fields.items()}
    record = kind(**values)
    assert asdict(record) == values
    assert len(record.pack()) == 64
    assert kind.unpack(record.pack()) == record


def test_the_header_begins_with_its_name():
    header = Header.unpack(bytes(64))
    assert replace(header, magic=0x4B4C4E4E).pack()[:4] == b"NNLK"
    assert {name for name, field in Header.layout.fields.items() if field.word == 0} == {"magic"}


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("groups", 256, r"0\.\.255 \(8 bits\)"),
        ("groups", -1, r"0\.\.255 \(8 bits\)"),
        ("x0", -32769, r"-32768\.\.32767 \(16 bits\)"),
        ("source", 1 << 20, r"0\.\.1048575 \(20 bits\)"),
    ],
)
def test_a_value_beyond_its_field_is_refused(name, value, rule):
    with pytest.raises(DeeplockError, match=f"^descriptor: {name} must be {rule}, not {value}$"):
        descriptor(**{name: value})


def test_a_record_does_not_change():
    with pytest.raises(FrozenInstanceError):
        descriptor().groups = 2  # type: ignore[misc]
    assert not hasattr(descriptor(), "__dict__")


def test_the_page_in_docs_is_up_to_date():
    text = (Path(__file__).parents[3] / "docs" / "loadable-format.md").read_text()
    for layout in (Header.layout, Terms.layout, Descriptor.layout, ENTRY):
        assert layout.markdown() in text, (
            f"docs/loadable-format.md: put the output of markdown() of the {layout.name} in"
        )


def test_groups_and_tiles():
    """3x1 kernel of 4 + 4 + 2 channels on 4 rows; 8 + 8 + 3 output channels on 8 columns, the last ones folded in two."""
    layer = descriptor(kblocks=9, cblocks=3, rows_last=2, groups=3, last_columns=3, fold=1)
    assert [layer.columns(group, 8) for group in range(3)] == [8, 8, 3] and layer.channels(8) == 19
    assert [layer.sides(group) for group in range(3)] == [1, 1, 2]
    assert [layer.tile_rows(group, 4) for group in range(3)] == [[4, 4, 2] * 3, [4, 4, 2] * 3, [4] * 5]
    assert [layer.group_bytes(group, 4, 8) for group in range(3)] == [8 * (8 + 30), 8 * (8 + 30), 8 * (8 + 20)]
    one_block = descriptor(kblocks=9, cblocks=1, rows_last=3, fold=2)
    assert one_block.tile_rows(0, 4) == [3] * 3
    assert replace(layer, diagonal=1).group_bytes(0, 4, 8) == 0


def test_a_padded_convolution_reads_every_byte_around_its_own():
    """3x3 same on 4x6 pixels of 6 bytes, pooled 2x2, from byte 100 on, in words of 4 bytes. A run is a kernel row of 18 bytes
    where pixels lie without gaps, else a pixel. Rows and columns come from the numbers of pixel, run and byte, not from
    steps."""
    height, width, depth, base, rows = 4, 6, 6, 100, 4
    for dense, pixel in ((True, depth), (False, 8)):
        runs, run = (1, 3 * depth) if dense else (3, depth)
        words = -(-run // rows)
        to_last, row = (words - 1) * rows, width * pixel
        layer = descriptor(
            kblocks=3 * runs * words, cblocks=words, rows_last=run - to_last, kernel_h=3, kernel_w=runs, in_h=height,
            row_bytes=row, x0=-pixel, y0=-1, pool_w=2, pool_h=2, out_h=2, out_w=3, window_stride=2, window_step=2 * pixel,
            source=(base - row - pixel) % (1 << 20), step_x=pixel, step_y=row - pixel, step_window=pixel - row, step_row=pixel,
            column_step=pixel - to_last, kernel_step=row - (runs - 1) * pixel - to_last,
        )  # fmt: skip
        reads, outside = layer.reads(0, rows, 4), layer.outside(rows)
        assert layer.run_bytes(rows) == run and layer.window == 4 and layer.features(rows) == {"padding"}
        assert reads.shape == (24, 3 * runs) and outside.shape == (24, 3 * runs, words * rows)
        for number, ky, kx, byte in np.ndindex(24, 3, runs, words * rows):
            (window_y, window_x), (dy, dx) = divmod(number // 4, 3), divmod(number % 4, 2)
            further, channel = divmod(byte, pixel)
            y, x = 2 * window_y + dy + ky - 1, 2 * window_x + dx + kx + further - 1
            inside = 0 <= y < height and 0 <= x < width
            assert outside[number, ky * runs + kx, byte] == (byte < run and not inside)
            if byte < run and inside:
                at = base + (y * width + x) * pixel + channel
                assert reads[number, ky * runs + kx] + byte == at


def test_an_edge_of_the_input_may_be_inside_a_word():
    """Runs of 6 bytes that begin 2 bytes before an input row of 9 bytes, and go on by 3."""
    layer = descriptor(cblocks=2, rows_last=2, x0=-2, row_bytes=9, out_w=4, window_step=3, step_window=3, source=98)
    assert layer.reads(0, 4, 4).ravel().tolist() == [98, 101, 104, 107]
    assert ["".join("#."[int(is_out)] for is_out in run) for run in layer.outside(4)[:, 0]] == [
        "..######",
        "########",
        "#####.##",
        "##....##",
    ]


def test_groups_of_a_diagonal_layer_read_channels_of_their_own():
    layer = descriptor(groups=3, source=10, diagonal=1)
    assert [layer.reads(group, 4, 8).tolist() for group in range(3)] == [[[10]], [[18]], [[26]]]
    streamed = replace(layer, diagonal=0)
    assert [streamed.reads(group, 4, 8).tolist() for group in range(3)] == [[[10]]] * 3


def test_reads_wrap_at_the_modulus():
    layer = descriptor(source=(1 << 20) - 3, out_w=3, step_window=2)
    assert layer.reads(0, 4, 4).ravel().tolist() == [(1 << 20) - 3, (1 << 20) - 1, 1]


def test_a_diagonal_layer_is_padded_only_if_its_channels_are_outside():
    """Its words hold `cols` channels, of which some may be another pixel's: no weight of a kept column reads those."""
    layer = descriptor(diagonal=1, cblocks=2, rows_last=4, row_bytes=3)
    assert layer.outside(4).any() and layer.features(4) == {"diagonal"}
    assert replace(layer, diagonal=0).features(4) == {"padding"}
    assert replace(layer, x0=-1).features(4) == {"padding", "diagonal"}
