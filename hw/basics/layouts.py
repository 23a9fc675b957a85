"""Structures that travel between components, derived from the layouts of pymodel/spec."""

from collections.abc import Sequence

from amaranth import signed, unsigned
from amaranth.lib import data

from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Descriptor
from deeplock.pymodel.spec.entry import ENTRY
from deeplock.pymodel.spec.header import Header
from deeplock.pymodel.spec.layout import Layout
from deeplock.pymodel.spec.licence import Terms

__all__ = [
    "DescriptorLayout", "FEEDER_WORDS", "EntryLayout", "HeaderLayout", "LOADER_WORDS", "POST_WORDS", "TermsLayout",
    "beat_layout", "entry_layout", "feeder_fields", "loader_fields", "post_fields", "tag_layout", "word_layout", "write_layout",
]  # fmt: skip

LOADER_WORDS = range(0, 4)
FEEDER_WORDS = range(2, 13)
POST_WORDS = range(13, 16)


def _fields(layout: Layout, words: Sequence[int], without: Sequence[str] = ()) -> data.FlexibleLayout:
    """The fields of the chosen 32-bit words, laid one after the other, but for some."""
    members = {
        name: data.Field((signed if field.signed else unsigned)(field.bits), 32 * words.index(field.word) + field.low)
        for name, field in layout.fields.items()
        if field.word in words and name not in without
    }
    return data.FlexibleLayout(32 * len(words), members)


HeaderLayout = _fields(Header.layout, range(Header.layout.words))
TermsLayout = _fields(Terms.layout, range(Terms.layout.words))
DescriptorLayout = _fields(Descriptor.layout, range(Descriptor.layout.words))
EntryLayout = _fields(ENTRY, range(ENTRY.words))
"""An entry in the parameter stream; see `entry_layout`."""
loader_fields = _fields(Descriptor.layout, LOADER_WORDS)
feeder_fields = _fields(Descriptor.layout, FEEDER_WORDS)


def post_fields(config: Config) -> data.FlexibleLayout:
    """The zero points of factors only with `config.products`."""
    return _fields(Descriptor.layout, POST_WORDS, () if config.products else ("zero_a", "zero_b"))


def entry_layout(sum_bits: int) -> data.StructLayout:
    """Requantise entry of one output channel (fields: spec/entry.py). Its halves, bias and the rest, are written separately.

    bias        its low `sum_bits` bits
    multiplier  without its leading one
    shift_1     shift - 1
    """
    scale = {name: ENTRY.fields[name].bits for name in ("multiplier", "shift_1")}
    return data.StructLayout({"bias": signed(sum_bits)} | scale | {"unused": sum_bits - sum(scale.values())})


def beat_layout(bytes_per_beat: int, keep: bool = False) -> data.StructLayout:
    """A beat of a byte stream: `data`, the first byte in the lowest bits; `keep`, optional, marks the valid bytes; `last` marks
    the packet's last beat."""
    return data.StructLayout({"data": 8 * bytes_per_beat} | ({"keep": bytes_per_beat} if keep else {}) | {"last": 1})


def tag_layout(config: Config) -> data.StructLayout:
    """What travels with an activation word through the array.

    first, last   the word belongs to the first, the last k-block of a column group
    final         ... to the last column group of the layer
    pixel_last    ... to the last pixel of a k-block
    emits         with this pixel the maximum of a pooling window is complete
    slides        this pixel is also the first of the next window
    shift         columns by which a folded tile's result moves: 0 for the k-block in the leftmost columns
    """
    return data.StructLayout(
        {
            "first": 1,
            "last": 1,
            "final": 1,
            "pixel_last": 1,
            "emits": 1,
            "slides": 1,
            "shift": (config.cols - 1).bit_length(),
        }
    )


def word_layout(config: Config) -> data.StructLayout:
    """An activation word on its way into the array. swap: it is the first word for the next weight tile."""
    return data.StructLayout({"data": 8 * config.rows, "swap": 1, "tag": tag_layout(config)})


def write_layout(config: Config, size: int) -> data.StructLayout:
    """A write of those of `size` bytes that `keep` marks, at least one, from byte `address` of the activation memory on."""
    return data.StructLayout(
        {
            "address": range(config.activation_words * config.rows),
            "data": data.ArrayLayout(8, size),
            "keep": size,
        }
    )
