"""The program format: the header and layer descriptors that precede the parameters in a loadable.

The one place where their layout is written; hw/ makes its structures from the same tables. Header and descriptors are
`WORDS` little-endian 32-bit words; every field lies inside one word.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from deeplock.pymodel.errors import DeeplockError

__all__ = [
    "DESCRIPTOR",
    "HEADER",
    "MAGIC",
    "OPCODE",
    "VERSION",
    "WORDS",
    "Field",
    "describe",
    "is_lean",
    "pack",
    "pixels_of",
    "unpack",
]

WORDS = 16
MAGIC = 0x4B4C_4E4E  # "NNLK"
VERSION = 2
OPCODE = 1


class Field(NamedTuple):
    name: str
    bits: int
    signed: bool = False
    meaning: str = ""


@dataclass(frozen=True)
class Layout:
    """Fields by word. Bits that no field covers are zero."""

    name: str
    words: tuple[tuple[Field, ...], ...]

    def __post_init__(self) -> None:
        assert len(self.words) == WORDS
        assert all(sum(field.bits for field in word) <= 32 for word in self.words)


HEADER = Layout(
    "header",
    (
        (Field("magic", 32, meaning='"NNLK"'),),
        (
            Field("rows", 8),
            Field("cols", 8),
            Field("bytes_per_beat", 8),
            Field("suite", 8, meaning="number of the lock suite; 0 is plain"),
        ),
        (
            Field("version", 8),
            Field("layers", 8, meaning="descriptors that follow"),
            Field("batch", 8, meaning="ifmaps that an inference takes"),
        ),
        (Field("parameter_beats", 24, meaning="beats of the parameter section"), Field("reserved", 8)),
        (Field("activation_words", 17, meaning="depth that the program needs"), Field("reserved", 15)),
        (Field("accumulators", 16, meaning="depth that the program needs"), Field("ifmap_beats", 16)),
        (Field("run_bytes", 16, meaning="bytes of one kernel row of the unfolded window"), Field("runs", 16)),
        (Field("run_pitch", 16, meaning="ifmap bytes from one kernel row to the next"), Field("x_pitch", 16)),
        (Field("y_pitch", 16, meaning="ifmap bytes from one row of windows to the next"),),
        (Field("windows_x", 16), Field("windows_y", 16)),
        (Field("destination", 16, meaning="first activation word of the unfolded ifmap"),),
        (),
        (),
        (),
        (),
        (),
    ),
)

DESCRIPTOR = Layout(
    "descriptor",
    (
        # weight loader
        (
            Field(
                "kblocks", 16, meaning="blocks of up to `rows` weights per column: kernel positions x channel blocks"
            ),
            Field("groups", 8, meaning="groups of up to `cols` output channels"),
            Field("fold", 4, meaning="log2 of the k-blocks side by side in a tile of the last group"),
            Field("opcode", 4, meaning="1"),
        ),
        (
            Field("cblocks", 12, meaning="channel blocks per kernel position"),
            Field("rows_last", 8, meaning="channels in the last channel block"),
            Field("diagonal", 1, meaning="weights are diagonal, made on chip; nothing comes from the stream"),
        ),
        (
            Field("diagonal_a", 8, True, meaning="diagonal weight of the first `cblocks` k-blocks"),
            Field("diagonal_b", 8, True, meaning="diagonal weight of the others"),
            Field("multiplier", 16, meaning="diagonal layers: requantise multiplier"),
        ),
        (
            Field("bias", 24, True, meaning="diagonal layers: bias"),
            Field("shift_1", 6, meaning="diagonal layers: requantise shift - 1"),
        ),
        # window feeder
        (
            Field("source", 16, meaning="first activation word"),
            Field("kernel_step", 16, meaning="from a kernel row's last word to the next row's first"),
        ),
        (
            Field("kernel_w", 8),
            Field("kernel_h", 8),
            Field("pool_w", 4),
            Field("pool_h", 4),
            Field("stride", 4, meaning="input pixels per output pixel"),
            Field("group_step", 4, meaning="words from one group's source to the next's (diagonal layers)"),
        ),
        (
            Field("out_w", 12, meaning="pooled output pixels per row"),
            Field("out_h", 12),
            Field("pad_value", 8, True, meaning="what padded pixels read as"),
        ),
        (
            Field("in_w", 12),
            Field("in_h", 12),
            Field("window_stride", 8, meaning="input pixels from one pooling window to the next"),
        ),
        (
            Field("x0", 12, True, meaning="input column of the first window: -padding"),
            Field("y0", 12, True),
        ),
        (
            Field("step_x", 16, meaning="words to the next pixel of a pooling window's row"),
            Field("step_y", 16, meaning="words to the first pixel of a pooling window's next row"),
        ),
        (
            Field("step_window", 16, meaning="words from a window's last pixel to the next window's first"),
            Field("step_row", 16, meaning="words from a row's last pixel to the next row's first"),
        ),
        (
            Field("wait_input", 1, meaning="wait for an unfolded ifmap"),
            Field("release_input", 1, meaning="after this layer the ifmap's words are free"),
            Field("to_stream", 1, meaning="write to the ofmap stream, not to the activation memory"),
            Field(
                "column_step", 16, meaning="words from a kernel column's last channel block to the next column's first"
            ),
        ),
        # requantise, pool, write
        (
            Field("destination", 16, meaning="first activation word"),
            Field("pixel_words", 16, meaning="words from one output pixel to the next"),
        ),
        (
            Field("zero_point", 8, True),
            Field("lo", 8, True),
            Field("hi", 8, True),
        ),
        (
            Field("last_columns", 8, meaning="channels of the last group"),
            Field("narrow", 1, meaning="accumulator + bias is a 24-bit number"),
        ),
        (),
    ),
)


def pack(layout: Layout, values: dict[str, int]) -> bytes:
    """The `WORDS` words of one header or descriptor as bytes.

    Raises:
        DeeplockError: a value does not fit its field.
        KeyError: a field is missing.
    """
    words = []
    for fields in layout.words:
        word, offset = 0, 0
        for field in fields:
            value = 0 if field.name == "reserved" else values[field.name]
            low = -(1 << (field.bits - 1)) if field.signed else 0
            if not low <= value < low + (1 << field.bits):
                raise DeeplockError(
                    f"{layout.name}: {field.name} must be {low}..{low + (1 << field.bits) - 1}, not {value}: "
                    "the layer is too large for the program format"
                )
            word |= (value & ((1 << field.bits) - 1)) << offset
            offset += field.bits
        words.append(word)
    return np.array(words, "<u4").tobytes()


def unpack(layout: Layout, data: bytes) -> dict[str, int]:
    """The fields of one packed header or descriptor."""
    values = {}
    for word, fields in zip(np.frombuffer(data, "<u4", WORDS).tolist(), layout.words, strict=True):
        for field in fields:
            value = word & ((1 << field.bits) - 1)
            values[field.name] = value - (1 << field.bits) if field.signed and value >> (field.bits - 1) else value
            word >>= field.bits
    values.pop("reserved", None)
    return values


def pixels_of(descriptor: dict[str, int]) -> int:
    """Pixels that each k-block of a layer sends through the array: accumulators that the layer takes."""
    return descriptor["out_w"] * descriptor["out_h"] * descriptor["pool_w"] * descriptor["pool_h"]


def is_lean(descriptor: dict[str, int]) -> bool:
    """Whether an accelerator with Config.lean runs the layer: not diagonal, not folded, all that it reads inside its input."""
    if descriptor["diagonal"] or descriptor["fold"]:
        return False
    for axis, origin, size in (("w", "x0", "in_w"), ("h", "y0", "in_h")):
        windows = (descriptor[f"out_{axis}"] - 1) * descriptor["window_stride"]
        reach = windows + (descriptor[f"pool_{axis}"] - 1) * descriptor["stride"] + descriptor[f"kernel_{axis}"]
        if not 0 <= descriptor[origin] <= descriptor[size] - reach:
            return False
    return True


def describe(layout: Layout) -> str:
    """The layout as a Markdown table, for the documentation."""
    lines = ["| word | bits | field | meaning |", "|---|---|---|---|"]
    for index, fields in enumerate(layout.words):
        offset = 0
        for field in fields:
            bits = f"{offset + field.bits - 1}..{offset}" + (" signed" if field.signed else "")
            lines.append(f"| {index} | {bits} | `{field.name}` | {field.meaning} |")
            offset += field.bits
    return "\n".join(lines)
