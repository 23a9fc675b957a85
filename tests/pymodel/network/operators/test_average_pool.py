"""An average pool's integers."""

import pytest

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.operators.average_pool import integer_average
from deeplock.pymodel.spec.tensor import Quantisation

REAL = Quantisation(1.0, 0)


def test_average_divides_in_the_multiplier():
    layer = integer_average("pool", "x", (3, 2), (1, 1), Quantisation(0.5, -7), output=Quantisation(0.25, 3), lo=0.0)
    assert (layer.bias, layer.multiplier, layer.shift) == (6 * 7, round(2 / 6 * 2**17), 17)
    assert (layer.zero_point, layer.lo, layer.hi) == (3, 3, 127)
    with pytest.raises(DeeplockError, match="layer pool: a window must have at most 65535 pixels, not 65536"):
        integer_average("pool", "x", (256, 256), (1, 1), REAL, output=REAL)
