"""Product of two tensors."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

import numpy as np

from deeplock.pymodel.network.fixed_point import scalar_rules, scalars
from deeplock.pymodel.network.golden import requantise
from deeplock.pymodel.network.layer import Layer
from deeplock.pymodel.network.lowering import Lowered, Product
from deeplock.pymodel.spec.tensor import Quantisation, Shape

__all__ = ["OPERATOR", "Multiply", "integer_multiply"]


@dataclass(frozen=True)
class Multiply(Layer):
    """Product of two tensors, value by value: (source - zero_points[0]) * (other - zero_points[1]), requantised.

    other  of the same shape, or of one pixel, [1, 1, channels], which multiplies all pixels
    """

    kind = "multiply"
    mapping = (
        "a diagonal layer that reads each of its tensors twice and packs two values into each sum; the requantisers multiply "
        "them. A tensor of one pixel is first copied to all pixels, one that lies among the channels of another out of it. "
        "The accelerator needs `products`"
    )
    other: str
    zero_points: tuple[int, int]
    multiplier: int
    shift: int
    zero_point: int
    lo: int
    hi: int

    @property
    def sources(self) -> tuple[str, str]:
        return self.source, self.other

    def rules(self) -> Iterator[tuple[str, bool]]:
        given = len(self.zero_points) == 2 and -128 <= min(self.zero_points) <= max(self.zero_points) <= 127
        yield "zero points of the factors", given
        yield from scalar_rules(0, self.multiplier, self.shift, self.zero_point, self.lo, self.hi)

    def fits(self, shape: Shape, other: Shape) -> bool:
        return other in (shape, (1, 1, shape[2]))

    def output_shape(self, shape: Shape, other: Shape) -> Shape:
        return shape

    def reads(self, wanted: np.ndarray, shape: Shape, other: Shape) -> tuple[np.ndarray, np.ndarray]:
        return wanted, wanted if other == shape else np.full((1, 1), wanted.any())

    def run(self, ifmaps: np.ndarray, others: np.ndarray) -> np.ndarray:
        factors = (each.astype(np.int64) - zero for each, zero in zip((ifmaps, others), self.zero_points, strict=True))
        first, second = factors
        return requantise(first * second, 0, self.multiplier, self.shift, self.zero_point, self.lo, self.hi)

    def lower(self) -> Lowered:
        weights = Product.of(self.zero_points, self.multiplier, self.shift)
        return Lowered(weights, kernel=(2, 2), dilation=(1, 0), zero_point=self.zero_point, lo=self.lo, hi=self.hi)


OPERATOR = Multiply


def integer_multiply(
    name: str,
    sources: tuple[str, str],
    inputs: tuple[Quantisation, Quantisation],
    *,
    output: Quantisation,
    lo: float = -inf,
    hi: float = inf,
) -> Multiply:
    """The product in integers; it rounds once."""
    zero_points = inputs[0].zero_point, inputs[1].zero_point
    factor = inputs[0].scale * inputs[1].scale / output.scale
    return Multiply(name, *sources, zero_points, **scalars(name, factor, output, lo, hi))
