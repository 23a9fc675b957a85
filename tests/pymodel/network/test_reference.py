from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplock.pymodel.network import golden, reference
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.network.operators.max_pool import MaxPool
from tests.random_networks import cases, convs, network_of


def _scalar(bias: int, multiplier: int, shift: int, **options) -> Conv:
    """1 x 1 convolution with weight 1, so that its accumulator is the ifmap + bias."""
    numbers = {"bias": bias, "multiplier": multiplier, "shift": shift}
    arrays = {name: np.array([value], np.int32) for name, value in numbers.items()}
    fixed = {"stride": (1, 1), "padding": (0, 0, 0, 0), "input_zero_point": 0, "zero_point": 0, "lo": -128, "hi": 127}
    return Conv("conv", "input", np.ones((1, 1, 1, 1), np.int8), **arrays, **(fixed | options))


def _run_scalar(conv: Conv, q: int) -> int:
    return int(reference.run(network_of((1, 1, 1), conv), np.full((1, 1, 1, 1), q, np.int8))["conv"].item())


@pytest.mark.parametrize(
    ("q", "expected"),
    [(0, 0), (1, 1), (2, 1), (3, 2), (-1, 0), (-2, -1), (-3, -1), (127, 64), (-128, -64)],  # halves go up
)
def test_rounding_by_hand(q, expected):
    assert _run_scalar(_scalar(0, 2**15, 16), q) == expected


def test_zero_point_and_clamp_by_hand():
    assert _run_scalar(_scalar(0, 2**15, 15, zero_point=10), 30) == 40
    assert _run_scalar(_scalar(0, 2**15, 15, zero_point=10, lo=10), -30) == 10
    assert _run_scalar(_scalar(0, 2**15, 15, zero_point=10, hi=20), 30) == 20


@pytest.mark.parametrize(("bits", "expected"), [(32, 2**31), (24, 2**23)])
def test_accumulator_wraps(bits, expected):
    """The largest number plus one is the smallest one."""
    conv = _scalar(expected - 1, 2**15, bits + 8, accumulator_bits=bits)
    assert (_run_scalar(conv, 0), _run_scalar(conv, 1)) == (64, -64)


def test_shift_of_64_leaves_the_rounded_sign():
    assert _run_scalar(_scalar(2**31 - 1, 2**16 - 1, 64), 0) == 0
    assert _run_scalar(_scalar(-(2**31), 2**16 - 1, 64), 0) == 0


def test_padding_reads_as_the_zero_point():
    weight = np.ones((1, 3, 3, 1), np.int8)
    conv = replace(_scalar(0, 2**15, 15), weight=weight, padding=(1, 1, 1, 1), input_zero_point=-3)
    ofmap = reference.run(network_of((1, 2, 1), conv), np.array([5, 7], np.int8).reshape(1, 1, 2, 1))["conv"]
    assert ofmap.flatten().tolist() == [5 + 7 - 7 * 3] * 2


def test_max_pool_drops_what_fills_no_window():
    ifmaps = np.arange(-10, 15, dtype=np.int8).reshape(1, 5, 5, 1)
    ofmap = reference.run(network_of((5, 5, 1), MaxPool("pool", "input", (2, 2), (2, 2))), ifmaps)["pool"]
    assert ofmap.flatten().tolist() == [-4, -2, 6, 8]


def _conv_in_integers(layer: Conv, ifmap: np.ndarray) -> np.ndarray:
    """The contract (docs/architecture.md), one Python integer at a time."""
    top, left, bottom, right = layer.padding
    padded = np.pad(ifmap, ((top, bottom), (left, right), (0, 0)), constant_values=layer.input_zero_point)
    out, height, width, channels = layer.weight.shape
    down, right = layer.dilation
    rows = range(0, padded.shape[0] - down * (height - 1), layer.stride[0])
    columns = range(0, padded.shape[1] - right * (width - 1), layer.stride[1])
    ofmap = np.empty((len(rows), len(columns), out), np.int8)
    for i, y in enumerate(rows):
        for j, x in enumerate(columns):
            for k in range(out):
                acc = int(layer.bias[k])
                for dy, dx, c in np.ndindex(height, width, channels):
                    acc += int(padded[y + down * dy, x + right * dx, c]) * int(layer.weight[k, dy, dx, c])
                half = 1 << (layer.accumulator_bits - 1)
                acc = (acc + half) % (2 * half) - half
                shift = int(layer.shift[k])
                q = ((acc * int(layer.multiplier[k]) + (1 << (shift - 1))) >> shift) + layer.zero_point
                ofmap[i, j, k] = min(max(q, layer.lo), layer.hi)
    return ofmap


@settings(max_examples=50)
@given(st.data(), st.integers(1, 5), st.integers(1, 5), st.integers(1, 3), st.booleans())
def test_convolution_equals_python_integers(data, height, width, channels, garbage):
    kernel = data.draw(st.tuples(st.integers(1, height), st.integers(1, width)))
    layer = data.draw(convs("conv", "input", channels, kernel, garbage))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    ifmap = rng.integers(-128, 128, (height, width, channels), np.int8)
    ofmaps = reference.run(network_of(ifmap.shape, layer), ifmap[np.newaxis])
    assert np.array_equal(ofmaps["conv"][0].numpy(), _conv_in_integers(layer, ifmap))


@settings(max_examples=200)
@given(cases(with_tables=True, with_products=True))
def test_every_byte_of_every_layer_equals_the_golden_model(case):
    network, ifmaps = case
    expected = golden.run(network, ifmaps)
    found = reference.run(network, ifmaps)
    for layer in network.layers:
        assert np.array_equal(found[layer.name].numpy(), expected[layer.name]), layer.name
