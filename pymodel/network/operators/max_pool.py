"""Maximum over windows."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from deeplock.pymodel.network.golden import padded_with, pixels_read, windows
from deeplock.pymodel.network.layer import Layer
from deeplock.pymodel.network.lowering import Lowered
from deeplock.pymodel.spec.tensor import Padding, Shape, windows_of

__all__ = ["LEAST", "OPERATOR", "MaxPool"]

LEAST = -128
"""What padding reads as: it is never more than a pixel."""


@dataclass(frozen=True)
class MaxPool(Layer):
    """Maximum over windows, on int8; rows and columns that fill no window are dropped.

    kernel, stride  (height, width) and (down, right)
    padding         less than the kernel on each side, so that each window has a pixel
    """

    kind = "max_pool"
    mapping = (
        "part of the convolution before it, if windows do not overlap or share one column and nothing else reads the "
        "convolution; else a diagonal layer"
    )
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding = (0, 0, 0, 0)

    def rules(self) -> Iterator[tuple[str, bool]]:
        whole = len(self.kernel) == len(self.stride) == 2 and len(self.padding) == 4
        yield "kernel or stride", whole and min(*self.kernel, *self.stride) >= 1
        inside = all(0 <= each < size for each, size in zip(self.padding, self.kernel * 2, strict=True))
        yield "padding", whole and inside

    def output_shape(self, shape: Shape) -> Shape:
        return *windows_of(shape, self.kernel, self.stride, self.padding), shape[2]

    def reads(self, wanted: np.ndarray, shape: Shape) -> tuple[np.ndarray]:
        return (pixels_read(wanted, shape, self.kernel, self.stride, self.padding),)

    def run(self, ifmaps: np.ndarray) -> np.ndarray:
        return windows(padded_with(ifmaps, self.padding, LEAST), self.kernel, self.stride).max(axis=(3, 4))

    def lower(self) -> Lowered:
        pads = {"padding": self.padding, "pad_value": LEAST} if any(self.padding) else {}
        return Lowered(window=self.kernel, window_stride=self.stride, **pads)


OPERATOR = MaxPool
