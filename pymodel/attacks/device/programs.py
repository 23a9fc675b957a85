"""Programs that an attacker writes: they take the locked parameters as the network's own program does, and show them.

A layer of the network stays as it is where the weight loader reads it. What the feeder reads is one byte amid padding, so that
each pixel meets one weight of each channel; all results go to the ofmap stream.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import MODULUS, Descriptor
from deeplock.pymodel.spec.entry import ENTRY
from deeplock.pymodel.spec.header import Header
from deeplock.pymodel.spec.loadable import Loadable

__all__ = ["Part", "head_of", "identity", "one_byte", "parts_of", "places", "showing", "streamed"]

_SHIFT = 15
"""m = 2**15, so that a sum, shifted by this, stays as it is."""


@dataclass(frozen=True)
class Part:
    """Some of a layer's weights: those of kernel rows and of bytes of a kernel row. Each pixel meets one of them."""

    rows: range
    bytes: range


def parts_of(layer: Descriptor, config: Config) -> list[Part]:
    """All of a layer's weights, in as many parts as the accumulators need."""
    size = layer.kernel_w * layer.run_bytes(config.rows)
    if size > config.accumulators:
        return [
            Part(range(row, row + 1), range(first, min(first + config.accumulators, size)))
            for row in range(layer.kernel_h)
            for first in range(0, size, config.accumulators)
        ]
    at_once = config.accumulators // size
    return [
        Part(range(row, min(row + at_once, layer.kernel_h)), range(size)) for row in range(0, layer.kernel_h, at_once)
    ]


def showing(layer: Descriptor, part: Part, config: Config) -> Descriptor:
    """The layer over an input of one byte, the activation memory's first: a pixel for each weight of the part, the last one
    first."""
    to_run = (layer.cblocks - 1) * config.rows
    column_step = layer.run_bytes(config.rows) - to_run
    back = (layer.kernel_w - 1) * (to_run + column_step) + to_run
    last_row, last_byte = part.rows[-1], part.bytes[-1]
    return replace(
        layer,
        source=-last_byte % MODULUS,
        slack=0,
        pool_w=1,
        pool_h=1,
        stride=1,
        sliding=0,
        out_w=len(part.bytes),
        out_h=len(part.rows),
        pad_value=0,
        in_h=1,
        row_bytes=1,
        y0=-last_row,
        x0=-last_byte,
        window_stride=1,
        window_step=1,
        step_x=1,
        step_y=1,
        step_window=1,
        step_row=1 - len(part.bytes),
        column_step=column_step,
        kernel_step=-back % MODULUS,  # every kernel row reads the same bytes: only one of them is inside
        wait_input=0,
        release_input=0,
        zero_point=0,
        lo=-128,
        hi=127,
        to_stream=1,
    )


def places(layer: Descriptor, config: Config) -> list[np.ndarray]:
    """Where each group's weights lie among the layer's bytes of the stream: int64 [kernel rows, bytes of a row, columns]."""
    rows, cols, found, at = config.rows, config.cols, [], 0
    for group in range(layer.groups):
        at += cols * ENTRY.size
        sides, heights = layer.sides(group), layer.block_rows(rows)
        width, columns = cols // sides, np.arange(layer.columns(group, cols))
        blocks = []
        for tile, height in enumerate(layer.tile_rows(group, rows)):
            for side in range(min(sides, layer.kblocks - tile * sides)):
                used = np.arange(heights[tile * sides + side])
                blocks.append(at + np.add.outer(used * cols, side * width + columns))
            at += height * cols
        found.append(np.concatenate(blocks).reshape(layer.kernel_h, -1, len(columns)))
    return found


def identity(config: Config) -> Descriptor:
    """A diagonal layer of one pixel: it copies the first `cols` bytes of the activation memory to the ofmap stream.

    Others are made of it. Its entries, clear in the descriptor, give a sum as it is, if that is an int8 number.
    """
    return Descriptor(
        diagonal=1,
        diagonal_a=1,
        multiplier=1 << _SHIFT,
        shift_1=_SHIFT - 1,
        kblocks=config.cols // config.rows,
        groups=1,
        cblocks=config.cols // config.rows,
        rows_last=config.rows,
        source=0,
        kernel_w=1,
        kernel_h=1,
        pool_w=1,
        pool_h=1,
        stride=1,
        out_w=1,
        out_h=1,
        pad_value=0,
        in_h=1,
        y0=0,
        window_stride=0,
        row_bytes=config.cols,
        x0=0,
        step_x=0,
        step_y=0,
        step_window=0,
        step_row=0,
        kernel_step=0,
        column_step=0,
        window_step=0,
        destination=0,
        zero_point=0,
        lo=-128,
        hi=127,
        last_columns=config.cols,
        narrow=0,
        to_stream=1,
        pixel_bytes=config.cols,
    )


def one_byte(header: Header, layers: int) -> Header:
    """A header for a program of so many layers, whose ifmap is a word at the start of the activation memory."""
    return replace(
        header,
        layers=layers,
        batch=1,
        ifmap_beats=1,
        run_bytes=header.rows,
        runs=1,
        run_pitch=0,
        x_pitch=0,
        y_pitch=0,
        windows_x=1,
        windows_y=1,
        destination=0,
        alternate=0,
    )


def head_of(header: Header, program: Sequence[Descriptor]) -> bytes:
    """Header and program as they enter the device. The first layer waits for the ifmap, the last one releases it."""
    layers = list(program)
    layers[0] = replace(layers[0], wait_input=1)
    layers[-1] = replace(layers[-1], release_input=1)
    return header.pack() + b"".join(layer.pack() for layer in layers)


def streamed(loadable: Loadable) -> list[Descriptor]:
    """The layers of a loadable that take parameters; `DeeplockError` if one is depthwise or has a table, which the attacks do
    not read."""
    if any(layer.streamed or layer.table_bytes for layer in loadable.program):
        raise DeeplockError("attacks on devices take networks without depthwise convolutions and tables")
    return [layer for layer in loadable.program if not layer.diagonal]
