"""Maximum over windows."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from deeplock.pymodel.network.golden import pixels_read, windows
from deeplock.pymodel.network.layer import Layer
from deeplock.pymodel.network.lowering import Lowered
from deeplock.pymodel.spec.tensor import Shape

__all__ = ["OPERATOR", "MaxPool"]


@dataclass(frozen=True)
class MaxPool(Layer):
    """Maximum over square windows, on int8; no padding; rows and columns that fill no window are dropped."""

    kind = "max_pool"
    kernel: int
    stride: int

    def rules(self) -> Iterator[tuple[str, bool]]:
        yield "kernel or stride", self.kernel >= 1 and self.stride >= 1

    def output_shape(self, shape: Shape) -> Shape:
        height, width, channels = shape
        return (height - self.kernel) // self.stride + 1, (width - self.kernel) // self.stride + 1, channels

    def reads(self, wanted: np.ndarray, shape: Shape) -> tuple[np.ndarray]:
        return (pixels_read(wanted, shape, (self.kernel, self.kernel), self.stride),)

    def run(self, ifmaps: np.ndarray) -> np.ndarray:
        return windows(ifmaps, (self.kernel, self.kernel), self.stride).max(axis=(3, 4))

    def lower(self) -> Lowered:
        return Lowered(window=(self.kernel, self.kernel), window_stride=(self.stride, self.stride))


OPERATOR = MaxPool
