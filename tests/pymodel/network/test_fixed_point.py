"""The multiplier and shift of a real factor."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.fixed_point import multiplier_and_shift


@given(st.floats(2.0**-32, 2.0**15 * (1 - 2.0**-16)))
def test_multiplier_is_the_nearest(factor):
    multiplier, shift = (int(values[0]) for values in multiplier_and_shift("x", np.array([factor])))
    assert 2**15 <= multiplier < 2**16 and 1 <= shift <= 47
    error = abs(Fraction(multiplier, 2**shift) - Fraction(factor))
    for other in (multiplier - 1, multiplier + 1):
        assert error <= abs(Fraction(other, 2**shift) - Fraction(factor))


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        (2.0**-32, (2**15, 47)),
        (0.75, (0xC000, 16)),
        (1.0, (2**15, 15)),
        (1 - 2.0**-30, (2**15, 15)),  # rounds up to the next power of two
        (2.0**15 * (1 - 2.0**-16), (0xFFFF, 1)),
    ],
)
def test_multiplier_by_hand(factor, expected):
    multiplier, shift = multiplier_and_shift("x", np.array([factor]))
    assert (multiplier[0], shift[0]) == expected


@pytest.mark.parametrize("factor", [2.0**15, 2.0**-33, 0.0, -1.0, np.inf, np.nan])
def test_factor_out_of_reach_is_told_by_layer_and_channel(factor):
    with pytest.raises(DeeplockError, match=r"layer conv3, channel 1: .*must be in \[2\*\*-32, 2\*\*15\)"):
        multiplier_and_shift("conv3", np.array([0.5, factor, 0.5]))
