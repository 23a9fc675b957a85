"""Transposed convolution."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from math import inf
from operator import attrgetter
from typing import NamedTuple, Self

import numpy as np

from deeplock.pymodel.network.convolution import prove_sums, scaled
from deeplock.pymodel.network.fixed_point import output_rules
from deeplock.pymodel.network.golden import accumulate, requantise
from deeplock.pymodel.network.layer import Layer, Weighted
from deeplock.pymodel.network.operators.concat import side_by_side
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.network.operators.interleave import Interleave
from deeplock.pymodel.spec.tensor import Padding, Quantisation, Shape

__all__ = ["OPERATOR", "Transposed", "fault_of"]


class _Window(NamedTuple):
    """What a phase reads: the outputs `phase`, `phase` + stride, ... along an axis. Output `phase` + n * stride reads the
    inputs from n - `before` on.

    taps  places in the kernel, one for each of these inputs
    """

    taps: list[int]
    before: int

    @staticmethod
    def of(phase: int, kernel: int, stride: int, cut: int) -> "_Window":
        """cut: outputs that are cut off before the first one."""
        beyond, first = divmod(phase + cut, stride)
        taps = list(range(first, kernel, stride))[::-1]
        return _Window(taps, len(taps) - 1 - beyond)

    @property
    def inputs(self) -> tuple[int, int]:
        """Equal for phases that read the same inputs."""
        return len(self.taps), self.before

    def padding(self, size: int, blocks: int) -> tuple[int, int]:
        """Pixels before and behind an input of this size, for so many outputs."""
        return self.before, blocks - 1 - self.before + len(self.taps) - size


def fault_of(kernel: tuple[int, int], stride: tuple[int, int], padding: Padding) -> str:
    """What of a transposed convolution the accelerator does not have, as a message says it; else "". Arguments: as fields."""
    if any(size < step for size, step in zip(kernel, stride, strict=True)):
        return f"its kernel must be at least as large as its stride, not {list(kernel)} and {list(stride)}"
    most = [size - step for size, step in zip(kernel, stride, strict=True)]
    least = (0, 0, 1 - stride[0], 1 - stride[1])
    if not all(low <= each <= high for low, each, high in zip(least, padding, most * 2, strict=True)):
        return f"its padding must be at most {most}, kernel minus stride, not top, left, bottom, right {list(padding)}"
    return ""


@dataclass(frozen=True, eq=False)
class Transposed(Weighted):
    """Each input pixel adds its products with the kernel to the output pixels from its place times the stride on.

    Accumulate in int32, add the bias, requantise, clamp (ReLU is in `lo` and `hi`).

    weight   int8 [out, kernel height, kernel width, in]
    bias     int32 [out] as it is: pixels of the output read different numbers of inputs, so no zero point is folded in
    stride   in pixels of the output: (down, right), at most the kernel
    padding  pixels that are cut off around the output: (top, left, bottom, right), at most kernel minus stride; bottom and
             right may be negative, which adds pixels
    """

    kind = "transposed"
    mapping = (
        "each place of a pixel in its block of stride x stride is a convolution of its own, of every stride-th row and column "
        "of the kernel: no zero weights, no products with zeros. Places of a row that read the same pixels, as where kernel "
        "and stride are equal, are one convolution. All write their pixels side by side, as for `concat`; then rows are copied "
        "as for `interleave`"
    )
    stride: tuple[int, int]
    padding: Padding
    input_zero_point: int
    zero_point: int
    lo: int
    hi: int

    def rules(self) -> Iterator[tuple[str, bool]]:
        yield from super().rules()
        whole = len(self.stride) == 2 and len(self.padding) == 4
        _, tall, wide, _ = self.weight.shape
        yield "stride or padding", whole and not fault_of((tall, wide), self.stride, self.padding)
        yield "zero point", -128 <= self.input_zero_point <= 127
        yield from output_rules(self.zero_point, self.lo, self.hi)

    def fits(self, shape: Shape) -> bool:
        return shape[2] == self.weight.shape[3]

    def _whole(self, shape: Shape) -> tuple[int, int]:
        """Height and width of the output before it is cut."""
        sizes = zip(shape, self.weight.shape[1:3], self.stride, strict=False)
        height, width = ((size - 1) * step + kernel for size, kernel, step in sizes)
        return height, width

    def output_shape(self, shape: Shape) -> Shape:
        (height, width), (top, left, bottom, right) = self._whole(shape), self.padding
        return height - top - bottom, width - left - right, len(self.weight)

    def reads(self, wanted: np.ndarray, shape: Shape) -> tuple[np.ndarray]:
        height, width = self._whole(shape)
        top, left, bottom, right = self.padding
        whole = np.pad(wanted, ((top, max(bottom, 0)), (left, max(right, 0))))[:height, :width]
        _, tall, wide, _ = self.weight.shape
        windows = np.lib.stride_tricks.sliding_window_view(whole, (tall, wide))
        return (np.logical_or.reduce(windows[:: self.stride[0], :: self.stride[1]], (2, 3)),)

    def run(self, ifmaps: np.ndarray) -> np.ndarray:
        count, height, width, channels = ifmaps.shape
        (out, tall, wide, _), (down, right) = self.weight.shape, self.stride
        shape = self.output_shape((height, width, channels))
        top, left = self.padding[:2]
        whole = np.zeros((count, top + shape[0] + tall, left + shape[1] + wide, out), np.int64)
        pixels = ifmaps.astype(np.int64) - self.input_zero_point
        for y, x in np.ndindex(tall, wide):
            places = slice(y, y + (height - 1) * down + 1, down), slice(x, x + (width - 1) * right + 1, right)
            whole[:, *places] += accumulate(pixels, self.weight[:, y, x].T)
        sums = whole[:, top : top + shape[0], left : left + shape[1]]
        return requantise(sums, self.bias, self.multiplier, self.shift, self.zero_point, self.lo, self.hi)

    def _windows(self) -> tuple[list[_Window], list[_Window]]:
        """Of each phase, down and right."""
        axes = zip(self.weight.shape[1:3], self.stride, self.padding, strict=False)
        down, right = (
            [_Window.of(phase, kernel, stride, cut) for phase in range(stride)] for kernel, stride, cut in axes
        )
        return down, right

    def macs(self, wanted: np.ndarray) -> int:
        taps = [
            [len(windows[number % len(windows)].taps) for number in range(size)]
            for windows, size in zip(self._windows(), wanted.shape, strict=True)
        ]
        return int(np.array(taps[0]) @ wanted @ np.array(taps[1])) * len(self.weight) * self.weight.shape[3]

    def stages(self, shape: Shape) -> tuple[Layer, ...]:
        height, width, _ = self.output_shape(shape)
        down, right = self._windows()
        blocks = -(-height // len(down)), -(-width // len(right))
        found, rows = [], []
        for row, vertical in enumerate(down):
            parts, column = [], 0
            for _, alike in groupby(right, attrgetter("inputs")):
                windows = list(alike)
                parts.append(self._phase(f"{self.name} phase {row} {column}", vertical, windows, shape, blocks))
                column += len(windows)
            found += parts
            if len(parts) > 1:
                found.append(
                    side_by_side(f"{self.name} row {row}", tuple(part.name for part in parts), self.zero_point)
                )
            rows.append(found[-1].name)
        return *found, Interleave(self.name, rows[0], tuple(rows[1:]), len(right), height, width)

    def _phase(self, name: str, down: _Window, right: list[_Window], shape: Shape, blocks: tuple[int, int]) -> Conv:
        """The convolution that makes of each block the pixels side by side whose windows these are; they read the same inputs.

        shape   of the source
        blocks  their number, down and right
        """
        (top, bottom), (left, after) = down.padding(shape[0], blocks[0]), right[0].padding(shape[1], blocks[1])
        weight = np.concatenate([self.weight[:, down.taps][:, :, each.taps] for each in right])
        sums = weight.sum(axis=(1, 2, 3), dtype=np.int64)
        return Conv(
            name,
            self.source,
            weight,
            (np.tile(self.bias, len(right)) - self.input_zero_point * sums).astype(np.int32),
            np.tile(self.multiplier, len(right)),
            np.tile(self.shift, len(right)),
            stride=(1, 1),
            padding=(top, left, bottom, after),
            input_zero_point=self.input_zero_point,
            zero_point=self.zero_point,
            lo=self.lo,
            hi=self.hi,
        )

    @classmethod
    def integer(
        cls,
        name: str,
        source: str,
        weight: np.ndarray,
        weight_scale: np.ndarray,
        bias: np.ndarray,
        input: Quantisation,
        *,
        output: Quantisation,
        stride: tuple[int, int],
        padding: Padding,
        lo: float = -inf,
        hi: float = inf,
    ) -> Self:
        """The layer in integers; arguments as of `Convolution.integer`."""
        scales = scaled(name, input.scale * weight_scale, bias, output, lo, hi)
        sizes = np.abs(weight.reshape(len(weight), -1).astype(np.int64)).sum(1)
        prove_sums(name, 256 * sizes + np.abs(scales["bias"]))
        scales["bias"] = scales["bias"].astype(np.int32)
        weight = np.ascontiguousarray(weight)
        return cls(name, source, weight, stride=stride, padding=padding, input_zero_point=input.zero_point, **scales)


OPERATOR = Transposed
