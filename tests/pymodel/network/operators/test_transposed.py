"""Transposed convolution and the layers that it becomes, by hand."""

import numpy as np
import pytest

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network import golden
from deeplock.pymodel.network.network import lower_bound, macs, needed_pixels
from deeplock.pymodel.network.network_file import load_network, save_network
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.network.operators.depth_to_space import DepthToSpace
from deeplock.pymodel.network.operators.interleave import Interleave
from deeplock.pymodel.network.operators.transposed import Transposed
from deeplock.pymodel.network.operators.upsample import Upsample
from deeplock.pymodel.spec.tensor import Quantisation
from tests.random_networks import network_of


def transposed(weight: np.ndarray, stride: tuple[int, int], padding=(0, 0, 0, 0), **options) -> Transposed:
    out = len(weight)
    scales = {"bias": np.zeros(out, np.int32), "multiplier": np.full(out, 1 << 15), "shift": np.full(out, 15)}
    fixed = {"input_zero_point": 0, "zero_point": 0, "lo": -128, "hi": 127}
    return Transposed("up", "input", weight.astype(np.int8), **scales | fixed | options, stride=stride, padding=padding)


def test_each_pixel_adds_its_kernel_at_its_place():
    """Two pixels, 3 and -2, at stride 2 with a kernel of 3: they overlap in one column."""
    layer = transposed(np.array([1, 10, 20]).reshape(1, 1, 3, 1), (1, 2))
    found = layer.run(np.array([3, -2], np.int8).reshape(1, 1, 2, 1))
    assert found.ravel().tolist() == [3, 30, 60 - 2, -20, -40]


def test_zero_points_and_padding():
    """Of the input -2 and the output 5; one pixel cut off before, one added behind, which reads nothing but the bias."""
    layer = transposed(
        np.array([1, 10, 20]).reshape(1, 1, 3, 1), (1, 2), (0, 1, 0, -1), input_zero_point=-2, zero_point=5, bias=[7]
    )
    found = layer.run(np.array([1, -4], np.int8).reshape(1, 1, 2, 1))
    assert found.ravel().tolist() == [5 + 7 + 30, 5 + 7 + 60 - 2, 5 + 7 - 20, 5 + 7 - 40, 5 + 7]


def test_upsampling_shuffles_and_rows_in_turn():
    pixels = np.arange(12, dtype=np.int8).reshape(1, 1, 3, 4)
    assert Upsample("a", "input", (2, 3)).run(pixels)[0, :, :, 0].tolist() == [[0, 0, 0, 4, 4, 4, 8, 8, 8]] * 2
    expected = [[0, 1, 4, 5, 8, 9], [2, 3, 6, 7, 10, 11]]  # a block of one channel is the same in both orders
    assert all(DepthToSpace("a", "input", 2, apart).run(pixels)[0, :, :, 0].tolist() == expected for apart in (0, 1))
    eight = np.arange(8, dtype=np.int8).reshape(1, 1, 1, 8)
    assert DepthToSpace("a", "input", 2).run(eight)[0].tolist() == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]
    assert DepthToSpace("a", "input", 2, 1).run(eight)[0].tolist() == [[[0, 4], [1, 5]], [[2, 6], [3, 7]]]
    rows = np.arange(8, dtype=np.int8).reshape(1, 2, 1, 4)
    layer = Interleave("a", "input", ("b",), 2, 3, 1)  # 4 rows of 2 pixels of 2 channels, but for the last of each
    assert layer.run(rows, rows + 10)[0].tolist() == [[[0, 1]], [[10, 11]], [[4, 5]]]


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [
        ((2, 2), (2, 2), (0, 0, 0, 0)),
        ((3, 5), (2, 3), (1, 2, 0, -1)),
        ((4, 3), (2, 1), (2, 1, 1, 2)),
        ((3, 3), (3, 3), (0, 0, -2, -1)),
    ],
    ids=str,
)
def test_the_bound_counts_products_with_pixels_and_padding_and_no_others(kernel, stride, padding):
    """By counting, of each output pixel, the places of the kernel from which a pixel or padding is read."""
    weight = np.ones((5, *kernel, 7))
    layer = transposed(weight, stride, padding)
    network = network_of((4, 6, 7), layer)
    height, width, _ = layer.output_shape((4, 6, 7))
    taps = sum(
        (y + padding[0] - dy) % stride[0] == 0 and (x + padding[1] - dx) % stride[1] == 0
        for y, x, dy, dx in np.ndindex(height, width, *kernel)
    )
    assert macs(network) == {"up": taps * 35}
    assert lower_bound(network, 4, 8, 1000) == -(-taps * 35 // 32)
    assert lower_bound(network, 4, 8, 4) == max(-(-taps * 35 // 32), -(-weight.size // 4))
    parts = [part for part in layer.stages((4, 6, 7)) if isinstance(part, Conv)]
    assert sum(part.weight.size for part in parts) == weight.size and all(min(part.padding) >= 0 for part in parts)


def test_pixels_that_are_cut_off_are_not_needed():
    layer = transposed(np.ones((1, 2, 2, 1)), (1, 2), (1, 0, 1, 0))
    needed = needed_pixels(network_of((3, 4, 1), layer, Conv("b", "up", *_one(), (1, 2), (0,) * 4, 0, 0, -128, 127)))
    assert needed["up"].sum(axis=0).tolist() == [2, 0] * 4 and needed["input"].all()


def _one():
    return np.ones((1, 1, 1, 1), np.int8), np.zeros(1, np.int32), np.full(1, 1 << 15), np.full(1, 15)


def test_sums_that_leave_int32_are_refused_and_others_kept(tmp_path):
    weight, scale = np.full((2, 2, 2, 4), 100, np.int8), np.full(2, 0.01)
    given = {"output": Quantisation(0.5, 3), "stride": (2, 2), "padding": (0, 0, 0, 0), "lo": 0.0}
    with pytest.raises(DeeplockError, match="layer up, channel 1: the accumulator may reach"):
        Transposed.integer("up", "input", weight, scale, np.array([0, 2**31 - 1]), Quantisation(0.1, -5), **given)
    layer = Transposed.integer("up", "input", weight, scale, np.array([1.0, -0.5]), Quantisation(0.1, -5), **given)
    assert layer.bias.tolist() == [1000, -500] and (layer.lo, layer.hi, layer.zero_point) == (3, 127, 3)
    network = network_of((3, 3, 4), layer, Upsample("a", "up", (2, 1)), DepthToSpace("b", "input", 2, 1))
    save_network(tmp_path / "a", network)
    ifmaps = np.random.default_rng(0).integers(-128, 128, (2, 3, 3, 4), np.int8)
    found, expected = (golden.run(each, ifmaps) for each in (load_network(tmp_path / "a"), network))
    assert all(np.array_equal(found[name], expected[name]) for name in ("up", "a", "b"))


@pytest.mark.parametrize(
    ("stride", "padding"),
    [((3, 2), (0, 0, 0, 0)), ((2, 2), (1, 0, 0, 0)), ((2, 2), (0, 0, -2, 0)), ((0, 1), (0, 0, 0, 0))],
)
def test_files_that_break_its_rules_are_refused(stride, padding, tmp_path):
    save_network(tmp_path / "a", network_of((3, 3, 4), transposed(np.ones((1, 2, 2, 4)), stride, padding)))
    with pytest.raises(DeeplockError, match="layer up: wrong stride or padding"):
        load_network(tmp_path / "a")
