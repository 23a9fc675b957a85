"""A product's integers."""

from fractions import Fraction

import numpy as np
import pytest

from deeplock.pymodel.network.operators.multiply import Multiply, integer_multiply
from deeplock.pymodel.spec.tensor import Quantisation

LAYER = Multiply("product", "x", "y", (0, 0), 1 << 15, 15, 0, -128, 127)


def test_product_by_hand():
    inputs = Quantisation(0.5, -7), Quantisation(0.25, 3)
    layer = integer_multiply("product", ("x", "y"), inputs, output=Quantisation(1.0, 5), hi=6.0)
    assert (layer.source, layer.other, layer.zero_points) == ("x", "y", (-7, 3))
    assert Fraction(layer.multiplier, 2**layer.shift) == Fraction(1, 8)
    assert (layer.zero_point, layer.lo, layer.hi) == (5, -128, 11)
    x, y = (np.array(values, np.int8).reshape(1, 1, 2, 2) for values in ([-128, 1, -7, 127], [-128, 3, 90, 4]))
    assert layer.run(x, y).tolist() == [[[[11, 5], [5, 11]]]]  # -121 x -131 / 8, 8 x 0, 0 x 87, 134 x 1 / 8 = 16.75
    by_channel = layer.run(x, np.array([[[[5, -6]]]], np.int8))  # -121 x 2, 8 x -9, 0 x 2, 134 x -9, over 8, halves up
    assert by_channel.tolist() == [[[[-25, -4], [5, -128]]]]


@pytest.mark.parametrize("other", [(4, 5, 3), (1, 1, 3)], ids=str)
def test_it_takes_one_shape_or_one_pixel(other):
    shape = (4, 5, 3)
    assert LAYER.fits(shape, other) and LAYER.output_shape(shape, other) == shape
    wanted = np.zeros((4, 5), bool)
    wanted[1, 2] = True
    first, second = LAYER.reads(wanted, shape, other)
    assert np.array_equal(first, wanted) and second.shape == other[:2] and second.sum() == 1
    assert not LAYER.reads(np.zeros((4, 5), bool), shape, other)[1].any()


@pytest.mark.parametrize("other", [(4, 5, 1), (1, 5, 3), (1, 1, 1), (4, 5, 4)], ids=str)
def test_other_shapes_do_not_fit(other):
    assert not LAYER.fits((4, 5, 3), other)


def test_zero_points_are_int8():
    assert all(holds for _, holds in LAYER.rules())
    for zeros in ((0,), (0, 128), (-129, 0)):
        rules = dict(Multiply("p", "x", "y", zeros, 1 << 15, 15, 0, -128, 127).rules())
        assert not rules.pop("zero points of the factors") and all(rules.values())
