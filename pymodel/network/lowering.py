"""What the hardware does for a layer, whatever the accelerator's size: each operator says it, the compiler plans with it."""

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from deeplock.pymodel.spec.entry import Entries

__all__ = ["IDENTITY", "Diagonal", "Lowered", "Streamed"]


@dataclass(frozen=True, eq=False)
class Streamed:
    """Weights int8 [out, kernel positions, channels] and an entry for each output channel, from the parameter stream."""

    weight: np.ndarray
    entries: Entries

    def reach(self, positions: int) -> int:
        """What |accumulator + bias| cannot exceed at so many kernel positions, whatever the ifmap.

        The bias has the input's zero point in it, and padding reads as that zero point: both are in the bound.
        """
        weights = np.abs(self.weight.astype(np.int64)).reshape(len(self.weight), -1).sum(axis=1)
        return int((128 * weights + np.abs(self.entries.bias.astype(np.int64))).max())


@dataclass(frozen=True)
class Diagonal:
    """Each output channel reads its own input channel only, all with one weight and one entry, from the descriptor.

    first, others  weight at the first kernel position and at the others, 1..127
    """

    first: int
    others: int
    bias: int
    multiplier: int
    shift: int

    def reach(self, positions: int) -> int:
        """As of Streamed. An addition stays below 2**17, and an average below 2**23 for windows of fewer than 2**15 pixels."""
        return 128 * (self.first + (positions - 1) * self.others) + abs(self.bias)


IDENTITY = Diagonal(1, 1, bias=0, multiplier=1 << 15, shift=15)
"""2**15 * q / 2**15"""


@dataclass(frozen=True)
class Lowered:
    """Products over a kernel, summed, requantised, then the maximum over a window. What is left out does nothing.

    kernel   height and width. Of a layer with two sources it is (2, 1): row 0 reads one tensor, row 1 the other
    stride   of the kernel in pixels
    padding  in pixels, (top, left, bottom, right), which read as `pad_value`
    window   size and stride of the pooling window, in pixels of what the kernel makes
    """

    weights: Streamed | Diagonal = IDENTITY
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    pad_value: int = 0
    zero_point: int = 0
    lo: int = -128
    hi: int = 127
    window: tuple[int, int] = (1, 1)

    @property
    def only_pools(self) -> bool:
        """Whether it is nothing but the maximum over a window, which can then be part of the layer before it."""
        return replace(self, window=(1, 1)) == Lowered()

    @property
    def reach(self) -> int:
        """What |accumulator + bias| cannot exceed, whatever the ifmap."""
        return self.weights.reach(prod(self.kernel))
