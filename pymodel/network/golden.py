"""The NumPy golden model: the definition of what a quantised network computes, byte for byte.

This file holds the arithmetic that operators share; each operator's `run`, in its own file, uses it. Source:
docs/architecture.md, "Arithmetic contract".
"""

import numpy as np

from deeplock.pymodel.network.network import Network
from deeplock.pymodel.spec.tensor import Padding, Shape, span_of

__all__ = ["accumulate", "padded_with", "pixels_read", "requantise", "run", "windows"]


def accumulate(activations: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Exact integer matrix product of int8 [..., k] and int8 [k, columns] as int64.

    Computed in float64, which holds every sum exactly (k * 2**14 < 2**53) and runs on BLAS.
    """
    return (activations.astype(np.float64) @ weights.astype(np.float64)).astype(np.int64)


def requantise(
    accumulator: np.ndarray,
    bias: np.ndarray | int,
    multiplier: np.ndarray | int,
    shift: np.ndarray | int,
    zero_point: int,
    lo: int,
    hi: int,
    bits: int = 32,
) -> np.ndarray:
    """clamp((((acc + bias) * multiplier + (1 << (shift - 1))) >> shift) + zero_point, lo, hi) as int8.

    Shapes: accumulator int64 [..., channels]; bias, multiplier and shift [channels], or one for all. The sum wraps to `bits`
    bits, which the right key never causes. Every shift in 1..64 is defined, since a wrong key can give any of them.
    """
    half = 1 << (bits - 1)
    total = (accumulator + bias + half) % (1 << bits) - half
    scaled = ((total * multiplier) >> np.minimum(shift - 1, 63)) + 1 >> 1
    return np.clip(scaled + zero_point, lo, hi).astype(np.int8)


def padded_with(ifmaps: np.ndarray, padding: Padding, value: int) -> np.ndarray:
    """NHWC ifmaps with pixels of this value around them."""
    top, left, bottom, right = padding
    return np.pad(ifmaps, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=np.int8(value))


def windows(
    ifmaps: np.ndarray, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int] = (1, 1)
) -> np.ndarray:
    """Every window of NHWC ifmaps: [n, out height, out width, kernel height, kernel width, channels]."""
    view = np.lib.stride_tricks.sliding_window_view(ifmaps, span_of(kernel, dilation), axis=(1, 2))
    view = view[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]
    return view.transpose(0, 1, 2, 4, 5, 3)


def pixels_read(
    wanted: np.ndarray,
    shape: Shape,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: Padding = (0, 0, 0, 0),
    dilation: tuple[int, int] = (1, 1),
) -> np.ndarray:
    """Which pixels of a tensor of `shape` the wanted windows read: bool [height, width] from bool [out height, out width]."""
    top, left, bottom, right = padding
    read = np.zeros((shape[0] + top + bottom, shape[1] + left + right), bool)
    down, across = (step * (size - 1) + 1 for step, size in zip(stride, wanted.shape, strict=True))
    for y, x in np.ndindex(kernel):
        y, x = y * dilation[0], x * dilation[1]
        read[y : y + down : stride[0], x : x + across : stride[1]] |= wanted
    return read[top : top + shape[0], left : left + shape[1]]


def run(network: Network, ifmaps: np.ndarray) -> dict[str, np.ndarray]:
    """Every layer's output for int8 ifmaps [n, height, width, channels], by layer name, as int8 NHWC."""
    values = {"input": ifmaps}
    for layer in network.layers:
        values[layer.name] = layer.run(*(values[name] for name in layer.sources))
    return values
