"""Shapes, work and lower bound of a network, by hand."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from deeplock.pymodel.network import golden
from deeplock.pymodel.network.network import lower_bound, macs, needed_pixels, output_shapes
from deeplock.pymodel.network.operators.add import Add
from deeplock.pymodel.network.operators.average_pool import AveragePool
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.network.operators.max_pool import MaxPool
from tests.random_networks import cases, network_of


def _conv(name: str, source: str, shape: tuple[int, int, int, int], stride: int = 1, pad: int = 0) -> Conv:
    numbers = np.zeros(shape[0], np.int32)
    return Conv(
        name, source, np.zeros(shape, np.int8), numbers, numbers, numbers, (stride, stride), (pad,) * 4, 0, 0, -128, 127
    )


def _mnist():
    return network_of(
        (28, 28, 1),
        _conv("conv1", "input", (16, 5, 5, 1)),
        MaxPool("pool1", "conv1", (2, 2), (2, 2)),
        _conv("conv2", "pool1", (32, 3, 3, 16)),
        MaxPool("pool2", "conv2", (2, 2), (2, 2)),
        _conv("dense1", "pool2", (100, 5, 5, 32)),
        _conv("dense2", "dense1", (10, 1, 1, 100)),
    )


def test_shapes():
    assert output_shapes(_mnist()) == {
        "input": (28, 28, 1),
        "conv1": (24, 24, 16),
        "pool1": (12, 12, 16),
        "conv2": (10, 10, 32),
        "pool2": (5, 5, 32),
        "dense1": (1, 1, 100),
        "dense2": (1, 1, 10),
    }
    network = network_of(
        (9, 7, 3),
        _conv("strided", "input", (4, 3, 3, 3), 2, 1),
        Add("add", "strided", "strided", (1, 1), 0, 1 << 15, 1, 0, -128, 127),
        AveragePool("mean", "add", (5, 4), (1, 1), 0, 1 << 15, 1, 0, -128, 127),
    )
    assert list(output_shapes(network).values()) == [(9, 7, 3), (5, 4, 4), (5, 4, 4), (1, 1, 4)]


def test_work():
    assert list(macs(_mnist()).values()) == [24 * 24 * 16 * 25, 0, 10 * 10 * 32 * 144, 0, 80_000, 1_000]


def test_pixels_that_no_pooling_window_uses_are_not_needed():
    pool = MaxPool("pool", "last", (2, 2), (2, 2))
    network = network_of((7, 7, 1), _conv("first", "input", (3, 1, 1, 1)), _conv("last", "first", (5, 3, 3, 3)), pool)
    needed = {name: int(pixels.sum()) for name, pixels in needed_pixels(network).items()}
    assert needed == {"input": 36, "first": 36, "last": 16, "pool": 4}  # 4x4 of 5x5, which read 6x6 of 7x7
    assert lower_bound(network, 1, 1, 1000) == 36 * 3 + 16 * 27 * 5


@given(cases(with_tables=True, with_products=True), st.integers(0, 2**32))
def test_what_is_not_needed_changes_nothing(case, seed):
    (network, ifmaps), rng = case, np.random.default_rng(seed)
    needed = needed_pixels(network)

    def with_garbage(name: str, values: np.ndarray) -> np.ndarray:
        garbage = rng.integers(-128, 128, values.shape, np.int8)
        return np.where(needed[name][:, :, None], values, garbage)

    values = {"input": with_garbage("input", ifmaps)}
    for layer in network.layers:
        values[layer.name] = with_garbage(layer.name, layer.run(*(values[source] for source in layer.sources)))
    last = network.layers[-1].name
    assert np.array_equal(values[last], golden.run(network, ifmaps)[last])


def test_lower_bound_is_the_larger_of_work_and_bytes_layer_by_layer():
    # 8x8, B = 8: 230400/64, 460800/64, 80000/8, 1000/8
    assert lower_bound(_mnist(), 8, 8, 8) == 3600 + 7200 + 10_000 + 125
    # 4x4, B = 4: bytes of the dense layers still weigh more than their 80000/16 and 1000/16 cycles of work
    assert lower_bound(_mnist(), 4, 4, 4) == 14_400 + 28_800 + 20_000 + 250
    assert lower_bound(_mnist(), 16, 16, 16) == 900 + 1800 + 5000 + 63  # 62.5 rounded up
