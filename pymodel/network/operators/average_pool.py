"""Mean over windows."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, prod

import numpy as np

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.fixed_point import scalar_rules, scalars
from deeplock.pymodel.network.golden import pixels_read, requantise, windows
from deeplock.pymodel.network.layer import Layer
from deeplock.pymodel.network.lowering import Diagonal, Lowered
from deeplock.pymodel.spec.tensor import Quantisation, Shape

__all__ = ["MAX_WINDOW", "OPERATOR", "AveragePool", "integer_average"]

MAX_WINDOW = 2**16 - 1
"""Most pixels of a window: the bias, up to 128 times as much, must fit 24 bits."""


@dataclass(frozen=True)
class AveragePool(Layer):
    """Mean over windows of (height, width) pixels; no padding: the sum, requantised with one multiplier for all channels."""

    kind = "average_pool"
    kernel: tuple[int, int]
    stride: int
    bias: int
    multiplier: int
    shift: int
    zero_point: int
    lo: int
    hi: int

    def rules(self) -> Iterator[tuple[str, bool]]:
        pair = len(self.kernel) == 2 and min(self.kernel) >= 1
        yield "kernel or stride", pair and prod(self.kernel) <= MAX_WINDOW and self.stride >= 1
        yield from scalar_rules(self.bias, self.multiplier, self.shift, self.zero_point, self.lo, self.hi)

    def output_shape(self, shape: Shape) -> Shape:
        height, width, channels = shape
        return (height - self.kernel[0]) // self.stride + 1, (width - self.kernel[1]) // self.stride + 1, channels

    def reads(self, wanted: np.ndarray, shape: Shape) -> tuple[np.ndarray]:
        return (pixels_read(wanted, shape, self.kernel, self.stride),)

    def run(self, ifmaps: np.ndarray) -> np.ndarray:
        sums = windows(ifmaps, self.kernel, self.stride).sum(axis=(3, 4), dtype=np.int64)
        return requantise(sums, self.bias, self.multiplier, self.shift, self.zero_point, self.lo, self.hi)

    def lower(self) -> Lowered:
        ones = Diagonal(1, 1, self.bias, self.multiplier, self.shift)
        return Lowered(ones, kernel=self.kernel, stride=self.stride, zero_point=self.zero_point, lo=self.lo, hi=self.hi)


OPERATOR = AveragePool


def integer_average(
    name: str,
    source: str,
    kernel: tuple[int, int],
    stride: int,
    input: Quantisation,
    *,
    output: Quantisation,
    lo: float = -inf,
    hi: float = inf,
) -> AveragePool:
    """The mean in integers: the multiplier includes the division by the number of pixels."""
    pixels = prod(kernel)
    if pixels > MAX_WINDOW:
        raise DeeplockError(f"layer {name}: a window must have at most {MAX_WINDOW} pixels, not {pixels}")
    rest = scalars(name, input.scale / (pixels * output.scale), output, lo, hi)
    return AveragePool(name, source, kernel, stride, bias=-pixels * input.zero_point, **rest)
