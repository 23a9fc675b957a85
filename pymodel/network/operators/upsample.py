"""Nearest-neighbour upsampling."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from deeplock.pymodel.network.layer import Layer
from deeplock.pymodel.network.operators.concat import side_by_side
from deeplock.pymodel.network.operators.interleave import Interleave
from deeplock.pymodel.spec.tensor import Shape

__all__ = ["OPERATOR", "Upsample"]


@dataclass(frozen=True)
class Upsample(Layer):
    """Each pixel becomes `factors` ones, (down, right)."""

    kind = "upsample"
    mapping = (
        "each pixel is copied beside itself, as a concatenation of the tensor and itself; then each row below itself, as by "
        "`interleave`"
    )
    factors: tuple[int, int]

    def rules(self) -> Iterator[tuple[str, bool]]:
        yield "factors", len(self.factors) == 2 and min(self.factors) >= 1

    def output_shape(self, shape: Shape) -> Shape:
        return shape[0] * self.factors[0], shape[1] * self.factors[1], shape[2]

    def reads(self, wanted: np.ndarray, shape: Shape) -> tuple[np.ndarray]:
        down, right = self.factors
        return (np.logical_or.reduce(wanted.reshape(shape[0], down, shape[1], right), (1, 3)),)

    def run(self, ifmaps: np.ndarray) -> np.ndarray:
        return ifmaps.repeat(self.factors[0], 1).repeat(self.factors[1], 2)

    def stages(self, shape: Shape) -> tuple[Layer, ...]:
        down, right = self.factors
        height, width, _ = self.output_shape(shape)
        stages, rows = (), self.source
        if right > 1:
            stages = (side_by_side(f"{self.name} in rows", (self.source,) * right),)
            rows = stages[0].name
        return *stages, Interleave(self.name, rows, (rows,) * (down - 1), right, height, width)


OPERATOR = Upsample
