"""Structures that travel between components, made from the tables of pymodel/spec/program.py."""

from amaranth import signed, unsigned
from amaranth.lib import data

from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.program import DESCRIPTOR, HEADER, WORDS

__all__ = [
    "FEEDER_WORDS", "HeaderLayout", "LOADER_WORDS", "POST_WORDS", "beat_layout", "entry_layout", "feeder_fields",
    "loader_fields", "post_fields", "tag_layout", "word_layout",
]  # fmt: skip

LOADER_WORDS = (0, 1, 2, 3)
FEEDER_WORDS = (0, 1, 4, 5, 6, 7, 8, 9, 10, 11)
POST_WORDS = (12, 13, 14)


def _fields(layout, words: tuple[int, ...]) -> data.FlexibleLayout:
    """The named fields of the chosen 32-bit words, laid one after the other."""
    members = {}
    for index, word in enumerate(words):
        offset = 32 * index
        for field in layout.words[word]:
            if field.name != "reserved":
                members[field.name] = data.Field(signed(field.bits) if field.signed else unsigned(field.bits), offset)
            offset += field.bits
    return data.FlexibleLayout(32 * len(words), members)


HeaderLayout = _fields(HEADER, tuple(range(WORDS)))
loader_fields = _fields(DESCRIPTOR, LOADER_WORDS)
feeder_fields = _fields(DESCRIPTOR, FEEDER_WORDS)
post_fields = _fields(DESCRIPTOR, POST_WORDS)


def entry_layout(sum_bits: int) -> data.StructLayout:
    """How one output channel is requantised: parameters.py, `_encode_entries`. Of the halves one can be written alone.

    bias        its low `sum_bits` bits
    multiplier  below the leading one
    shift_1     shift - 1
    """
    scale = {"multiplier": 15, "shift_1": 6}
    return data.StructLayout({"bias": signed(sum_bits)} | scale | {"unused": sum_bits - sum(scale.values())})


def beat_layout(bytes_per_beat: int, keep: bool = False) -> data.StructLayout:
    """A beat of a stream of bytes: its bytes, the first in the lowest bits, with `keep` which of them there are, and whether it
    is the last of its packet."""
    return data.StructLayout({"data": 8 * bytes_per_beat} | ({"keep": bytes_per_beat} if keep else {}) | {"last": 1})


def tag_layout(config: Config) -> data.StructLayout:
    """What travels with an activation word through the array.

    first, last   k-block of a column group
    final         last column group of the layer
    window_last   last pixel of a pooling window
    pixel_last    last pixel of a k-block
    shift         columns by which a folded tile's result moves: 0 for the k-block in the leftmost columns
    """
    return data.StructLayout(
        {
            "first": 1,
            "last": 1,
            "final": 1,
            "window_last": 1,
            "pixel_last": 1,
            "shift": (config.cols - 1).bit_length(),
        }
    )


def word_layout(config: Config) -> data.StructLayout:
    """One word of activations on its way into the array. swap: the next weight tile starts with this word."""
    return data.StructLayout({"data": 8 * config.rows, "swap": 1, "tag": tag_layout(config)})
