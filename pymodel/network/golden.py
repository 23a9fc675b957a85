"""The NumPy golden model: the definition of what a quantised network computes, byte for byte.

Source: docs/architecture.md, "Arithmetic contract".
"""

import numpy as np

from deeplock.pymodel.network.network import Add, AveragePool, Conv, MaxPool, Network

__all__ = ["accumulate", "requantise", "run"]


def accumulate(activations: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Exact integer matrix product of int8 [..., k] and int8 [k, columns] as int64.

    Computed in float64, which holds every sum exactly (k * 2**14 < 2**53) and runs on BLAS.
    """
    return (activations.astype(np.float64) @ weights.astype(np.float64)).astype(np.int64)


def requantise(
    accumulator: np.ndarray,
    bias: np.ndarray | np.int64,
    multiplier: np.ndarray | np.int64,
    shift: np.ndarray | np.int64,
    zero_point: int,
    lo: int,
    hi: int,
    bits: int = 32,
) -> np.ndarray:
    """clamp((((acc + bias) * multiplier + (1 << (shift - 1))) >> shift) + zero_point, lo, hi) as int8.

    Shapes: accumulator [..., channels]; bias, multiplier and shift [channels]. The sum wraps to `bits` bits (never with the
    right key). Any shift in 1..64 is defined, since a wrong key can give any.
    """
    half = 1 << (bits - 1)
    total = (accumulator + bias + half) % (1 << bits) - half
    scaled = ((total * multiplier) >> np.minimum(shift - 1, 63)) + 1 >> 1
    return np.clip(scaled + zero_point, lo, hi).astype(np.int8)


def _windows(images: np.ndarray, height: int, width: int, stride: int) -> np.ndarray:
    """Every window of NHWC images: [n, out height, out width, height, width, channels]."""
    view = np.lib.stride_tricks.sliding_window_view(images, (height, width), axis=(1, 2))
    return view[:, ::stride, ::stride].transpose(0, 1, 2, 4, 5, 3)


def _conv(layer: Conv, images: np.ndarray) -> np.ndarray:
    top, left, bottom, right = layer.padding
    padded = np.pad(
        images, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=np.int8(layer.input_zero_point)
    )
    out, height, width, _ = layer.weight.shape
    windows = _windows(padded, height, width, layer.stride)
    columns = windows.reshape(*windows.shape[:3], -1)
    return requantise(
        accumulate(columns, layer.weight.reshape(out, -1).T),
        layer.bias.astype(np.int64),
        layer.multiplier.astype(np.int64),
        layer.shift.astype(np.int64),
        layer.zero_point,
        layer.lo,
        layer.hi,
        layer.accumulator_bits,
    )


def _rescale(layer: AveragePool | Add, sums: np.ndarray) -> np.ndarray:
    return requantise(
        sums,
        np.int64(layer.bias),
        np.int64(layer.multiplier),
        np.int64(layer.shift),
        layer.zero_point,
        layer.lo,
        layer.hi,
    )


def run(network: Network, ifmaps: np.ndarray) -> dict[str, np.ndarray]:
    """Every layer's output for int8 ifmaps [n, height, width, channels], by layer name, as int8 NHWC."""
    values = {"input": ifmaps}
    for layer in network.layers:
        source = values[layer.source]
        match layer:
            case MaxPool():
                result = _windows(source, layer.kernel, layer.kernel, layer.stride).max(axis=(3, 4))
            case AveragePool():
                result = _rescale(layer, _windows(source, *layer.kernel, layer.stride).sum(axis=(3, 4), dtype=np.int64))
            case Add():
                sums = layer.weights[0] * source.astype(np.int64) + layer.weights[1] * values[layer.other].astype(
                    np.int64
                )
                result = _rescale(layer, sums)
            case Conv():
                result = _conv(layer, source)
        values[layer.name] = result
    return values
