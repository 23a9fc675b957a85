"""A program that copies the activation memory to the ofmap stream: what anyone can read who may write a program."""

from dataclasses import replace

import numpy as np

from deeplock.pymodel.attacks.device.programs import head_of, identity, one_byte
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Descriptor
from deeplock.pymodel.spec.device import Device
from deeplock.pymodel.spec.entry import ENTRY
from deeplock.pymodel.spec.header import Header

__all__ = ["dump"]

_ROW = 1 << 11
"""Pixels of a row of the copy, at most: `out_w` has 12 bits."""


def _copies(config: Config) -> list[Descriptor]:
    """Layers that copy the whole memory."""
    pixels = config.activation_words * config.rows // config.cols
    at_once = min(pixels, config.accumulators, _ROW)
    copy = replace(identity(config), out_w=at_once, step_x=config.cols, step_y=config.cols, step_window=config.cols)
    return [replace(copy, source=first * config.cols) for first in range(0, pixels, at_once)]


def dump(device: Device, header: Header) -> np.ndarray | None:
    """The activation memory, int8 [bytes], but for its last word, which the program's own ifmap takes; None if nothing comes.

    header  of any program for this device. The device holds a key of the attacker's, any.
    """
    config = device.config
    layers = _copies(config)
    # the loader wants parameters: a layer of one weight ends the program
    tiny = replace(identity(config), diagonal=0, kblocks=1, cblocks=1, rows_last=1, last_columns=1)
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
