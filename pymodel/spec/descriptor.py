"""The layer descriptor: one step of a program, and what its fields mean."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from deeplock.pymodel.spec.entry import ENTRY
from deeplock.pymodel.spec.layout import Field
from deeplock.pymodel.spec.record import Record

__all__ = ["MODULUS", "OPCODE", "Descriptor"]

OPCODE = 1
MODULUS = 1 << 16
"""Activation addresses wrap here, so that a step backwards is a step forwards modulo 2**16."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor(Record):
    """One layer as the accelerator runs it.

    For each group of up to `cols` output channels, the array takes the layer's k-blocks, one weight tile each. A k-block is
    up to `rows` channels at one kernel position. For each k-block, all pixels pass through the array, one pooling window
    after the other. A tile of the last group may be folded: several k-blocks lie side by side in it.
    """

    # weight loader
    kblocks: Annotated[
        int, Field(0, 15, 0, "blocks of up to `rows` weights per column: kernel positions x channel blocks")
    ]
    groups: Annotated[int, Field(0, 23, 16, "groups of up to `cols` output channels")]
    fold: Annotated[int, Field(0, 27, 24, "log2 of the k-blocks side by side in a tile of the last group")] = 0
    opcode: Annotated[int, Field(0, 31, 28, "1")] = OPCODE

    cblocks: Annotated[int, Field(1, 11, 0, "channel blocks per kernel position")]
    rows_last: Annotated[int, Field(1, 19, 12, "channels in the last channel block")]
    diagonal: Annotated[int, Field(1, 20, 20, "weights are diagonal, made on chip; nothing comes from the stream")] = 0

    diagonal_a: Annotated[int, Field(2, 7, 0, "diagonal weight of the first `cblocks` k-blocks", signed=True)] = 0
    diagonal_b: Annotated[int, Field(2, 15, 8, "diagonal weight of the others", signed=True)] = 0
    multiplier: Annotated[int, Field(2, 31, 16, "diagonal layers: requantise multiplier")] = 0
    bias: Annotated[int, Field(3, 23, 0, "diagonal layers: bias", signed=True)] = 0
    shift_1: Annotated[int, Field(3, 29, 24, "diagonal layers: requantise shift - 1")] = 0

    # window feeder
    source: Annotated[int, Field(4, 15, 0, "first activation word")]
    kernel_step: Annotated[int, Field(4, 31, 16, "from a kernel row's last word to the next row's first")]

    kernel_w: Annotated[int, Field(5, 7, 0)]
    kernel_h: Annotated[int, Field(5, 15, 8)]
    pool_w: Annotated[int, Field(5, 19, 16)]
    pool_h: Annotated[int, Field(5, 23, 20)]
    stride: Annotated[int, Field(5, 27, 24, "input pixels per output pixel")]
    group_step: Annotated[int, Field(5, 31, 28, "words from one group's source to the next's (diagonal layers)")] = 0

    out_w: Annotated[int, Field(6, 11, 0, "pooled output pixels per row")]
    out_h: Annotated[int, Field(6, 23, 12)]
    pad_value: Annotated[int, Field(6, 31, 24, "what padded pixels read as", signed=True)]

    in_w: Annotated[int, Field(7, 11, 0)]
    in_h: Annotated[int, Field(7, 23, 12)]
    window_stride: Annotated[int, Field(7, 31, 24, "input pixels from one pooling window to the next")]

    x0: Annotated[int, Field(8, 11, 0, "input column of the first window: -padding", signed=True)]
    y0: Annotated[int, Field(8, 23, 12, signed=True)]

    step_x: Annotated[int, Field(9, 15, 0, "words to the next pixel of a pooling window's row")]
    step_y: Annotated[int, Field(9, 31, 16, "words to the first pixel of a pooling window's next row")]
    step_window: Annotated[int, Field(10, 15, 0, "words from a window's last pixel to the next window's first")]
    step_row: Annotated[int, Field(10, 31, 16, "words from a row's last pixel to the next row's first")]

    wait_input: Annotated[int, Field(11, 0, 0, "wait for an unfolded ifmap")] = 0
    release_input: Annotated[int, Field(11, 1, 1, "after this layer the ifmap's words are free")] = 0
    to_stream: Annotated[int, Field(11, 2, 2, "write to the ofmap stream, not to the activation memory")]
    column_step: Annotated[
        int, Field(11, 18, 3, "words from a kernel column's last channel block to the next column's first")
    ]

    # requantise, pool, write
    destination: Annotated[int, Field(12, 15, 0, "first activation word")]
    pixel_words: Annotated[int, Field(12, 31, 16, "words from one output pixel to the next")]
    zero_point: Annotated[int, Field(13, 7, 0, signed=True)]
    lo: Annotated[int, Field(13, 15, 8, signed=True)]
    hi: Annotated[int, Field(13, 23, 16, signed=True)]
    last_columns: Annotated[int, Field(14, 7, 0, "channels of the last group")]
    narrow: Annotated[int, Field(14, 8, 8, "accumulator + bias is a 24-bit number")]

    @property
    def window(self) -> int:
        """Pixels of a pooling window."""
        return self.pool_w * self.pool_h

    @property
    def pixels(self) -> int:
        """Pixels that pass through the array for each k-block; the layer takes as many accumulators."""
        return self.out_w * self.out_h * self.window

    @property
    def sum_bits(self) -> int:
        """Bits to which accumulator + bias wraps."""
        return 24 if self.narrow else 32

    @property
    def pads(self) -> bool:
        """Whether a window reaches beyond the input."""
        for origin, size, out, pool, kernel in (
            (self.x0, self.in_w, self.out_w, self.pool_w, self.kernel_w),
            (self.y0, self.in_h, self.out_h, self.pool_h, self.kernel_h),
        ):
            last = origin + (out - 1) * self.window_stride + (pool - 1) * self.stride + kernel - 1
            if origin < 0 or last >= size:
                return True
        return False

    @property
    def features(self) -> set[str]:
        """The FEATURES (config.py) that an accelerator must have for the layer."""
        needs = {"padding": self.pads, "folding": self.fold, "diagonal": self.diagonal}
        return {name for name, needed in needs.items() if needed}

    def is_last(self, group: int) -> bool:
        return group == self.groups - 1

    def columns(self, group: int, cols: int) -> int:
        """Output channels of a group."""
        return self.last_columns if self.is_last(group) else cols

    def channels(self, cols: int) -> int:
        """Output channels."""
        return (self.groups - 1) * cols + self.last_columns

    def sides(self, group: int) -> int:
        """K-blocks side by side in a tile of a group."""
        return 1 << self.fold if self.is_last(group) else 1

    def block_rows(self, rows: int) -> list[int]:
        """Channels of every k-block, in order."""
        last = self.cblocks - 1
        return [self.rows_last if block % self.cblocks == last else rows for block in range(self.kblocks)]

    def tile_rows(self, group: int, rows: int) -> list[int]:
        """Rows of every tile of a group, in order."""
        sides = self.sides(group)
        if sides == 1:
            return self.block_rows(rows)
        return [self.rows_last if self.cblocks == 1 else rows] * -(-self.kblocks // sides)

    def group_bytes(self, group: int, rows: int, cols: int) -> int:
        """Bytes of the parameter stream that a group takes."""
        return 0 if self.diagonal else cols * (ENTRY.size + sum(self.tile_rows(group, rows)))

    def pixel_walk(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Address offset, input row and input column of every pixel of a k-block, in the order of issue."""
        window_y, window_x, y, x = np.indices((self.out_h, self.out_w, self.pool_h, self.pool_w)).reshape(4, -1)
        steps = np.full(self.pixels, self.step_x, np.int64)
        number = np.arange(1, self.pixels + 1)
        steps[number % self.pool_w == 0] = self.step_y
        steps[number % self.window == 0] = self.step_window
        steps[number % (self.window * self.out_w) == 0] = self.step_row
        return (
            np.cumsum(steps) - steps,
            self.y0 + window_y * self.window_stride + y * self.stride,
            self.x0 + window_x * self.window_stride + x * self.stride,
        )

    def reads(self, group: int) -> tuple[np.ndarray, np.ndarray]:
        """Activation words that the feeder reads for a group, int64 [pixels, kblocks], and whether each is inside the input.

        Words outside read as `pad_value`. Columns are k-blocks in the order of issue.
        """
        offset, y, x = self.pixel_walk()
        addresses, inside = [], []
        first = self.source + group * self.group_step
        for ky in range(self.kernel_h):
            for kx in range(self.kernel_w):
                here = (y + ky >= 0) & (y + ky < self.in_h) & (x + kx >= 0) & (x + kx < self.in_w)
                for _ in range(self.cblocks):
                    addresses.append((first + offset) % MODULUS)
                    inside.append(here)
                    first += 1
                first += self.column_step - 1
            first += self.kernel_step - self.column_step
        return np.stack(addresses, axis=1), np.stack(inside, axis=1)
