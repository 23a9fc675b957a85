"""Interrupted provisioning: a key of which the attacker wrote all but one word, and keys that nobody wrote.

The owner writes KEY0 to KEY3 and is interrupted before KEY_SIZE. The attacker overwrites all words but the last and writes the
size: the device takes a key of which one word is the owner's. What any bytes unlock to under it, read by `desync`, gives that
key, and with it the owner's word; the other words fall in the same way, each after an interruption of its own. After a reset,
KEY_SIZE alone makes a key of zeros.
"""

from dataclasses import dataclass

from deeplock.pymodel.attacks.attack import Result
from deeplock.pymodel.attacks.device.chosen_program import key_of
from deeplock.pymodel.attacks.device.desync import read_weights
from deeplock.pymodel.attacks.device.target import BEATS, KEY, DeviceTarget
from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.spec.device import Device

__all__ = ["BUDGET", "NEEDS", "Budget", "run"]

NEEDS = "a device whose owner was interrupted between the last key word and the key's size, once for each word"


@dataclass(frozen=True)
class Budget:
    """words  of the owner's key that are read, from the last one on"""

    words: int = 4


BUDGET = Budget()


def run(device: Device, target: DeviceTarget, budget: Budget, seed: int, progress: Progress = quiet) -> list[Result]:
    """Whether the words make the owner's key, and the ofmap beats under a key that nobody wrote."""
    words = [target.key[at : at + 4] for at in range(0, len(target.key), 4)]
    found: list[bytes] = []
    inferences = 0
    for owned in range(len(words))[-budget.words :]:
        device.zeroise()
        for index, word in enumerate(words):  # the owner
            device.write(f"KEY{index}", int.from_bytes(word, "little"))
        for index in range(len(words)):  # the attacker
            if index != owned:
                device.write(f"KEY{index}", 0)
        device.write("KEY_SIZE", len(target.key))
        plain, known, taken = read_weights(device, target, progress=progress)
        inferences += taken
        key = key_of(target, plain, known)
        if key is not None:
            found.append(key[4 * owned : 4 * owned + 4])
    right = float(b"".join(found) == b"".join(words[-budget.words :]) and bool(words))
    device.zeroise()
    device.write("KEY_SIZE", len(target.key))
    outcome = device.run(target.locked.head, [target.locked.parameters], target.ifmaps(target.locked.batch, seed))
    return [Result(KEY, right, inferences=inferences), Result(BEATS, outcome.beats(target.config.lanes))]
