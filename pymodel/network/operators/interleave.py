"""Rows of several tensors in turn."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from deeplock.pymodel.network.layer import Layer
from deeplock.pymodel.network.lowering import Interleaved
from deeplock.pymodel.spec.tensor import Shape

__all__ = ["OPERATOR", "Interleave"]


@dataclass(frozen=True)
class Interleave(Layer):
    """A row of each source in turn. Every pixel of a source holds `across` pixels of a row, one after the other.

    height, width  of its output: rows and pixels behind these are dropped
    """

    kind = "interleave"
    mapping = (
        "what transposed convolutions and the like end with: its rows are copied by diagonal layers, one for each source, to "
        "which a row is one pixel of many channels; no work, if there is one source and nothing is dropped"
    )
    others: tuple[str, ...]
    across: int
    height: int
    width: int

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.source, *self.others)

    def rules(self) -> Iterator[tuple[str, bool]]:
        yield "sizes", min(self.across, self.height, self.width) >= 1

    def fits(self, *shapes: Shape) -> bool:
        height, width, channels = shapes[0]
        large = height * len(shapes) >= self.height and width * self.across >= self.width
        return len(set(shapes)) == 1 and channels % self.across == 0 and large

    def output_shape(self, *shapes: Shape) -> Shape:
        return self.height, self.width, shapes[0][2] // self.across

    def reads(self, wanted: np.ndarray, *shapes: Shape) -> tuple[np.ndarray, ...]:
        height, width, _ = shapes[0]
        whole = np.zeros((height, len(shapes), width, self.across), bool)
        rows = whole.reshape(height * len(shapes), -1)  # a view
        rows[: self.height, : self.width] = wanted
        return tuple(np.logical_or.reduce(whole, 3).swapaxes(0, 1))

    def run(self, *ifmaps: np.ndarray) -> np.ndarray:
        count, height, width, channels = ifmaps[0].shape
        rows = np.stack(ifmaps, axis=2)
        pixels = rows.reshape(count, height * len(ifmaps), width * self.across, channels // self.across)
        return pixels[:, : self.height, : self.width]

    def lower(self) -> Interleaved:
        return Interleaved()


OPERATOR = Interleave
