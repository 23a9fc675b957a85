"""Tampering: one bit of the loadable flipped, wherever it is.

Every bit of the head, with its nonce and tags, and some of the parameters, one at a time. A device that seals must refuse each:
with the code that the golden device gives, before any beat leaves, with nothing left in its memory for a program of whoever has
the key, and ready for the next owner. A device that does not seal runs most of them.
"""

from dataclasses import dataclass

import numpy as np

from deeplock.pymodel.attacks.attack import Result
from deeplock.pymodel.attacks.bits import flip
from deeplock.pymodel.attacks.device.dump import copies, dump
from deeplock.pymodel.attacks.device.remanence import Unerased
from deeplock.pymodel.attacks.device.target import BEATS, DeviceTarget
from deeplock.pymodel.compiler.golden_device import GoldenDevice
from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.spec.device import Device, Outcome

__all__ = ["BUDGET", "DISAGREEMENTS", "LEFT", "NEEDS", "Budget", "run"]

NEEDS = "a device with the key inside and its locked loadable"

LEFT = "memory beats left"
"""Metric: beats that a program under the owner's key reads after the failed run, and that are not zero."""

DISAGREEMENTS = "not as the golden device"
"""Metric: bits after which error code or STATUS differ from the golden device's, the memory cannot be read, or the loadable as
it was no longer runs."""


@dataclass(frozen=True)
class Budget:
    """parameter_bits  of the parameters, drawn at random
    head_step       every so many-th bit of head and tags, from the first one on; 1: all
    """

    parameter_bits: int = 2000
    head_step: int = 1


BUDGET = Budget()


def _bits(target: DeviceTarget, budget: Budget, rng: np.random.Generator) -> list[int]:
    """Of the stream: head with nonce and tag, some of the parameters, their tag."""
    head, locked = 8 * len(target.locked.head), 8 * len(target.plain)
    some = rng.choice(locked, min(budget.parameter_bits, locked), replace=False)
    parts = range(head), (head + np.sort(some)).tolist(), range(head + locked, 8 * len(target.locked.stream))
    return [*parts[0][:: budget.head_step], *parts[1], *parts[2][:: budget.head_step]]


def run(device: Device, target: DeviceTarget, budget: Budget, seed: int, progress: Progress = quiet) -> list[Result]:
    """Output beats, beats left in memory, of bits that have been flipped, and disagreements."""
    rng, config, locked = np.random.default_rng([seed, 13]), target.config, target.locked
    truth, before = GoldenDevice(config), Unerased(config)
    ifmaps = target.ifmaps(locked.batch, seed)
    before.load_key(target.key)
    right = before.run(locked.head, [locked.parameters], ifmaps)
    # the part of the memory in which a run leaves most
    parts = copies(config)
    size = parts[0].out_w * config.cols
    used = [np.count_nonzero(before.memory[part.source : part.source + size]) for part in parts]
    window = parts[int(np.argmax(used))]
    beats = left = wrong = 0
    bits = _bits(target, budget, rng)

    def both(head: bytes, parameters: bytes) -> Outcome | None:
        """Provision and run both devices: what came of it, None if they differ."""
        target.provision(device)
        target.provision(truth)
        job = head, [parameters], ifmaps
        found, expected = device.run(*job), truth.run(*job)
        same = found.error == expected.error and not found.hangs and device.keyed == truth.keyed
        return found if same else None

    head = len(locked.head)
    for number, bit in enumerate(bits):
        progress("bits", number, len(bits))
        stream = flip(locked.stream, bit)
        outcome = both(stream[:head], stream[head:])
        if outcome is None:
            wrong += 1
            continue
        beats += outcome.beats(config.lanes)
        target.provision(device)
        there = dump(device, locked.header, target.key, [window])
        if there is None:
            wrong += 1
        elif outcome.error:
            left += int(there.reshape(-1, config.lanes).any(axis=1).sum())
    usable = both(locked.head, locked.parameters)
    wrong += usable is None or usable.ofmaps != right.ofmaps
    return [
        Result(BEATS, beats, inferences=len(bits)),
        Result(LEFT, left, inferences=len(bits)),
        Result(DISAGREEMENTS, wrong, inferences=len(bits)),
    ]
