"""A program that copies the activation memory to the ofmap stream: what anyone can read who may write a program."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from deeplock.pymodel.attacks.device.programs import head_of, identity, one_byte
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Descriptor
from deeplock.pymodel.spec.device import Device
from deeplock.pymodel.spec.entry import ENTRY
from deeplock.pymodel.spec.header import Header

__all__ = ["copies", "dump"]

_ROW = 1 << 11
"""Pixels of a row of the copy, at most: `out_w` has 12 bits."""


def copies(config: Config) -> list[Descriptor]:
    """Layers that copy the whole memory, each no more than the ofmap of a sealed loadable may take."""
    pixels = config.activation_words * config.rows // config.cols
    at_once = min(pixels, config.accumulators, _ROW, *([config.sealed_ofmap_beats // 2] if _seals(config) else []))
    copy = replace(identity(config), out_w=at_once, step_x=config.cols, step_y=config.cols, step_window=config.cols)
    return [replace(copy, source=first * config.cols) for first in range(0, pixels, at_once)]


def _seals(config: Config) -> bool:
    return suite(config.suite).seals


def dump(device: Device, header: Header, key: bytes, only: Sequence[Descriptor] = ()) -> np.ndarray | None:
    """The activation memory, int8 [bytes], but for its last word, which the program's own ifmap takes; None if nothing comes.

    header  of any program for this device
    key     that the device holds: the attacker's own
    only    copies only this: some of `copies`
    """
    config, chosen = device.config, suite(device.config.suite)
    # the loader wants parameters: a layer of one weight ends the program
    tiny = replace(identity(config), diagonal=0, kblocks=1, cblocks=1, rows_last=1, last_columns=1)
    size = config.cols * (ENTRY.size + 1)
    wanted, data = list(only) or copies(config), b""
    for layers in [[each] for each in wanted] if chosen.seals else [wanted]:
        program = [*layers, tiny]
        own = replace(
            one_byte(header, len(program)),
            parameter_beats=size // config.bytes_per_beat,
            destination=config.activation_words - 1,
        )
        records = head_of(own, program)
        locked = chosen.lock_loadable(records, bytes(size), key, config.bytes_per_beat)
        head = locked.nonce + records + locked.head_tag
        outcome = device.run(head, [locked.parameters], [bytes(config.rows)])
        found = b"".join(outcome.ofmaps) + outcome.rest
        data += found[: sum(layer.out_w for layer in layers) * config.cols]
    whole = sum(layer.out_w for layer in wanted) * config.cols
    return np.frombuffer(data, np.int8) if len(data) == whole else None
