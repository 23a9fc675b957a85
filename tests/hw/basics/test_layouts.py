import numpy as np
import pytest
from amaranth.hdl import Const

from deeplock.hw.basics.layouts import (
    FEEDER_WORDS,
    LOADER_WORDS,
    POST_WORDS,
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
from deeplock.pymodel.spec.program import DESCRIPTOR, HEADER, WORDS, pack, unpack
from tests.hw.layer_tools import layer_of


def random_fields(rng, layout) -> dict[str, int]:
    values = {}
    for field in (field for word in layout.words for field in word):
        low = -(1 << field.bits - 1) if field.signed else 0
        values[field.name] = int(
            rng.choice([low, low + (1 << field.bits) - 1, rng.integers(low, low + (1 << field.bits))])
        )
    return values


@pytest.mark.parametrize(
    ("layout", "hardware", "words"),
    [
        (HEADER, HeaderLayout, tuple(range(WORDS))),
        (DESCRIPTOR, loader_fields, LOADER_WORDS),
        (DESCRIPTOR, feeder_fields, FEEDER_WORDS),
        (DESCRIPTOR, post_fields, POST_WORDS),
    ],
    ids=["header", "loader", "feeder", "post"],
)
def test_every_field_reads_what_pymodel_packs(layout, hardware, words, rng):
    names = {field.name for word in words for field in layout.words[word]} - {"reserved"}
    assert {name for name, _ in hardware} == names
    for _ in range(50):
        packed = pack(layout, random_fields(rng, layout))
        values = unpack(layout, packed)
        chosen = np.frombuffer(packed, "<u4")[list(words)].tobytes()
        seen = hardware.from_bits(int.from_bytes(chosen, "little"))
        assert {name: seen[name] for name in names} == {name: values[name] for name in names}


def test_every_word_of_a_descriptor_that_holds_fields_has_a_reader():
    used = {index for index, word in enumerate(DESCRIPTOR.words) if word}
    assert {*LOADER_WORDS, *FEEDER_WORDS, *POST_WORDS} == used


@pytest.mark.parametrize(("sum_bits", "bits"), [(24, 24), (32, 24), (32, 32)])
def test_entry_is_the_word_that_pymodel_encodes(sum_bits, bits, rng):
    """But for the bias's top byte where it has 24 bits."""
    layout = entry_layout(sum_bits)
    assert layout.size == 2 * sum_bits
    config = Config(rows=4, cols=4, bytes_per_beat=4)
    layer, fields = layer_of(rng, config, 4, 1, 1, bits)
    stream = encode_groups(layer, fields, config, rng)
    for channel in range(4):
        low, high = np.frombuffer(stream[8 * channel : 8 * channel + 8].tobytes(), "<u4").tolist()
        scale = high & 0x7FFF | (high >> 16 & 0x3F) << 15
        entry = layout.from_bits(low & (1 << sum_bits) - 1 | scale << sum_bits)
        known = Const(int(layer.bias[channel]), bits).value
        assert entry.bias & (1 << bits) - 1 == known & (1 << bits) - 1
        assert entry.multiplier + (1 << 15) == layer.multiplier[channel]
        assert entry.shift_1 + 1 == layer.shift[channel]


@pytest.mark.parametrize("cols", [4, 8, 16, 32])
def test_tag_holds_every_shift_of_a_folded_tile(cols):
    config = Config(rows=4, cols=cols, bytes_per_beat=4)
    tag = tag_layout(config).const({"shift": cols - 1})
    assert tag.shift == cols - 1
    assert word_layout(config).size == 8 * 4 + 1 + tag_layout(config).size
