"""Remanence: after ZEROISE the next tenant reads what the last one's inference left in the activation memory.

Before the mend ZEROISE cleared the key alone. Now the memory is erased whenever the key leaves.
"""

from dataclasses import dataclass

from deeplock.pymodel.attacks.attack import Result
from deeplock.pymodel.attacks.device.dump import dump
from deeplock.pymodel.attacks.device.target import BEATS, DeviceTarget
from deeplock.pymodel.compiler.golden_device import GoldenDevice
from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.spec.device import Device

__all__ = ["BUDGET", "NEEDS", "Budget", "Unerased", "left_behind", "run"]

NEEDS = "a device that someone else used before, without a reset in between, and a key of one's own"


@dataclass(frozen=True)
class Budget:
    """inferences  of the tenant before"""

    inferences: int = 1


BUDGET = Budget()


class Unerased(GoldenDevice):
    """A device as it was before the mend: whatever ends a run or clears the key, the activation memory keeps its bytes."""

    def _erase(self) -> None:
        pass


def left_behind(device: Device, target: DeviceTarget, truth: GoldenDevice) -> int:
    """Beats of a dump under a key of one's own that hold what the golden device `truth` has in its memory, zeros aside."""
    device.zeroise()
    own = bytes(len(target.key))
    device.load_key(own)
    found = dump(device, target.locked.header, own)
    if found is None:
        return 0
    lanes = target.config.lanes
    there, expected = (values[: -target.config.rows].reshape(-1, lanes) for values in (found, truth.memory))
    return int((expected.any(axis=1) & (there == expected).all(axis=1)).sum())


def run(device: Device, target: DeviceTarget, budget: Budget, seed: int, progress: Progress = quiet) -> list[Result]:
    """Beats of the dump with the tenant's bytes; the yardstick is how many there are."""
    truth = GoldenDevice(target.config)
    truth.load_key(target.key)
    parameters = [target.locked.parameters] * budget.inferences
    ifmaps = target.ifmaps(budget.inferences * target.locked.batch, seed)
    for one in (device, truth):
        one.run(target.locked.head, parameters, ifmaps)
    there = truth.memory[: -target.config.rows].reshape(-1, target.config.lanes)
    return [Result(BEATS, left_behind(device, target, truth), int(there.any(axis=1).sum()))]
