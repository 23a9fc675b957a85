"""Failed check: a run that ends in an error leaves what it computed for the attacker's next program.

So a check at the end of the parameters is worth nothing if it only withholds the outputs. Here the last beat of the parameters
is missing: the device stops with an error and clears the key. Before the mend the activations of the layers before were still
in its memory; now an error erases them.
"""

from dataclasses import dataclass

from deeplock.pymodel.attacks.attack import Result
from deeplock.pymodel.attacks.device.remanence import Unerased, left_behind
from deeplock.pymodel.attacks.device.target import BEATS, DeviceTarget
from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.spec.device import Device
from deeplock.pymodel.spec.registers import Error

__all__ = ["BUDGET", "NEEDS", "Budget", "run"]

NEEDS = "a device with the key inside, its locked loadable, and a key of one's own"


@dataclass(frozen=True)
class Budget:
    """beats  that are missing"""

    beats: int = 1


BUDGET = Budget()


def run(device: Device, target: DeviceTarget, budget: Budget, seed: int, progress: Progress = quiet) -> list[Result]:
    """Beats of the dump with what the failed run computed; the yardstick is how many there are."""
    truth = Unerased(target.config)
    truth.load_key(target.key)
    short = target.locked.parameters[: -budget.beats * target.config.bytes_per_beat]
    job = target.locked.head, [short], target.ifmaps(target.locked.batch, seed)
    truth.run(*job)
    outcome = device.run(*job)
    if outcome.error != Error.LOADABLE_TRUNCATED:
        return [Result(BEATS, outcome.beats(target.config.lanes), 0)]
    there = truth.memory[: -target.config.rows].reshape(-1, target.config.lanes)
    return [Result(BEATS, left_behind(device, target, truth), int(there.any(axis=1).sum()))]
