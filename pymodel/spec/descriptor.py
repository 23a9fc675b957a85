"""The layer descriptor: one step of a program, and what its fields mean."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, ClassVar

import numpy as np

from deeplock.pymodel.spec.entry import ENTRY
from deeplock.pymodel.spec.layout import Field
from deeplock.pymodel.spec.record import Record

__all__ = ["MODULUS", "TABLE_BYTES", "Descriptor", "Opcode"]


class Opcode(IntEnum):
    """What a descriptor is. An accelerator without `tables` refuses TABLE, and one without `products` PRODUCT, as they do any
    other number."""

    LAYER = 1
    TABLE = 2
    PRODUCT = 3


TABLE_BYTES = 256
_ROWS, _COLUMNS = 1 << 13, 1 << 16
MODULUS = 1 << 20
"""Activation addresses are bytes and wrap here, so that a step backwards is a step forwards modulo 2**20."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor(Record):
    """One layer as the accelerator runs it.

    For each group of up to `cols` output channels, the array takes the layer's k-blocks, one weight tile each. A k-block is
    up to `rows` channels at one kernel position. For each k-block, all pixels pass through the array, one pooling window
    after the other. A tile of the last group may be folded: several k-blocks lie side by side in it.
    """

    products: ClassVar = {
        "kblocks_read": ("cblocks", "kernel_w", "kernel_h"),
        "pixels": ("pool_w", "pool_h", "out_w", "out_h"),
        "ofmap": ("pixels", "groups"),  # beats of `cols` bytes that an ofmap takes at most
    }

    # weight loader
    diagonal_a: Annotated[int, Field(0, 7, 0, "diagonal weight of the first `cblocks` k-blocks", signed=True)] = 0
    diagonal_b: Annotated[int, Field(0, 15, 8, "diagonal weight of the others", signed=True)] = 0
    multiplier: Annotated[int, Field(0, 31, 16, "diagonal layers: requantise multiplier")] = 0
    bias: Annotated[int, Field(1, 23, 0, "diagonal layers: bias", signed=True)] = 0
    shift_1: Annotated[int, Field(1, 29, 24, "diagonal layers: requantise shift - 1")] = 0

    # weight loader and window feeder
    kblocks: Annotated[int, Field(2, 15, 0, "blocks of up to `rows` weights per column: kernel_h x kernel_w x cblocks")]
    groups: Annotated[int, Field(2, 23, 16, "groups of up to `cols` output channels")]
    fold: Annotated[int, Field(2, 27, 24, "log2 of the k-blocks side by side in a tile of the last group")] = 0
    opcode: Annotated[
        int,
        Field(
            2,
            31,
            28,
            "1; 2: values are looked up in a table, which comes in front of the first group's entries; 3: of a sum with lowest "
            "bytes p and q, (127 - p - `zero_a`) x (127 - q - `zero_b`) is requantised",
        ),
    ] = Opcode.LAYER

    cblocks: Annotated[int, Field(3, 11, 0, "words of a run")]
    rows_last: Annotated[int, Field(3, 19, 12, "bytes in the last word of a run")]
    diagonal: Annotated[int, Field(3, 20, 20, "weights are diagonal; made on chip, unless `streamed`")] = 0

    alike: Annotated[int, Field(3, 21, 21, "one weight tile serves all k-blocks of a group; `kblocks` is 1")] = 0
    streamed: Annotated[
        int, Field(3, 22, 22, "diagonal weights, `cols` of each kernel position, and entries come from the stream")
    ] = 0

    # window feeder; addresses and steps are bytes of the activation memory
    source: Annotated[int, Field(4, 19, 0, "first byte that it reads")]
    slack: Annotated[
        int,
        Field(4, 31, 24, "the feeder may start so many cycles before the previous layer's last result is in memory"),
    ] = 0

    kernel_w: Annotated[int, Field(5, 7, 0, "runs of `cblocks` words in a kernel row")]
    kernel_h: Annotated[int, Field(5, 15, 8)]
    pool_w: Annotated[int, Field(5, 19, 16)]
    pool_h: Annotated[int, Field(5, 23, 20)]
    stride: Annotated[int, Field(5, 27, 24, "input rows per output row")]

    out_w: Annotated[int, Field(6, 11, 0, "pooling windows per row")]
    out_h: Annotated[int, Field(6, 23, 12)]
    pad_value: Annotated[int, Field(6, 31, 24, "what padded pixels read as", signed=True)]

    in_h: Annotated[int, Field(7, 11, 0)]
    y0: Annotated[int, Field(7, 23, 12, "input row of the first window: -padding", signed=True)]
    window_stride: Annotated[int, Field(7, 31, 24, "input rows from one pooling window to the next")]

    row_bytes: Annotated[int, Field(8, 14, 0, "of an input row")]
    x0: Annotated[int, Field(8, 31, 16, "byte of the input row at which the first window begins", signed=True)]

    step_x: Annotated[int, Field(9, 15, 0, "to the next pixel of a pooling window's row", signed=True)]
    step_y: Annotated[int, Field(9, 31, 16, "to the first pixel of a pooling window's next row", signed=True)]
    step_window: Annotated[int, Field(10, 15, 0, "from a window's last pixel to the next window's first", signed=True)]
    step_row: Annotated[int, Field(10, 31, 16, "from a row's last pixel to the next row's first", signed=True)]

    wait_input: Annotated[int, Field(11, 0, 0, "wait for an unfolded ifmap")] = 0
    release_input: Annotated[int, Field(11, 1, 1, "after this layer the ifmap's words are free")] = 0
    sliding: Annotated[
        int, Field(5, 29, 28, "1, 2: maxima of this many pixels of a row and the next one; of windows of one pixel")
    ] = 0
    kernel_step: Annotated[int, Field(11, 31, 12, "from the last word of a kernel row to the next row's first")]

    column_step: Annotated[
        int, Field(12, 15, 0, "from the last word of a run to the next run's first, in a kernel row", signed=True)
    ]
    window_step: Annotated[int, Field(12, 31, 16, "from one pooling window's first pixel to the next's, in a row")]

    # requantise, pool, write
    destination: Annotated[int, Field(13, 19, 0, "first byte that it writes")]
    zero_a: Annotated[int, Field(13, 31, 24, "`opcode` 3: zero point of the first factor", signed=True)] = 0
    zero_point: Annotated[int, Field(14, 7, 0, signed=True)]
    lo: Annotated[int, Field(14, 15, 8, signed=True)]
    hi: Annotated[int, Field(14, 23, 16, signed=True)]
    zero_b: Annotated[int, Field(14, 31, 24, "`opcode` 3: zero point of the second factor", signed=True)] = 0
    last_columns: Annotated[int, Field(15, 7, 0, "channels of the last group")]
    narrow: Annotated[int, Field(15, 8, 8, "accumulator + bias is a 24-bit number")]
    to_stream: Annotated[int, Field(15, 9, 9, "write to the ofmap stream, not to the activation memory")]
    pixel_bytes: Annotated[int, Field(15, 31, 16, "from one output pixel to the next")]

    @property
    def window(self) -> int:
        """Pixels of a pooling window."""
        return self.pool_w * self.pool_h

    @property
    def results_w(self) -> int:
        """Results per row."""
        return (self.out_w - 1) // self.sliding if self.sliding else self.out_w

    @property
    def pixels(self) -> int:
        """Pixels that pass through the array for each k-block; the layer takes as many accumulators."""
        return self.product("pixels")

    @property
    def kblocks_read(self) -> int:
        """K-blocks that the window feeder reads."""
        return self.product("kblocks_read")

    @property
    def sum_bits(self) -> int:
        """Bits to which accumulator + bias wraps."""
        return 24 if self.narrow else 32

    def run_bytes(self, rows: int) -> int:
        """Bytes of a run: what a kernel row, or one of its `kernel_w` columns, has side by side in memory."""
        return (self.cblocks - 1) * rows + self.rows_last

    def features(self, rows: int) -> set[str]:
        """The FEATURES (config.py) that an accelerator must have for the layer."""
        outside = self.outside(rows)
        pads = outside[..., 0] if self.diagonal else outside  # a diagonal layer's other channels may be another pixel's
        needs = {
            "padding": pads.any(),
            "folding": self.fold,
            "diagonal": self.diagonal,
            "tables": self.table_bytes,
            "products": self.multiplies,
        }
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

    @property
    def multiplies(self) -> bool:
        """Whether it requantises products of two values, and not its sums."""
        return self.opcode == Opcode.PRODUCT

    @property
    def table_bytes(self) -> int:
        """Bytes of the parameter stream that come before those of the first group."""
        return TABLE_BYTES if self.opcode == Opcode.TABLE else 0

    def layer_bytes(self, rows: int, cols: int) -> int:
        """Bytes of the parameter stream that the layer takes."""
        return self.table_bytes + sum(self.group_bytes(group, rows, cols) for group in range(self.groups))

    def group_bytes(self, group: int, rows: int, cols: int) -> int:
        """Bytes of the parameter stream that a group takes."""
        if self.diagonal:
            return cols * (ENTRY.size + self.kernel_h * self.kernel_w) if self.streamed else 0
        return cols * (ENTRY.size + sum(self.tile_rows(group, rows)))

    def _pixels(self, step_x: int, step_y: int, step_window: int, step_row: int) -> np.ndarray:
        """Sum of the steps before every pixel of a k-block, int64 [pixels], in the order of issue."""
        steps = np.full(self.pixels, step_x, np.int64)
        number = np.arange(1, self.pixels + 1)
        steps[number % self.pool_w == 0] = step_y
        steps[number % self.window == 0] = step_window
        steps[number % (self.window * self.out_w) == 0] = step_row
        return np.cumsum(steps) - steps

    def reads(self, group: int, rows: int, cols: int) -> np.ndarray:
        """First bytes of the runs that the feeder reads for a group, int64 [pixels, kernel_h * kernel_w].

        A run is `cblocks` words of `rows` bytes, one after the other.
        """
        offset = self._pixels(self.step_x, self.step_y, self.step_window, self.step_row)
        to_run = (self.cblocks - 1) * rows
        first = self.source + (group * cols if self.diagonal else 0)
        kernel_row = (self.kernel_w - 1) * (to_run + self.column_step) + to_run + self.kernel_step
        runs = np.add.outer(
            np.arange(self.kernel_h) * kernel_row, np.arange(self.kernel_w) * (to_run + self.column_step)
        )
        return (first + np.add.outer(offset, runs.ravel())) % MODULUS

    def outside(self, rows: int) -> np.ndarray:
        """Which bytes of these runs lie outside the input, so that they read as `pad_value`.

        bool [pixels, kernel_h * kernel_w, cblocks * rows]; bytes behind a run's last one are never outside. Rows of the input
        wrap at 2**13, columns of words at -2**16 and 2**16.
        """
        y, window_x, pool_y, pool_x = np.indices((self.out_h, self.out_w, self.pool_h, self.pool_w)).reshape(4, -1)
        x = self.x0 + window_x * self.window_step + pool_x * self.step_x
        y = self.y0 + y * self.window_stride + pool_y * self.stride
        rows_read = np.add.outer(y, np.arange(self.kernel_h))
        run = (self.cblocks - 1) * rows + self.column_step
        word = np.add.outer(np.arange(self.kernel_w) * run, np.arange(self.cblocks) * rows)
        words_read = (np.add.outer(x, word) + _COLUMNS) % (2 * _COLUMNS) - _COLUMNS
        bytes_read = np.add.outer(words_read, np.arange(rows)).reshape(self.pixels, self.kernel_w, -1)
        outside_y = rows_read % _ROWS >= self.in_h
        outside_x = (bytes_read < 0) | (bytes_read >= self.row_bytes)
        outside = outside_y[:, :, None, None] | outside_x[:, None]
        outside[..., self.run_bytes(rows) :] = False
        return outside.reshape(self.pixels, -1, self.cblocks * rows)
