"""Some of a tensor's channels."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from deeplock.pymodel.network.layer import Layer
from deeplock.pymodel.network.lowering import Within
from deeplock.pymodel.spec.tensor import Shape

__all__ = ["OPERATOR", "Cut"]


@dataclass(frozen=True)
class Cut(Layer):
    """`channels` channels of its source, from channel `first` on: what a slice or a split along channels gives."""

    kind = "cut"
    mapping = "no work: what reads it reads these channels of the whole tensor"
    first: int
    channels: int

    def rules(self) -> Iterator[tuple[str, bool]]:
        yield "channels", self.first >= 0 and self.channels >= 1

    def fits(self, shape: Shape) -> bool:
        return self.first + self.channels <= shape[2]

    def output_shape(self, shape: Shape) -> Shape:
        return *shape[:2], self.channels

    def run(self, ifmaps: np.ndarray) -> np.ndarray:
        return ifmaps[..., self.first : self.first + self.channels]

    def lower(self) -> Within:
        return Within(self.first)


OPERATOR = Cut
