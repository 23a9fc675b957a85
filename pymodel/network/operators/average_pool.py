"""Mean over windows."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, prod

import numpy as np

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.fixed_point import scalar_rules, scalars
from deeplock.pymodel.network.golden import padded_with, pixels_read, requantise, windows
from deeplock.pymodel.network.layer import Layer
from deeplock.pymodel.network.lowering import Diagonal, Lowered
from deeplock.pymodel.spec.tensor import Padding, Quantisation, Shape, windows_of

__all__ = ["MAX_WINDOW", "OPERATOR", "AveragePool", "integer_average"]

MAX_WINDOW = 2**16 - 1
"""Most pixels of a window: the bias, up to 128 times as much, must fit 24 bits."""


@dataclass(frozen=True)
class AveragePool(Layer):
    """Mean over windows: the sum, requantised with one multiplier for all channels.

    kernel, stride  (height, width) and (down, right)
    padding         padded pixels count, and read as `input_zero_point`
    """

    kind = "average_pool"
    mapping = "a diagonal layer with weights made on chip; the multiplier that requantises also divides"
    kernel: tuple[int, int]
    stride: tuple[int, int]
    bias: int
    multiplier: int
    shift: int
    zero_point: int
    lo: int
    hi: int
    padding: Padding = (0, 0, 0, 0)
    input_zero_point: int = 0

    def rules(self) -> Iterator[tuple[str, bool]]:
        pairs = len(self.kernel) == len(self.stride) == 2 and min(*self.kernel, *self.stride) >= 1
        yield "kernel or stride", pairs and prod(self.kernel) <= MAX_WINDOW
        yield "padding", len(self.padding) == 4 and min(self.padding) >= 0 and -128 <= self.input_zero_point <= 127
        yield from scalar_rules(self.bias, self.multiplier, self.shift, self.zero_point, self.lo, self.hi)

    def output_shape(self, shape: Shape) -> Shape:
        return *windows_of(shape, self.kernel, self.stride, self.padding), shape[2]

    def reads(self, wanted: np.ndarray, shape: Shape) -> tuple[np.ndarray]:
        return (pixels_read(wanted, shape, self.kernel, self.stride, self.padding),)

    def run(self, ifmaps: np.ndarray) -> np.ndarray:
        padded = padded_with(ifmaps, self.padding, self.input_zero_point)
        sums = windows(padded, self.kernel, self.stride).sum(axis=(3, 4), dtype=np.int64)
        return requantise(sums, self.bias, self.multiplier, self.shift, self.zero_point, self.lo, self.hi)

    def lower(self) -> Lowered:
        ones = Diagonal(1, 1, self.bias, self.multiplier, self.shift)
        pads = {"padding": self.padding, "pad_value": self.input_zero_point}
        window = {"kernel": self.kernel, "stride": self.stride, **pads}
        return Lowered(ones, **window, zero_point=self.zero_point, lo=self.lo, hi=self.hi)


OPERATOR = AveragePool


def integer_average(
    name: str,
    source: str,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    input: Quantisation,
    *,
    padding: Padding = (0, 0, 0, 0),
    output: Quantisation,
    lo: float = -inf,
    hi: float = inf,
) -> AveragePool:
    """The mean in integers: the multiplier includes the division by the number of pixels."""
    pixels = prod(kernel)
    if pixels > MAX_WINDOW:
        raise DeeplockError(f"layer {name}: a window must have at most {MAX_WINDOW} pixels, not {pixels}")
    rest = scalars(name, input.scale / (pixels * output.scale), output, lo, hi)
    pads = {"padding": padding, "input_zero_point": input.zero_point if any(padding) else 0}
    return AveragePool(name, source, kernel, stride, bias=-pixels * input.zero_point, **rest, **pads)
