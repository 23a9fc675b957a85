"""The parameter entry of an output channel: how its sums are requantised.

The accelerator's stream and the software baseline's hold the same entries. Bits that an entry does not define are random: a
byte that an attacker can predict gives its key byte away.
"""

from typing import NamedTuple

import numpy as np

from deeplock.pymodel.spec.layout import Field, Layout

__all__ = ["ENTRY", "Entries", "c_functions", "decode", "encode"]


def _layout(bias_bits: int) -> Layout:
    return Layout(
        "entry",
        2,
        {
            "bias": Field(
                0, bias_bits - 1, 0, "the low 24 bits if the layer is narrow; the others are free", signed=True
            ),
            "multiplier": Field(1, 14, 0, "requantise multiplier below its leading one"),
            "shift_1": Field(1, 21, 16, "requantise shift - 1"),
        },
    )


ENTRY = _layout(32)
_LEADING_ONE = 1 << ENTRY.fields["multiplier"].bits


class Entries(NamedTuple):
    """Entries of some channels, as integer arrays of one shape: bias, multiplier 2**15 to 2**16 - 1, shift 1 to 64."""

    bias: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray


def encode(entries: Entries, bias_bits: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Encode entries [n], n <= count, as uint8 [count, 8]. Bits that they do not define are random.

    bias_bits  24 or 32: sums wrap to these bits, so that only these low bits of a bias matter

    Raises:
        DeeplockError: a multiplier or shift does not fit its field.
    """
    data = rng.integers(0, 256, (count, ENTRY.size), dtype=np.uint8)
    half = 1 << bias_bits - 1
    bias = (entries.bias.astype(np.int64) + half) % (2 * half) - half
    values = {"bias": bias, "multiplier": entries.multiplier - _LEADING_ONE, "shift_1": entries.shift - 1}
    _layout(bias_bits).insert(data.view("<u4")[: len(bias)], values)
    return data


def decode(data: np.ndarray) -> Entries:
    """Entries int64 [...] from uint8 [..., 8]. Any bytes are valid."""
    fields = ENTRY.extract(np.ascontiguousarray(data).view("<u4"))
    return Entries(fields["bias"], fields["multiplier"] + _LEADING_ONE, fields["shift_1"] + 1)


def c_functions() -> str:
    """C that reads an entry, uint32_t[2]: entry_bias(), entry_multiplier() | ENTRY_LEADING_ONE, entry_shift_1() + 1."""
    return f"#define ENTRY_LEADING_ONE {_LEADING_ONE:#x}\n{ENTRY.c_functions()}"
