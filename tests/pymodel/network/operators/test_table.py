"""Functions of one number in integers, against PyTorch's own quantised ones."""

import numpy as np
import pytest
import torch

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.operators.table import Table, integer_table
from deeplock.pymodel.spec.tensor import Quantisation

EVERY = np.arange(-128, 128, dtype=np.int8).reshape(1, 16, 8, 2)


@pytest.mark.parametrize(
    "name, lo, hi", [("sigmoid", 0.25, np.inf), ("tanh", -np.inf, 0.5), ("hardswish", -np.inf, np.inf)]
)
def test_each_value_becomes_what_pytorch_makes_of_it(name, lo, hi, rng):
    input = Quantisation(float(rng.uniform(0.01, 0.1)), int(rng.integers(-128, 128)))
    output = Quantisation(float(rng.uniform(0.004, 0.02)), int(rng.integers(-128, 128)))
    function = getattr(torch.nn.functional, name)
    scales = {"output": output, "lo": lo, "hi": hi}
    layer = integer_table("f", "input", lambda x: function(torch.from_numpy(x)).numpy(), input, **scales)
    given = torch.from_numpy(input.dequantise(EVERY)).float()  # on the input's grid
    clamped = function(given).clamp(lo, hi)
    expected = torch.fake_quantize_per_tensor_affine(clamped, output.scale, output.zero_point, -128, 127)
    difference = np.abs(output.dequantise(layer.run(EVERY)) - expected.numpy()) / output.scale
    assert difference.max() < 1.01 and (difference > 0.5).mean() < 0.02


def test_a_function_that_gives_no_number_is_refused():
    half = Quantisation(0.5, 0)
    with np.errstate(invalid="ignore"), pytest.raises(DeeplockError, match="layer f: its function must give a number"):
        integer_table("f", "input", np.sqrt, half, output=half)


def test_a_table_has_256_entries():
    assert dict(Table("f", "input", np.zeros(256, np.int8)).rules()) == {"table shape": True}
    assert dict(Table("f", "input", np.zeros(255, np.int8)).rules()) == {"table shape": False}
