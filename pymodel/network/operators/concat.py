"""Concatenation along channels."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from deeplock.pymodel.network.layer import Layer
from deeplock.pymodel.network.lowering import Joined
from deeplock.pymodel.spec.tensor import Shape

__all__ = ["OPERATOR", "Concat"]


@dataclass(frozen=True)
class Concat(Layer):
    """The channels of its sources, one source after the other. All have one scale and zero point."""

    kind = "concat"
    others: tuple[str, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.source, *self.others)

    def rules(self) -> Iterator[tuple[str, bool]]:
        yield "others", len(self.others) >= 1

    def fits(self, *shapes: Shape) -> bool:
        return len({shape[:2] for shape in shapes}) == 1

    def output_shape(self, *shapes: Shape) -> Shape:
        return *shapes[0][:2], sum(shape[2] for shape in shapes)

    def run(self, *ifmaps: np.ndarray) -> np.ndarray:
        return np.concatenate(ifmaps, axis=3)

    def lower(self) -> Joined:
        return Joined()


OPERATOR = Concat
