"""Concatenation along channels."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from deeplock.pymodel.network.fixed_point import scalar_rules, scalars
from deeplock.pymodel.network.golden import requantise
from deeplock.pymodel.network.layer import Layer
from deeplock.pymodel.network.lowering import IDENTITY, Diagonal, Joined, Lowered
from deeplock.pymodel.spec.tensor import Quantisation, Shape

__all__ = ["OPERATOR", "Concat", "integer_concat", "side_by_side"]


@dataclass(frozen=True)
class Concat(Layer):
    """The channels of its sources, one source after the other, requantised to one scale.

    bias, multiplier, shift  of each source
    """

    kind = "concat"
    mapping = (
        "no work: its sources are written side by side. A source that has another scale, that is the ifmap, or that has its "
        "place in another concatenation is copied, by a diagonal layer"
    )
    others: tuple[str, ...]
    bias: tuple[int, ...]
    multiplier: tuple[int, ...]
    shift: tuple[int, ...]
    zero_point: int
    lo: int = -128
    hi: int = 127

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.source, *self.others)

    @property
    def scales(self) -> tuple[tuple[int, int, int], ...]:
        """Bias, multiplier and shift of each source."""
        return tuple(zip(self.bias, self.multiplier, self.shift, strict=True))

    def rules(self) -> Iterator[tuple[str, bool]]:
        yield "sources", {len(self.bias), len(self.multiplier), len(self.shift)} == {len(self.sources)}
        for scale in self.scales:
            yield from scalar_rules(*scale, self.zero_point, self.lo, self.hi)

    def fits(self, *shapes: Shape) -> bool:
        return len({shape[:2] for shape in shapes}) == 1

    def output_shape(self, *shapes: Shape) -> Shape:
        return *shapes[0][:2], sum(shape[2] for shape in shapes)

    def run(self, *ifmaps: np.ndarray) -> np.ndarray:
        ends = self.zero_point, self.lo, self.hi
        parts = [
            requantise(each.astype(np.int64), *scale, *ends) for each, scale in zip(ifmaps, self.scales, strict=True)
        ]
        return np.concatenate(parts, axis=3)

    def lower(self) -> Joined:
        """A source that keeps its scale needs no work."""
        same = -self.zero_point, IDENTITY.multiplier, IDENTITY.shift
        keeps = (self.lo, self.hi) == (-128, 127)
        scaled = Lowered(zero_point=self.zero_point, lo=self.lo, hi=self.hi)
        return Joined(
            tuple(
                Lowered() if keeps and scale == same else replace(scaled, weights=Diagonal(1, 1, *scale))
                for scale in self.scales
            )
        )


OPERATOR = Concat


def side_by_side(name: str, sources: tuple[str, ...], zero_point: int = 0) -> Concat:
    """The concatenation of tensors of one scale, whatever that is: no byte changes."""
    scale = (-zero_point, IDENTITY.multiplier, IDENTITY.shift)
    bias, multiplier, shift = ((value,) * len(sources) for value in scale)
    return Concat(name, sources[0], sources[1:], bias, multiplier, shift, zero_point)


def integer_concat(
    name: str,
    sources: tuple[str, ...],
    inputs: tuple[Quantisation, ...],
    *,
    output: Quantisation,
    lo: float = -inf,
    hi: float = inf,
) -> Concat:
    """The concatenation in integers."""
    scales = [scalars(name, input.scale / output.scale, output, lo, hi) for input in inputs]
    multiplier, shift = (tuple(scale.pop(what) for scale in scales) for what in ("multiplier", "shift"))
    bias = tuple(-input.zero_point for input in inputs)
    return Concat(name, sources[0], sources[1:], bias, multiplier, shift, **scales[0])
