"""Grouped convolution."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from deeplock.pymodel.network.convolution import Convolution
from deeplock.pymodel.network.golden import accumulate
from deeplock.pymodel.network.lowering import Lowered, Streamed
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.network.operators.depthwise import Depthwise
from deeplock.pymodel.spec.entry import Entries
from deeplock.pymodel.spec.tensor import Shape

__all__ = ["OPERATOR", "Grouped", "conv_of_groups"]


@dataclass(frozen=True, eq=False)
class Grouped(Convolution):
    """Each of `groups` equal parts of the output channels reads its own part of the input channels.

    weight  int8 [out, height, width, in / groups]
    """

    kind = "grouped"
    mapping = (
        "each group is a convolution of its own, which reads and writes its channels of the whole tensors: no zero weights. "
        "Words and columns are filled by one group alone. Groups of one channel that make several, as those of a channel "
        "multiplier, use one row of the array"
    )
    groups: int = 1

    def rules(self) -> Iterator[tuple[str, bool]]:
        yield from super().rules()
        yield "groups", self.groups >= 1 and len(self.weight) % self.groups == 0

    def fits(self, shape: Shape) -> bool:
        return shape[2] == self.groups * self.weight.shape[3]

    def sums(self, columns: np.ndarray) -> np.ndarray:
        inputs = np.split(columns, self.groups, axis=-1)
        weights = np.split(self.weight.reshape(len(self.weight), -1), self.groups)
        parts = [
            accumulate(each.reshape(*each.shape[:3], -1), weight.T)
            for each, weight in zip(inputs, weights, strict=True)
        ]
        return np.concatenate(parts, axis=-1)

    def streamed(self, entries: Entries) -> Streamed:
        out, tall, wide, channels = self.weight.shape
        return Streamed(self.weight.reshape(out, tall * wide, channels), entries)

    def lower(self) -> Lowered:
        return replace(super().lower(), groups=self.groups)


OPERATOR = Grouped


def conv_of_groups(groups: int, channels: int, out: int) -> tuple[type[Convolution], dict[str, int]]:
    """The operator of a convolution from so many channels to `out`, and what it takes beside the fields of all."""
    if groups == 1:
        return Conv, {}
    return (Depthwise, {}) if groups == channels == out else (Grouped, {"groups": groups})
