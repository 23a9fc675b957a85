"""Finds calibration data whose outliers eat the range of a tensor: nearly all of its values then share a few of int8's codes.

A tensor is told if 32 of its 256 codes hold 99 % of its values, or every value of 95 % of the images (of fewer than 20: of
all but one). The first finds single values, the second whole pictures that are not like the others. In the five trained
networks that come with deeplock, over 256 training images, 99 % of a tensor's values take 59 codes or more, and 95 % of
the images 146 or more. Where the observer has cut an outlier off by itself, the range is used, and nothing is told.
"""

from dataclasses import dataclass

import numpy as np
import torch

from deeplock.pymodel.spec.tensor import Quantisation

__all__ = ["Codes", "Outliers"]

_FEW_CODES = 32
_VALUES = 0.99
_LEFT_OUT = 20
"""One image of so many may be unlike the others, and at least one."""


@dataclass(frozen=True)
class Outliers:
    """tensor  its name: `input` or a layer's
    low, high    the range of its quantisation, in real numbers
    share        of its values (0..1) that lie from `used_low` to `used_high`
    codes        of the 256 that these have
    """

    tensor: str
    low: float
    high: float
    share: float
    used_low: float
    used_high: float
    codes: int

    def __str__(self) -> str:
        return (
            f"calibration: {self.tensor} ranges over {self.low:.4g}..{self.high:.4g}, but {100 * self.share:.2f} % of its "
            f"values use {self.codes} of its 256 codes, {self.used_low:.4g}..{self.used_high:.4g}: look for outliers in the "
            "data"
        )


class Codes:
    """Counts the int8 codes of one tensor, over batches."""

    def __init__(self, quantisation: Quantisation) -> None:
        self._quantisation = quantisation
        self._counts = np.zeros(256, np.int64)
        self._extents: list[np.ndarray] = []

    def add(self, integers: torch.Tensor) -> None:
        """integers  [n, ...], int8 values"""
        codes = integers.reshape(len(integers), -1).numpy().clip(-128, 127).astype(np.int64) + 128
        self._counts += np.bincount(codes.reshape(-1), minlength=256)
        self._extents.append(np.stack([codes.min(1), codes.max(1)], 1))

    def outliers(self, tensor: str) -> Outliers | None:
        """What to tell of the tensor of that name, if anything."""
        low, high = min(self._of_values(), self._of_images(), key=lambda band: band[1] - band[0])
        share = self._counts[low : high + 1].sum() / self._counts.sum()
        if high - low + 1 > _FEW_CODES or share == 1:  # a tensor of equal values has no outlier
            return None
        edges = self._quantisation.dequantise(np.array([0, 255, low, high]) - 128).tolist()
        return Outliers(tensor, edges[0], edges[1], float(share), edges[2], edges[3], high - low + 1)

    def _of_values(self) -> tuple[int, int]:
        """First and last code of the narrowest band that holds `_VALUES` of the values."""
        sums = np.concatenate([[0], self._counts.cumsum()])
        ends = np.searchsorted(sums, sums[:-1] + np.ceil(_VALUES * sums[-1]))  # for each first code
        bands = [(first, int(end) - 1) for first, end in enumerate(ends) if end <= 256]
        return min(bands, key=lambda band: band[1] - band[0])

    def _of_images(self) -> tuple[int, int]:
        """First and last code of the images without the least alike."""
        extents = np.concatenate(self._extents)
        middle = np.searchsorted(self._counts.cumsum(), self._counts.sum() / 2)
        order = np.abs(extents - middle).max(1).argsort()
        kept = extents[order[: len(extents) - max(1, len(extents) // _LEFT_OUT)]]
        return (int(kept[:, 0].min()), int(kept[:, 1].max())) if len(kept) else (0, 255)
