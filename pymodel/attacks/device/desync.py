"""Desync: a descriptor on which weight loader and feeder disagree shows all weights in one inference, or a few.

The loader counts a layer's tiles by `kblocks`, the feeder by kernel and channels. Before the mend nothing compared the two; now
a program on which they disagree is refused at LOAD. The program
has two layers. The first is diagonal: its entries are clear, its one tile is made on chip. But its feeder goes on for as many
k-blocks as the second layer, with parameters, has tiles. So the loader hands that layer's locked weights over while the first
layer's clear entries scale the sums. The first layer's input is a one amid padding: a pixel for each row of a tile, and the
result is the weight itself. The entries that the second layer takes, and its last tile, are all that stays hidden; the key,
from any 16 weights, unlocks those too.
"""

from dataclasses import dataclass, replace

import numpy as np

from deeplock.pymodel.attacks.attack import Result
from deeplock.pymodel.attacks.device.chosen_program import judged, key_of
from deeplock.pymodel.attacks.device.programs import head_of, identity, one_byte
from deeplock.pymodel.attacks.device.target import DeviceTarget
from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.spec.descriptor import MODULUS, Descriptor
from deeplock.pymodel.spec.device import Device
from deeplock.pymodel.spec.entry import ENTRY
from deeplock.pymodel.spec.loadable import split_ofmap

__all__ = ["BUDGET", "NEEDS", "Budget", "read_weights", "run"]

NEEDS = (
    "a device with the key inside and its locked loadable; an inference for as many weight rows as it has accumulators"
)


@dataclass(frozen=True)
class Budget:
    """inferences  at most"""

    inferences: int = 64


BUDGET = Budget()


def _program(target: DeviceTarget, tiles: int, rows: range) -> list[Descriptor]:
    """Both layers, of which the second has `tiles` tiles. `rows`: of all tiles together, shown last one first."""
    config = target.config
    last_row = rows[-1] + config.rows  # behind those of the diagonal tile
    shown = replace(
        identity(config),
        diagonal_a=0,
        kblocks=1,
        cblocks=tiles,
        source=-last_row % MODULUS,
        out_w=len(rows),
        row_bytes=1,
        x0=-last_row,
        window_step=1,
        step_x=1,
        step_y=1,
        step_window=1,
    )
    # its feeder is content with the last tile
    hidden = replace(identity(config), diagonal=0, alike=1, kblocks=tiles, cblocks=tiles, last_columns=1)
    return [shown, hidden]


def read_weights(
    device: Device, target: DeviceTarget, budget: Budget = BUDGET, progress: Progress = quiet
) -> tuple[np.ndarray, np.ndarray, int]:
    """The plain stream as far as it is read, uint8 [n], which of its bytes are, bool [n], and the inferences that it took."""
    config, stream = target.config, target.stream
    rows, cols = config.rows, config.cols
    entries, tile = cols * ENTRY.size, rows * cols
    tiles = (len(stream) - entries) // tile
    section = stream[: entries + tiles * tile].tobytes()
    plain, known = np.zeros(len(stream), np.uint8), np.zeros(len(stream), bool)
    inferences, total = 0, (tiles - 1) * rows
    for first in range(0, total, config.accumulators):
        if inferences == budget.inferences:
            break
        progress("inferences", inferences, -(-total // config.accumulators))
        shown = range(first, min(first + config.accumulators, total))
        program = _program(target, tiles, shown)
        header = replace(
            one_byte(target.locked.header, len(program)), parameter_beats=len(section) // config.bytes_per_beat
        )
        outcome = device.run(
            target.head(head_of(header, program)), [section + target.tag], [bytes([1]).ljust(rows, b"\0")]
        )
        inferences += 1
        data = b"".join(outcome.ofmaps) + outcome.rest
        if len(data) < len(shown) * cols:
            break
        ((weights,), *_) = split_ofmap(data, program[:1], config.cols)
        at = entries + np.add.outer(np.array(shown[::-1]) * cols, np.arange(cols))
        plain[at], known[at] = weights.view(np.uint8), True
        if key_of(target, plain, known) is not None:
            break
    return plain, known, inferences


def run(device: Device, target: DeviceTarget, budget: Budget, seed: int, progress: Progress = quiet) -> list[Result]:
    """Weights and key."""
    return judged(target, *read_weights(device, target, budget, progress))
