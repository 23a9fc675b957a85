"""A program that copies the activation memory to the ofmap stream: what anyone can read who may write a program."""

from dataclasses import replace

import numpy as np

from deeplock.pymodel.attacks.device.programs import head_of, one_byte
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Descriptor
from deeplock.pymodel.spec.device import Device
from deeplock.pymodel.spec.entry import ENTRY
from deeplock.pymodel.spec.header import Header

__all__ = ["dump"]

_SHIFT = 15
_ROW = 1 << 11
"""Pixels of a row of the copy, at most: `out_w` has 12 bits."""


def _copies(config: Config) -> list[Descriptor]:
    """Diagonal layers of weight one over the whole memory, a run of `cols` bytes a pixel."""
    pixels = config.activation_words * config.rows // config.cols
    at_once = min(pixels, config.accumulators, _ROW)
    layers = []
    for first in range(0, pixels, at_once):
        source = first * config.cols
        layers.append(
            Descriptor(
                diagonal=1,
                diagonal_a=1,
                multiplier=1 << _SHIFT,
                shift_1=_SHIFT - 1,
                kblocks=config.cols // config.rows,
                groups=1,
                cblocks=config.cols // config.rows,
                rows_last=config.rows,
                source=source,
                kernel_w=1,
                kernel_h=1,
                pool_w=1,
                pool_h=1,
                stride=1,
                out_w=at_once,
                out_h=1,
                pad_value=0,
                in_h=1,
                y0=0,
                window_stride=0,
                row_bytes=config.cols,
                x0=0,
                step_x=config.cols,
                step_y=config.cols,
                step_window=config.cols,
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
        )
    return layers


def dump(device: Device, header: Header) -> np.ndarray | None:
    """The activation memory, int8 [bytes], but for its last word, which the program's own ifmap takes; None if nothing comes.

    header  of any program for this device. The device holds a key of the attacker's, any.
    """
    config = device.config
    layers = _copies(config)
    # the loader wants parameters: a layer of one weight ends the program
    tiny = replace(
        layers[0], diagonal=0, diagonal_a=0, multiplier=0, shift_1=0, kblocks=1, cblocks=1, rows_last=1, out_w=1,
        row_bytes=1, last_columns=1, pixel_bytes=1,
    )  # fmt: skip
    size = config.cols * (ENTRY.size + 1)
    program = [*layers, tiny]
    header = replace(
        one_byte(header, len(program)),
        parameter_beats=size // config.bytes_per_beat,
        destination=config.activation_words - 1,
    )
    outcome = device.run(head_of(header, program), [bytes(size)], [bytes(config.rows)])
    data = b"".join(outcome.ofmaps) + outcome.rest
    whole = config.activation_words * config.rows
    return np.frombuffer(data[:whole], np.int8) if len(data) >= whole else None
