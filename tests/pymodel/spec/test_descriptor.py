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
        ("x0", -2049, r"-2048\.\.2047 \(12 bits\)"),
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
    for layout in (Header.layout, Descriptor.layout, ENTRY):
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


def test_a_padded_convolution_reads_every_pixel_around_its_own():
    """3x3 same on 4x5 pixels of 2 words, pooled 2x2, from word 100 on: y and x by the pixel's number, not by its steps."""
    height, width, words, base = 4, 6, 2, 100
    layer = descriptor(
        kblocks=18, cblocks=words, kernel_h=3, kernel_w=3, in_h=height, in_w=width, x0=-1, y0=-1, pool_w=2, pool_h=2,
        out_h=2, out_w=3, window_stride=2, source=(base - (width + 1) * words) % (1 << 16), step_x=words,
        step_y=(width - 1) * words, step_window=(1 - width) * words % (1 << 16), step_row=words,
        kernel_step=(width - 3) * words + 1, column_step=1,
    )  # fmt: skip
    addresses, inside = layer.reads(0)
    assert addresses.shape == inside.shape == (layer.pixels, layer.kblocks) == (24, 18)
    assert layer.pads and layer.window == 4
    for pixel, kblock in np.ndindex(24, 18):
        (window_y, window_x), (dy, dx) = divmod(pixel // 4, 3), divmod(pixel % 4, 2)
        (ky, kx), block = divmod(kblock // words, 3), kblock % words
        y, x = 2 * window_y + dy + ky - 1, 2 * window_x + dx + kx - 1
        assert inside[pixel, kblock] == (0 <= y < height and 0 <= x < width)
        if inside[pixel, kblock]:
            assert addresses[pixel, kblock] == base + (y * width + x) * words + block


def test_groups_of_a_diagonal_layer_read_words_of_their_own():
    layer = descriptor(groups=3, source=10, group_step=2, diagonal=1)
    assert [layer.reads(group)[0].tolist() for group in range(3)] == [[[10]], [[12]], [[14]]]
