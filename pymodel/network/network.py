"""The quantised network: the integers that the golden model, the PyTorch reference and the compiler share.

A `Network` is a list of layers in execution order. Activations are int8 tensors in NHWC order; weights are int8 in OHWI
order. A dense layer is a convolution whose kernel is its whole input (flatten costs nothing and has no order of its own).
Arithmetic: docs/architecture.md, "Arithmetic contract".
"""

from collections.abc import Collection
from dataclasses import dataclass
from math import prod

import numpy as np

__all__ = [
    "Conv",
    "MaxPool",
    "Layer",
    "Network",
    "Pixels",
    "Quantisation",
    "macs",
    "output_shape",
    "output_shapes",
    "lower_bound",
]

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Quantisation:
    """Real value = scale * (q - zero_point), q int8."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class Pixels:
    """What raw pixels 0..255 mean: real value = (pixel - zero) / one; one number for all channels, or one for each."""

    zero: tuple[float, ...] = (0.0,)
    one: tuple[float, ...] = (255.0,)

    @staticmethod
    def of(fields: "dict[str, list[float]] | None") -> "Pixels | None":
        """From what JSON makes of one, or of none."""
        return Pixels(**{name: tuple(map(float, values)) for name, values in fields.items()}) if fields else None


@dataclass(frozen=True, eq=False)
class Conv:
    """Convolution or dense layer: accumulate in int32, add the bias, requantise, clamp (ReLU is in `lo` and `hi`).

    weight      int8 [out, kernel height, kernel width, in]
    bias        int32 [out], the input's zero point folded in: bias - input_zero_point * sum(weight)
    multiplier  [out], each in [2**15, 2**16)
    shift       [out], each in 1..47
    padding     zero padding in pixels: (top, left, bottom, right); padded pixels read as `input_zero_point`
    accumulator_bits  accumulator + bias wraps to this many bits, 24 or 32; which one is seen only with a wrong key, because
                with the right one the sum is proved to fit
    """

    name: str
    source: str
    weight: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray
    stride: int
    padding: tuple[int, int, int, int]
    input_zero_point: int
    zero_point: int
    lo: int
    hi: int
    accumulator_bits: int = 32


@dataclass(frozen=True)
class MaxPool:
    """Maximum over square windows, on int8; no padding; rows and columns that fill no window are dropped."""

    name: str
    source: str
    kernel: int
    stride: int


@dataclass(frozen=True)
class AveragePool:
    """Mean over windows of (height, width) pixels; no padding: the sum, requantised with one multiplier for all channels."""

    name: str
    source: str
    kernel: tuple[int, int]
    stride: int
    bias: int
    multiplier: int
    shift: int
    zero_point: int
    lo: int
    hi: int


@dataclass(frozen=True)
class Add:
    """Sum of two tensors of one shape: weights[0] * source + weights[1] * other + bias, requantised.

    weights  1..127 each: the ratio of the two scales
    """

    name: str
    source: str
    other: str
    weights: tuple[int, int]
    bias: int
    multiplier: int
    shift: int
    zero_point: int
    lo: int
    hi: int


Layer = Conv | MaxPool | AveragePool | Add


@dataclass(frozen=True, eq=False)
class Network:
    """A whole quantised network.

    Every layer's `source` (and an addition's `other`) is "input" or the name of an earlier layer. The last layer is the output.

    input_shape  (height, width, channels) of one ifmap
    input, output  how real numbers map to the int8 ifmap and ofmap
    classes      names of the output channels, empty if unknown
    dataset      name of the data set it was trained on, "" if unknown
    pixels       what raw images mean to it, if there is no such data set
    """

    name: str
    input_shape: Shape
    input: Quantisation
    output: Quantisation
    layers: tuple[Layer, ...]
    classes: tuple[str, ...] = ()
    dataset: str = ""
    pixels: Pixels | None = None


def output_shape(layer: Layer, shape: Shape) -> Shape:
    """Shape (height, width, channels) of what a layer makes of an input of `shape`."""
    height, width, channels = shape
    if isinstance(layer, Add):
        return shape
    if isinstance(layer, MaxPool | AveragePool):
        tall, wide = (layer.kernel, layer.kernel) if isinstance(layer, MaxPool) else layer.kernel
        return (height - tall) // layer.stride + 1, (width - wide) // layer.stride + 1, channels
    out, kernel_height, kernel_width, _ = layer.weight.shape
    top, left, bottom, right = layer.padding
    return (
        (height + top + bottom - kernel_height) // layer.stride + 1,
        (width + left + right - kernel_width) // layer.stride + 1,
        out,
    )


def output_shapes(network: Network) -> dict[str, Shape]:
    """Shape (height, width, channels) of the input and of every layer's output, by name."""
    shapes = {"input": network.input_shape}
    for layer in network.layers:
        shapes[layer.name] = output_shape(layer, shapes[layer.source])
    return shapes


def sources(layer: Layer) -> tuple[str, ...]:
    """Names of what a layer reads."""
    return (layer.source, layer.other) if isinstance(layer, Add) else (layer.source,)


def macs(network: Network) -> dict[str, int]:
    """Multiply-accumulates of every layer of one inference, by name."""
    shapes = output_shapes(network)
    return {
        layer.name: prod(shapes[layer.name]) * prod(layer.weight.shape[1:]) if isinstance(layer, Conv) else 0
        for layer in network.layers
    }


def lower_bound(
    network: Network, rows: int, cols: int, bytes_per_beat: int, shared: Collection[str] = (), batch: int = 1
) -> int:
    """Least cycles that a rows x cols array fed by `bytes_per_beat` parameter bytes a cycle can take for an ifmap.

    Sum over layers of max(MACs / (rows * cols), weight bytes / bytes_per_beat), each layer rounded up. The layers named in
    `shared` take their weights once for `batch` ifmaps.
    """
    work = macs(network)
    return sum(
        max(
            -(-work[layer.name] // (rows * cols)),
            -(-layer.weight.size // (bytes_per_beat * (batch if layer.name in shared else 1))),
        )
        for layer in network.layers
        if isinstance(layer, Conv)
    )
