"""Sum of two tensors."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

import numpy as np

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.fixed_point import scalar_rules, scalars
from deeplock.pymodel.network.golden import requantise
from deeplock.pymodel.network.layer import Layer
from deeplock.pymodel.network.lowering import Diagonal, Lowered
from deeplock.pymodel.spec.tensor import Quantisation, Shape

__all__ = ["MAX_RATIO_ERROR", "MAX_WEIGHT", "OPERATOR", "Add", "integer_add", "ratio_errors", "ratio_weights"]

MAX_WEIGHT = 127
MAX_RATIO_ERROR = 0.01
"""Largest relative error of the weights' ratio against the scales' ratio."""


@dataclass(frozen=True)
class Add(Layer):
    """Sum of two tensors of one shape: weights[0] * source + weights[1] * other + bias, requantised.

    weights  1..127 each: the ratio of the two scales
    """

    kind = "add"
    mapping = (
        "a diagonal layer whose two tensors are two kernel rows, with weights made on chip; a tensor that lies among the "
        "channels of another one is copied first"
    )
    other: str
    weights: tuple[int, int]
    bias: int
    multiplier: int
    shift: int
    zero_point: int
    lo: int
    hi: int

    @property
    def sources(self) -> tuple[str, str]:
        return self.source, self.other

    def rules(self) -> Iterator[tuple[str, bool]]:
        yield "weights", len(self.weights) == 2 and min(self.weights) >= 1 and max(self.weights) <= MAX_WEIGHT
        yield from scalar_rules(self.bias, self.multiplier, self.shift, self.zero_point, self.lo, self.hi)

    def output_shape(self, shape: Shape, other: Shape) -> Shape:
        return shape

    def run(self, ifmaps: np.ndarray, others: np.ndarray) -> np.ndarray:
        sums = self.weights[0] * ifmaps.astype(np.int64) + self.weights[1] * others.astype(np.int64)
        return requantise(sums, self.bias, self.multiplier, self.shift, self.zero_point, self.lo, self.hi)

    def lower(self) -> Lowered:
        weights = Diagonal(*self.weights, self.bias, self.multiplier, self.shift)
        return Lowered(weights, kernel=(2, 1), zero_point=self.zero_point, lo=self.lo, hi=self.hi)


OPERATOR = Add


def ratio_weights(layer: str, scales: tuple[float, float]) -> tuple[int, int]:
    """Weights in 1..127, the larger one 64 or more, whose ratio is nearest to that of the scales.

    Up to a ratio of 127 the relative error is below 1 %, mostly far below; `DeeplockError` if it is more.
    """
    small, large = sorted(scales)
    ratio = small / large
    tops = np.arange(MAX_WEIGHT // 2 + 1, MAX_WEIGHT + 1)
    bottoms = np.clip(np.rint(tops * ratio), 1, MAX_WEIGHT)
    errors = np.abs(bottoms / (tops * ratio) - 1)
    best = int(np.argmin(errors))
    if not errors[best] <= MAX_RATIO_ERROR:
        raise DeeplockError(
            f"layer {layer}: the scales of its inputs, {scales[0]:.3g} and {scales[1]:.3g}, must be at most "
            f"{MAX_WEIGHT} to 1 apart: weights of 7 bits hold no such ratio within {MAX_RATIO_ERROR:.0%}"
        )
    of_small, of_large = int(bottoms[best]), int(tops[best])
    return (of_small, of_large) if scales[0] <= scales[1] else (of_large, of_small)


def ratio_errors(weights: tuple[int, int], scales: tuple[float, float]) -> list[float]:
    """By how much each step of the two inputs is worth more than its scale says, in real numbers: 0 for the larger scale."""
    _, unit = max((scale, scale / weight) for scale, weight in zip(scales, weights, strict=True))
    return [weight * unit - scale for scale, weight in zip(scales, weights, strict=True)]


def integer_add(
    name: str,
    sources: tuple[str, str],
    inputs: tuple[Quantisation, Quantisation],
    *,
    output: Quantisation,
    lo: float = -inf,
    hi: float = inf,
) -> Add:
    """The sum in integers. The scale of the input with the larger one is exact. |bias| <= 2 * 127 * 128."""
    weights = ratio_weights(name, (inputs[0].scale, inputs[1].scale))
    bias = -sum(weight * input.zero_point for weight, input in zip(weights, inputs, strict=True))
    unit = max((input.scale, weight) for input, weight in zip(inputs, weights, strict=True))
    return Add(name, *sources, weights, bias=bias, **scalars(name, unit[0] / unit[1] / output.scale, output, lo, hi))
