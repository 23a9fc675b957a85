"""A convolution's integers."""

import numpy as np
import pytest

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.spec.tensor import Quantisation

REAL = Quantisation(1.0, 0)


def _dense(weight: list[int], bias: float, input=REAL, output=REAL, lo: float = -np.inf, hi: float = np.inf) -> Conv:
    array = np.array(weight, np.int8).reshape(1, 1, 1, -1)
    return Conv.integer("fc", "input", array, np.ones(1), np.array([bias]), input, output=output, lo=lo, hi=hi)


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
