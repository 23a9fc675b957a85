"""Shape of a tensor, and the real numbers that its bytes stand for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deeplock.pymodel.errors import DeeplockError

__all__ = ["Padding", "Pixels", "Quantisation", "Shape", "halves_of_same", "least_stride", "span_of", "windows_of"]

Padding = tuple[int, int, int, int]
"""Pixels (top, left, bottom, right) around a tensor."""

Shape = tuple[int, int, int]
"""(height, width, channels)"""


def span_of(kernel: tuple[int, int], dilation: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the pixels from a kernel's first to its last one, which lie `dilation` apart."""
    return (kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1


def windows_of(
    shape: Shape, kernel: tuple[int, int], stride: tuple[int, int], padding: Padding = (0, 0, 0, 0)
) -> tuple[int, int]:
    """Windows (down, across) of a padded tensor; all pairs are (height, width)."""
    tall, wide = _spans(shape, kernel, padding)
    return tall // stride[0] + 1, wide // stride[1] + 1


def halves_of_same(sizes: Sequence[int], kernel: Sequence[int], stride: Sequence[int]) -> tuple[list[int], list[int]]:
    """The halves of the padding "same" in each dimension, the smaller ones first: an output for each `stride` pixels.

    kernel  pixels under it, in each dimension
    """
    totals = [
        max((-(-size // step) - 1) * step + each - size, 0)
        for size, each, step in zip(sizes, kernel, stride, strict=True)
    ]
    return [total // 2 for total in totals], [total - total // 2 for total in totals]


def least_stride(
    shape: Shape, kernel: tuple[int, int], stride: tuple[int, int], padding: Padding = (0, 0, 0, 0)
) -> tuple[int, int]:
    """The stride, or the least one that gives the same windows: where there is only one, it need not be large."""
    tall, wide = _spans(shape, kernel, padding)
    return min(stride[0], max(tall, 0) + 1), min(stride[1], max(wide, 0) + 1)


def _spans(shape: Shape, kernel: tuple[int, int], padding: Padding) -> tuple[int, int]:
    """Pixels from the first window's corner to the last possible one's."""
    top, left, bottom, right = padding
    return shape[0] + top + bottom - kernel[0], shape[1] + left + right - kernel[1]


@dataclass(frozen=True)
class Quantisation:
    """Real value = scale * (q - zero_point), q int8."""

    scale: float
    zero_point: int

    def quantise(self, real: np.ndarray) -> np.ndarray:
        """int8, same shape: clamp(round(real / scale) + zero_point, -128, 127), halves to even, in float64."""
        q = np.rint(real.astype(np.float64) / self.scale) + self.zero_point
        return np.clip(q, -128, 127).astype(np.int8)

    def dequantise(self, q: np.ndarray) -> np.ndarray:
        """Real numbers float64, same shape, from int8."""
        return self.scale * (q.astype(np.float64) - self.zero_point)


@dataclass(frozen=True)
class Pixels:
    """How raw pixels 0..255 map to real values: (pixel - zero) / one, with one number for all channels or one for each."""

    zero: tuple[float, ...] = (0.0,)
    one: tuple[float, ...] = (255.0,)

    @staticmethod
    def of(fields: "dict[str, list[float]] | None") -> "Pixels | None":
        """From its JSON form; None stays None."""
        return Pixels(**{name: tuple(map(float, values)) for name, values in fields.items()}) if fields else None

    @staticmethod
    def normalised(mean: Sequence[float] | None, std: Sequence[float] | None) -> "Pixels":
        """(pixel / 255 - mean) / std, with one number for all channels or one for each. None: 0 and 1."""
        mean, std = mean or (0.0,), std or (1.0,)
        if not all(value > 0 for value in std):
            raise DeeplockError(f"--std must be above 0, not {min(std)}")
        return Pixels(tuple(255 * value for value in mean), tuple(255 * value for value in std))
