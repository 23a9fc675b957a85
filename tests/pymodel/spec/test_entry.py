"""The parameter entry against the bits that docs/architecture.md gives."""

import numpy as np
import pytest

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec import entry
from deeplock.pymodel.spec.entry import Entries
from tests.pymodel.spec.c_tools import read_in_c


def random_entries(rng, bits: int, count: int) -> Entries:
    return Entries(
        rng.integers(-(1 << bits - 1), 1 << bits - 1, count),
        rng.integers(1 << 15, 1 << 16, count),
        rng.integers(1, 65, count),
    )


@pytest.mark.parametrize("bits", [24, 32])
def test_what_is_encoded_is_decoded(bits):
    rng = np.random.default_rng(bits)
    entries = random_entries(rng, bits, 100)
    data = entry.encode(entries, bits, 100, rng)
    numbers = [int.from_bytes(row.tobytes(), "little") for row in data]
    for number, bias, multiplier, shift in zip(numbers, *entries, strict=True):
        assert number & (1 << bits) - 1 == bias % (1 << bits)
        assert (number >> 32 & 0x7FFF, number >> 48 & 0x3F) == (multiplier - 0x8000, shift - 1)
    found = entry.decode(data.reshape(10, 10, 8))
    assert all(values.shape == (10, 10) for values in found)
    assert np.array_equal(found.bias.ravel() - entries.bias & (1 << bits) - 1, np.zeros(100))
    assert np.array_equal(found.multiplier.ravel(), entries.multiplier)
    assert np.array_equal(found.shift.ravel(), entries.shift)


def test_bits_that_an_entry_does_not_define_are_random():
    """Of a narrow layer's one channel in four, over 200 draws: each of them is seen as 0 and as 1."""
    rng = np.random.default_rng(1)
    entries = random_entries(rng, 24, 1)
    drawn = np.stack([entry.encode(entries, 24, 4, rng) for _ in range(200)])
    ones, zeros = np.bitwise_or.reduce(drawn), ~np.bitwise_and.reduce(drawn)
    changes = (ones & zeros).view("<u8").ravel()
    assert changes.tolist() == [0xFFC0_8000_FF00_0000] + 3 * [0xFFFF_FFFF_FFFF_FFFF]


@pytest.mark.parametrize("bias", [-(1 << 31), -(1 << 23) - 1, 1 << 23, 588_245_967, (1 << 31) - 1])
def test_a_bias_of_a_narrow_layer_counts_modulo_2_to_24(bias):
    """As the sums that it is added to do."""
    entries = Entries(np.array([bias], np.int32), np.array([1 << 15]), np.array([1]))
    data = entry.encode(entries, 24, 1, np.random.default_rng(1))
    assert int.from_bytes(data[0, :3].tobytes(), "little") == bias % (1 << 24)


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ((0, 1 << 16, 1), r"multiplier must be 0\.\.32767 \(15 bits\), not 32768"),
        ((0, 0, 1), r"multiplier must be 0\.\.32767 \(15 bits\), not -32768"),
        ((0, 1 << 15, 65), r"shift_1 must be 0\.\.63 \(6 bits\), not 64"),
    ],
)
def test_what_does_not_fit_an_entry_is_refused(values, rule):
    with pytest.raises(DeeplockError, match=f"^entry: {rule}$"):
        entry.encode(Entries(*(np.array([value]) for value in values)), 24, 1, np.random.default_rng(1))


def test_c_reads_the_same_integers(tmp_path):
    words = np.random.default_rng(1).integers(0, 1 << 32, (500, 2), np.uint32)
    values = ["entry_bias(record)", "entry_multiplier(record) | ENTRY_LEADING_ONE", "entry_shift_1(record) + 1"]
    found = read_in_c(entry.c_functions(), values, words, tmp_path)
    assert np.array_equal(found, np.stack(entry.decode(words.view(np.uint8)), axis=1))
