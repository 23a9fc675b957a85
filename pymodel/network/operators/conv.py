"""Convolution; a dense layer is one whose kernel is its whole input."""

from dataclasses import dataclass

import numpy as np

from deeplock.pymodel.network.convolution import Convolution
from deeplock.pymodel.network.golden import accumulate
from deeplock.pymodel.network.lowering import Streamed
from deeplock.pymodel.spec.entry import Entries
from deeplock.pymodel.spec.tensor import Shape

__all__ = ["OPERATOR", "Conv"]


@dataclass(frozen=True, eq=False)
class Conv(Convolution):
    """Convolution or dense layer: each output channel reads all input channels. weight: int8 [out, height, width, in]."""

    kind = "conv"
    mapping = (
        "kernel rows are read as runs of words; the feeder pads. With dilation, each pixel is a run, and a step copies the "
        "input with its rows of padding, if it has any"
    )

    def fits(self, shape: Shape) -> bool:
        return shape[2] == self.weight.shape[3]

    def sums(self, columns: np.ndarray) -> np.ndarray:
        return accumulate(columns.reshape(*columns.shape[:3], -1), self.weight.reshape(len(self.weight), -1).T)

    def streamed(self, entries: Entries) -> Streamed:
        out, tall, wide, channels = self.weight.shape
        return Streamed(self.weight.reshape(out, tall * wide, channels), entries)


OPERATOR = Conv
