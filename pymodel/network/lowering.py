"""How the hardware runs a layer, whatever the accelerator's size: operators define it, the compiler plans with it."""

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from deeplock.pymodel.spec.entry import Entries
from deeplock.pymodel.spec.tensor import Padding

__all__ = [
    "IDENTITY",
    "Channelwise", "Diagonal", "Gathered", "Interleaved", "Joined", "Lowered", "Product", "Streamed", "Within",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Streamed:
    """Weights int8 [out, kernel positions, channels] and an entry for each output channel, from the parameter stream."""

    weight: np.ndarray
    entries: Entries

    def reach(self, positions: int) -> int:
        """Bound of |accumulator + bias| for this number of kernel positions and any ifmap.

        It holds with padding too: the bias includes the input's zero point, and padding reads as that zero point.
        """
        weights = np.abs(self.weight.astype(np.int64)).reshape(len(self.weight), -1).sum(axis=1)
        return int((128 * weights + np.abs(self.entries.bias.astype(np.int64))).max())


@dataclass(frozen=True, eq=False)
class Channelwise(Streamed):
    """Weights int8 [channels, kernel positions, 1]: each output channel reads only its own input channel."""


@dataclass(frozen=True)
class Diagonal:
    """Each output channel reads only its own input channel. All share the weights and entry in the descriptor.

    first, others  weight at the first kernel position and at the others, 1..127
    """

    first: int
    others: int
    bias: int
    multiplier: int
    shift: int

    def reach(self, positions: int) -> int:
        """As `Streamed.reach`: below 2**17 for an addition, below 2**23 for an average over fewer than 2**15 pixels."""
        return 128 * (self.first + (positions - 1) * self.others) + abs(self.bias)


@dataclass(frozen=True)
class Product(Diagonal):
    """What is requantised is (a - zero_points[0]) * (b - zero_points[1]). The kernel reads a twice, then b twice: the sum is
    127 a - 128 a - 128 b - 128 b + bias = (127 - a) + 256 (127 - b), two bytes, of which the requantise lanes make the product.
    """

    zero_points: tuple[int, int]

    @classmethod
    def of(cls, zero_points: tuple[int, int], multiplier: int, shift: int) -> "Product":
        return cls(127, -128, 127 + 256 * 127, multiplier, shift, zero_points)

    def reach(self, positions: int) -> int:
        """As `Streamed.reach`; the product is one bit longer."""
        return (1 << 16) - 1


IDENTITY = Diagonal(1, 1, bias=0, multiplier=1 << 15, shift=15)
"""2**15 * q / 2**15"""


@dataclass(frozen=True)
class Lowered:
    """Sums of products over a kernel, requantised, looked up in a table, then the maximum over a window. Each default does
    nothing.

    kernel   height and width. With two sources its height is 2: row 0 reads one tensor, row 1 the other
    stride   of the kernel in pixels, vertical and horizontal
    padding  around the input; it reads as `pad_value`
    table    int8 [256] as bytes: what -128, -127 and so on become; b"": what they are
    window   height and width of the pooling window, in pixels of the kernel's output
    window_stride   its vertical and horizontal stride
    dilation  of the kernel in pixels, vertical and horizontal; 0: its columns read the same pixel
    groups   equal parts of the output channels, each of which reads its own part of the input channels
    """

    weights: Streamed | Diagonal = IDENTITY
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    pad_value: int = 0
    zero_point: int = 0
    lo: int = -128
    hi: int = 127
    table: bytes = b""
    window: tuple[int, int] = (1, 1)
    window_stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def mixes(self) -> bool:
        """Whether an output channel reads all input channels; else only its own."""
        return isinstance(self.weights, Streamed) and not isinstance(self.weights, Channelwise)

    @property
    def only_pools(self) -> bool:
        """Whether it is only the maximum over a window, so that it can be fused into the layer before it."""
        return replace(self, window=(1, 1), window_stride=(1, 1)) == Lowered()

    @property
    def only_maps(self) -> bool:
        """Whether it is only a table, so that it can be fused into the layer before it."""
        return bool(self.table) and replace(self, table=b"") == Lowered()

    @property
    def reach(self) -> int:
        """Bound of |accumulator + bias| for any ifmap."""
        return self.weights.reach(prod(self.kernel))

    def parts(self) -> "list[Lowered]":
        """What it does for each of its groups."""
        if self.groups == 1:
            return [self]
        assert isinstance(self.weights, Streamed)
        share = len(self.weights.weight) // self.groups
        return [replace(self.of_channels(number * share, share), groups=1) for number in range(self.groups)]

    def of_channels(self, first: int, count: int) -> "Lowered":
        """What it does for `count` of the output channels, from channel `first` on."""
        if not isinstance(self.weights, Streamed):
            return self
        here = slice(first, first + count)
        entries = Entries(*(values[here] for values in self.weights.entries))
        return replace(self, weights=replace(self.weights, weight=self.weights.weight[here], entries=entries))


@dataclass(frozen=True)
class Joined:
    """The sources lie side by side in its pixels, after what `sources` does to each; `Lowered()` is no work."""

    sources: tuple[Lowered, ...]


@dataclass(frozen=True)
class Interleaved:
    """Its rows are the first bytes of its sources' rows, a row of each source in turn."""


@dataclass(frozen=True)
class Within:
    """No work: its channels are those of its source from `first` on."""

    first: int


@dataclass(frozen=True)
class Gathered:
    """Its sources leave on the ofmap stream, one after the other."""
