"""Channels that become pixels: pixel shuffle."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.layer import Layer
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.network.operators.cut import Cut
from deeplock.pymodel.network.operators.interleave import Interleave
from deeplock.pymodel.spec.tensor import Shape

__all__ = ["OPERATOR", "DepthToSpace"]


@dataclass(frozen=True)
class DepthToSpace(Layer):
    """The channels of a pixel become `size` x `size` pixels.

    apart  1: a channel's pixels lie side by side among the source's channels, as PyTorch's pixel shuffle has it (ONNX: CRD);
           0: those of one pixel do (ONNX: DCR)
    """

    kind = "depth_to_space"
    mapping = (
        "a convolution right before it, which nothing else reads, becomes one for each row of a block, with its channels in "
        "order, and rows are then copied as for `interleave`; else the channels of each row are copied first, which PyTorch's "
        "order of channels does not allow"
    )
    size: int
    apart: int = 0

    def rules(self) -> Iterator[tuple[str, bool]]:
        yield "size", self.size >= 1 and self.apart in (0, 1)

    def fits(self, shape: Shape) -> bool:
        return shape[2] % self.size**2 == 0

    def output_shape(self, shape: Shape) -> Shape:
        return shape[0] * self.size, shape[1] * self.size, shape[2] // self.size**2

    def reads(self, wanted: np.ndarray, shape: Shape) -> tuple[np.ndarray]:
        return (np.logical_or.reduce(wanted.reshape(shape[0], self.size, shape[1], self.size), (1, 3)),)

    def _places(self, channels: int) -> np.ndarray:
        """The source's channel of each place of a block: int [size, size, channels of the output]."""
        size, numbers = self.size, np.arange(channels)
        if self.apart:
            return numbers.reshape(-1, size, size).transpose(1, 2, 0)
        return numbers.reshape(size, size, -1)

    def run(self, ifmaps: np.ndarray) -> np.ndarray:
        count, height, width, channels = ifmaps.shape
        blocks = ifmaps[..., self._places(channels)]  # [n, height, width, size, size, out]
        return blocks.swapaxes(2, 3).reshape(count, height * self.size, width * self.size, -1)

    def stages(self, shape: Shape) -> tuple[Layer, ...]:
        if self.apart and self.size > 1:
            raise DeeplockError(
                f"layer {self.name}: pixels that lie side by side among the channels must be those of a convolution right "
                "before it, which nothing else reads"
            )
        share = shape[2] // self.size
        rows = [Cut(f"{self.name} row {row}", self.source, row * share, share) for row in range(self.size)]
        return *rows, self._joined(rows, shape)

    def behind(self, before: Layer, shape: Shape) -> tuple[Layer, ...] | None:
        if not isinstance(before, Conv):
            return None
        rows = []
        for number, places in enumerate(self._places(len(before.weight))):
            here = places.ravel()
            fields = ("weight", "bias", "multiplier", "shift")
            own = {name: getattr(before, name)[here] for name in fields}
            rows.append(replace(before, name=f"{before.name} row {number}", **own))
        return *rows, self._joined(rows, before.output_shape(shape))

    def _joined(self, rows: list, shape: Shape) -> Interleave:
        """What the layers of each row of a block make, from pixels of all of its columns.

        shape  of the source
        """
        first, *others = (row.name for row in rows)
        return Interleave(self.name, first, tuple(others), self.size, *self.output_shape(shape)[:2])


OPERATOR = DepthToSpace
