"""Maximum over windows."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from deeplock.pymodel.network.golden import padded_with, pixels_read, windows
from deeplock.pymodel.network.layer import Layer
from deeplock.pymodel.network.lowering import Lowered
from deeplock.pymodel.spec.descriptor import Descriptor
from deeplock.pymodel.spec.tensor import Padding, Shape, windows_of

__all__ = ["LEAST", "OPERATOR", "MaxPool"]

LEAST = -128
"""What padding reads as: it is never more than a pixel."""
_MOST_WINDOW = Descriptor.layout.fields["pool_w"].range[1]


@dataclass(frozen=True)
class MaxPool(Layer):
    """Maximum over windows, on int8; rows and columns that fill no window are dropped.

    kernel, stride  (height, width) and (down, right)
    padding         less than the kernel on each side, so that each window has a pixel
    """

    kind = "max_pool"
    mapping = (
        "part of the convolution before it, if windows do not overlap or share one column and nothing else reads the "
        "convolution; else a diagonal layer. Windows of more than 15 pixels in a direction are pooled in two stages"
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

    def stages(self, shape: Shape) -> tuple["MaxPool", ...]:
        """Two, if its windows are wider than a descriptor's: maxima of smaller windows, then maxima of these."""
        split = zip(self.kernel, self.stride, self.output_shape(shape), strict=False)
        (tall, down, high), (wide, right, broad) = (_stages(*sizes) for sizes in split)
        if (high, broad) == (1, 1):
            return (self,)
        first = replace(self, name=f"{self.name} first", kernel=(tall, wide), stride=(down, right))
        then = self.stride[0] // down, self.stride[1] // right
        return first, MaxPool(self.name, first.name, (high, broad), (max(1, then[0]), max(1, then[1])))

    def lower(self) -> Lowered:
        pads = {"padding": self.padding, "pad_value": LEAST} if any(self.padding) else {}
        return Lowered(window=self.kernel, window_stride=self.stride, **pads)


OPERATOR = MaxPool


def _stages(window: int, stride: int, count: int) -> tuple[int, int, int]:
    """Of `count` windows in one direction: size and stride of the first stage's, and how many of these make one of them.

    As it is, if it is small enough or nothing fits.
    """
    if window <= _MOST_WINDOW:
        return window, stride, 1
    found = [
        (size - step, size + (window - size) // step, size, step)
        for size in range(2, _MOST_WINDOW + 1)
        for step in range(1, size + 1)
        if (window - size) % step == 0 and (window - size) // step < _MOST_WINDOW and (count == 1 or stride % step == 0)
    ]
    if not found:
        return window, stride, 1
    _, _, size, step = min(found)
    return size, step, (window - size) // step + 1
