"""Replay: old parameters, spliced ones, and others in the middle of a START are all accepted, and two loadables tell more.

Under one key, both versions of a network are locked with one key stream: INV_S[a] ^ INV_S[b] is the XOR of the plain bytes. So
who knows the weights of one version, because they were published, knows those of the other.
"""

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from deeplock.pymodel.attacks.attack import Result
from deeplock.pymodel.attacks.device.chosen_program import all_places
from deeplock.pymodel.attacks.device.target import BEATS, WEIGHTS, DeviceTarget
from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.spec.device import Device

__all__ = ["BUDGET", "NEEDS", "Budget", "run"]

NEEDS = "a device with the key inside and two loadables under that key, the weights of one of which are known"


@dataclass(frozen=True)
class Budget:
    """changed  share of the weights in which the two versions differ"""

    changed: float = 0.5


BUDGET = Budget()


def run(device: Device, target: DeviceTarget, budget: Budget, seed: int, progress: Progress = quiet) -> list[Result]:
    """Ofmap beats of an old version's parameters, spliced ones and swapped ones, of as many as were tried; and weights."""
    rng = np.random.default_rng([seed, 5])
    where = np.concatenate([place.ravel() for groups in all_places(target) for place in groups])
    changed = where[rng.random(len(where)) < budget.changed]
    before = target.plain.copy()
    before[changed] = rng.integers(0, 256, len(changed), dtype=np.uint8)
    locked, beat = target.locked, target.config.bytes_per_beat
    old = target.suite.lock_loadable(locked.records, before.tobytes(), target.key, beat).parameters
    new = locked.parameters
    half = len(new) // 2 // beat * beat
    jobs = [[old], [new[:half] + old[half:]], [new, old]]
    beats = asked = 0
    for sections in jobs:
        outcome = device.run(target.locked.head, sections, target.ifmaps(len(sections) * target.locked.batch, seed))
        own = sum(section is new for section in sections)  # the ofmap of these is no success
        foreign = outcome.ofmaps[own:]
        beats += replace(outcome, ofmaps=foreign).beats(target.config.lanes)
        asked += len(sections) - own
        if outcome.error or outcome.hangs:
            target.provision(device)
    one = -(-target.locked.batch * prod(target.locked.interface.output_shape) // target.config.lanes)
    opened, old_opened = target.opened, replace(target, locked=replace(target.locked, parameters=old)).opened
    right = 0.0
    if opened is not None and old_opened is not None:
        right = float((opened ^ old_opened ^ before == target.plain)[where].mean())
    return [Result(BEATS, beats, asked * one), Result(WEIGHTS, right)]
