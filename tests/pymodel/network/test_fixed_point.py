from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.fixed_point import multiplier_and_shift
from deeplock.pymodel.network.operators.add import integer_add, ratio_weights
from deeplock.pymodel.network.operators.average_pool import integer_average
from deeplock.pymodel.network.operators.conv import Conv, integer_conv
from deeplock.pymodel.spec.tensor import Quantisation

REAL = Quantisation(1.0, 0)


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


def _dense(weight: list[int], bias: float, input=REAL, output=REAL, lo: float = -np.inf, hi: float = np.inf) -> Conv:
    array = np.array(weight, np.int8).reshape(1, 1, 1, -1)
    return integer_conv("fc", "input", array, np.ones(1), np.array([bias]), input, output=output, lo=lo, hi=hi)


def test_bias_is_in_accumulator_units_and_holds_the_zero_point():
    layer = _dense([3, -5], 10.0, input=Quantisation(0.25, 7), output=Quantisation(0.5, -1))
    assert layer.bias.tolist() == [40 - 7 * (3 - 5)]
    assert (layer.input_zero_point, layer.zero_point) == (7, -1)
    assert (int(layer.multiplier[0]), int(layer.shift[0])) == (2**15, 16)


@pytest.mark.parametrize(
    ("lo", "hi", "expected"),
    [(0.0, np.inf, (-20, 127)), (0.0, 6.0, (-20, 4)), (-1.0, 1.0, (-24, -16)), (-np.inf, np.inf, (-128, 127))],
)
def test_activation_function_is_in_the_clamp(lo, hi, expected):
    layer = _dense([1], 0.0, output=Quantisation(0.25, -20), lo=lo, hi=hi)
    assert (layer.lo, layer.hi) == expected


def test_accumulator_that_could_overflow_is_told():
    most = 2**31 - 1 - 128 * 3
    assert _dense([1, -2], float(most)).bias.tolist() == [most]
    for bias in (most + 1, -most - 1, 1e30):
        with pytest.raises(DeeplockError, match="layer fc, channel 0: the accumulator may reach"):
            _dense([1, -2], float(bias))


def test_average_divides_in_the_multiplier():
    layer = integer_average("pool", "x", (3, 2), 1, Quantisation(0.5, -7), output=Quantisation(0.25, 3), lo=0.0)
    assert (layer.bias, layer.multiplier, layer.shift) == (6 * 7, round(2 / 6 * 2**17), 17)
    assert (layer.zero_point, layer.lo, layer.hi) == (3, 3, 127)
    with pytest.raises(DeeplockError, match="layer pool: a window must have at most 65535 pixels, not 65536"):
        integer_average("pool", "x", (256, 256), 1, REAL, output=REAL)


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
