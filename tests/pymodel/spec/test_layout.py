"""Layouts: packing, limits, C."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.layout import Field, Layout
from tests.pymodel.spec.c_tools import read_in_c

LAYOUT = Layout(
    "sample",
    3,
    {
        "low": Field(0, 4, 0, "five bits"),
        "high": Field(0, 31, 5, signed=True),
        "whole": Field(1, 31, 0),
        "flag": Field(2, 7, 7),
        "sign": Field(2, 8, 8, signed=True),
    },
)
VALUES = st.fixed_dictionaries({name: st.integers(*field.range) for name, field in LAYOUT.fields.items()})


@given(VALUES)
def test_every_field_lies_where_the_layout_says(values):
    record = int.from_bytes(LAYOUT.pack(values), "little")
    places = {"low": (0, 5), "high": (5, 27), "whole": (32, 32), "flag": (71, 1), "sign": (72, 1)}
    assert record == sum((values[name] & (1 << bits) - 1) << at for name, (at, bits) in places.items())
    assert LAYOUT.unpack(LAYOUT.pack(values) + b"more") == values


@given(st.lists(VALUES, min_size=1, max_size=5), st.integers(0, 2**32))
def test_arrays_of_records_hold_what_single_ones_do(records, seed):
    words = np.random.default_rng(seed).integers(0, 1 << 32, (len(records), 1, LAYOUT.words), np.uint32)
    before = words.copy()
    LAYOUT.insert(words, {name: np.array([[values[name]] for values in records]) for name in ("high", "flag")})
    LAYOUT.insert(words, {"whole": 7})
    for index, values in enumerate(records):
        old = LAYOUT.unpack(before[index, 0].tobytes())
        assert LAYOUT.unpack(words[index, 0].tobytes()) == old | {
            "high": values["high"], "flag": values["flag"], "whole": 7,
        }  # fmt: skip
    assert np.array_equal(words[..., 2] & 0xFFFF_FE7F, before[..., 2] & 0xFFFF_FE7F), "bits of no field stay"
    assert LAYOUT.extract(words)["high"].tolist() == [[values["high"]] for values in records]


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"low": 32}, r"low must be 0\.\.31 \(5 bits\), not 32"),
        ({"low": -1}, r"low must be 0\.\.31 \(5 bits\), not -1"),
        ({"sign": 1}, r"sign must be -1\.\.0 \(1 bits\), not 1"),
        ({"whole": 1 << 32}, r"whole must be 0\.\.4294967295 \(32 bits\), not 4294967296"),
        ({"low": 3, "high": np.array([0, -(1 << 26), 1 << 26])}, r"high must be .* \(27 bits\), not 67108864"),
    ],
    ids=str,
)
def test_a_value_that_does_not_fit_is_refused_by_name(values, rule):
    records = np.zeros((3, LAYOUT.words), np.uint32)
    with pytest.raises(DeeplockError, match=f"^sample: {rule}$"):
        LAYOUT.insert(records, values)
    assert not records.any()


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"a": Field(0, 7, 0), "b": Field(0, 15, 7)}, "sample: b overlaps another field of word 0"),
        ({"a": Field(2, 7, 0)}, r"sample: a must lie in words 0\.\.1, not 2"),
    ],
)
def test_a_layout_that_is_wrong_is_refused(fields, rule):
    with pytest.raises(ValueError, match=rule):
        Layout("sample", 2, fields)
    with pytest.raises(ValueError, match=r"bits of a field must be in 31\.\.0 of a word, not 32\.\.1"):
        Field(0, 32, 1)


def test_c_reads_what_python_writes(tmp_path):
    """Random bits: all values of a field, and any neighbours."""
    words = np.random.default_rng(1).integers(0, 1 << 32, (500, LAYOUT.words), np.uint32)
    found = read_in_c(LAYOUT.c_functions(), [f"sample_{name}(record)" for name in LAYOUT.fields], words, tmp_path)
    assert np.array_equal(found, np.stack(list(LAYOUT.extract(words).values()), axis=1))
