import numpy as np
import pytest
from amaranth.hdl import Const

from deeplock.hw.basics.layouts import (
    FEEDER_WORDS,
    LOADER_WORDS,
    POST_WORDS,
    EntryLayout,
    HeaderLayout,
    entry_layout,
    feeder_fields,
    loader_fields,
    post_fields,
    tag_layout,
    word_layout,
)
from deeplock.pymodel.compiler.parameters import encode_groups
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Descriptor
from deeplock.pymodel.spec.entry import ENTRY
from deeplock.pymodel.spec.header import Header
from tests.hw.layer_tools import layer_of


@pytest.mark.parametrize(
    ("layout", "hardware", "words"),
    [
        (Header.layout, HeaderLayout, range(16)),
        (Descriptor.layout, loader_fields, LOADER_WORDS),
        (Descriptor.layout, feeder_fields, FEEDER_WORDS),
        (Descriptor.layout, post_fields(Config(products=True)), POST_WORDS),
        (ENTRY, EntryLayout, range(2)),
    ],
    ids=["header", "loader", "feeder", "post", "entry"],
)
def test_every_field_reads_what_pymodel_packs(layout, hardware, words, rng):
    names = {name for name, field in layout.fields.items() if field.word in words}
    assert {name for name, _ in hardware} == names
    for _ in range(50):
        values = {
            name: int(rng.choice([*field.range, rng.integers(*field.range, endpoint=True)]))
            for name, field in layout.fields.items()
        }
        chosen = np.frombuffer(layout.pack(values), "<u4")[list(words)].tobytes()
        seen = hardware.from_bits(int.from_bytes(chosen, "little"))
        assert {name: seen[name] for name in names} == {name: values[name] for name in names}


def test_every_word_of_a_descriptor_that_holds_fields_has_a_reader():
    used = {field.word for field in Descriptor.layout.fields.values()}
    assert {*LOADER_WORDS, *FEEDER_WORDS, *POST_WORDS} == used


@pytest.mark.parametrize(("sum_bits", "bits"), [(24, 24), (32, 24), (32, 32)])
def test_entry_is_the_word_that_pymodel_encodes(sum_bits, bits, rng):
    """But for the bias's top byte where it has 24 bits."""
    layout = entry_layout(sum_bits)
    assert layout.size == 2 * sum_bits
    config = Config(rows=4, cols=4, bytes_per_beat=4)
    weights, fields = layer_of(rng, config, 4, 1, 1, bits)
    stream, entries = encode_groups(weights, fields, config, rng), weights.entries
    for channel in range(4):
        low, high = np.frombuffer(stream[8 * channel : 8 * channel + 8].tobytes(), "<u4").tolist()
        scale = high & 0x7FFF | (high >> 16 & 0x3F) << 15
        entry = layout.from_bits(low & (1 << sum_bits) - 1 | scale << sum_bits)
        known = Const(int(entries.bias[channel]), bits).value
        assert entry.bias & (1 << bits) - 1 == known & (1 << bits) - 1
        assert entry.multiplier + (1 << 15) == entries.multiplier[channel]
        assert entry.shift_1 + 1 == entries.shift[channel]


@pytest.mark.parametrize("cols", [4, 8, 16, 32])
def test_tag_holds_every_shift_of_a_folded_tile(cols):
    config = Config(rows=4, cols=cols, bytes_per_beat=4)
    tag = tag_layout(config).const({"shift": cols - 1})
    assert tag.shift == cols - 1
    assert word_layout(config).size == 8 * 4 + 1 + tag_layout(config).size
