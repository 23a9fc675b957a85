"""Shape of a tensor, and the real numbers that its bytes stand for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Self

import numpy as np

from deeplock.pymodel.errors import DeeplockError

__all__ = [
    "Output", "Padding", "Pixels", "Quantisation", "Shape",
    "halves_of_same", "least_stride", "span_of", "split_outputs", "windows_of",
]  # fmt: skip

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


@dataclass(frozen=True)
class Output:
    """One of several outputs of a network: the name of the layer that gives it, and what its bytes are."""

    name: str
    shape: Shape
    quantisation: Quantisation

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """From its JSON form, which is that of `dataclasses.asdict`."""
        return cls(fields["name"], tuple(fields["shape"]), Quantisation(**fields["quantisation"]))


def split_outputs(ofmaps: np.ndarray, outputs: Sequence[Output]) -> list[np.ndarray]:
    """Each output, int8 [n, height, width, channels], of ofmaps [n, 1, 1, bytes of all]."""
    ends = np.cumsum([prod(output.shape) for output in outputs])
    parts = np.split(ofmaps.reshape(len(ofmaps), -1), ends[:-1], axis=1)
    return [part.reshape(len(ofmaps), *output.shape) for part, output in zip(parts, outputs, strict=True)]
