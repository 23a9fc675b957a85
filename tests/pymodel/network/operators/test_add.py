"""An addition's integers."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.operators.add import integer_add, ratio_weights
from deeplock.pymodel.spec.tensor import Quantisation


@given(st.floats(1 / 127, 127))
def test_weights_of_an_addition_hold_the_ratio(ratio):
    a, b = ratio_weights("sum", (ratio, 1.0))
    assert 64 <= max(a, b) <= 127 and min(a, b) >= 1
    found = abs(Fraction(a, b) / Fraction(ratio) - 1)
    assert found <= 0.01
    for other in ((a, b + 1), (a + 1, b), (a, b - 1), (a - 1, b)):
        if 64 <= max(other) <= 127 and min(other) >= 1:  # nearest in the ratio of the smaller scale to the larger
            assert abs(_small_to_large(a, b) / _small_to_large(ratio, 1) - 1) <= abs(
                _small_to_large(*other) / _small_to_large(ratio, 1) - 1
            )


def _small_to_large(a: float, b: float) -> Fraction:
    return min(Fraction(a) / Fraction(b), Fraction(b) / Fraction(a))


def test_addition_by_hand():
    inputs = Quantisation(0.5, -7), Quantisation(0.25, 3)
    layer = integer_add("sum", ("x", "y"), inputs, output=Quantisation(1.0, 5), hi=6.0)
    assert (layer.source, layer.other, layer.weights) == ("x", "y", (64, 32))
    assert layer.bias == 64 * 7 - 32 * 3
    assert Fraction(layer.multiplier, 2**layer.shift) == Fraction(1, 2) / 64
    assert (layer.zero_point, layer.lo, layer.hi) == (5, -128, 11)


def test_scales_too_far_apart_to_be_added_are_told_by_layer():
    with pytest.raises(
        DeeplockError, match="layer sum: the scales of its inputs, 1 and 0.007, must be at most 127 to 1"
    ):
        ratio_weights("sum", (1.0, 0.007))
