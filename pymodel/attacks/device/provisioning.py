"""Interrupted provisioning: keys of which the attacker wrote all words but one, and keys that nobody wrote.

The owner is interrupted after some of the writes of a key. The attacker leaves out the last word that the owner wrote, and
writes words and a size of his own around it: in the device's order, in any other, or only the rest after the owner's host has
sent ZEROISE. If the device then runs, its key is one word of the owner's amid known ones. What any bytes unlock to under it,
read by `desync`, gives that key, and with it the word; the other words fall in the same way, each after an interruption of its
own. Beats count the ofmaps of all runs under such keys, and of one after a KEY_SIZE alone, so they need no read-out.

Before: the size came last, and took whatever words were there. All four words fell, one inference each, by words in any order
and then the size; KEY_SIZE alone after ZEROISE made a key of zeros. Now the size comes first, each word once and in order, and
any other write clears all: no beat leaves.

Not counted: the owner is interrupted, no ZEROISE follows, and the attacker goes on in order with the remaining words. That
makes a key that is a mixture of both, and the device cannot tell it from an owner who goes on; where both write on one bus, no
rule for the order helps. So hosts send ZEROISE after an interruption (docs/security.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from deeplock.pymodel.attacks.attack import Result
from deeplock.pymodel.attacks.device.chosen_program import key_of
from deeplock.pymodel.attacks.device.desync import read_weights
from deeplock.pymodel.attacks.device.target import BEATS, KEY, DeviceTarget
from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.spec.device import Device
from deeplock.pymodel.spec.registers import Command, key_writes

__all__ = ["BUDGET", "NEEDS", "Budget", "run"]

NEEDS = "a device whose owner was interrupted in writing the key, once for each word and order of the attacker's"


@dataclass(frozen=True)
class Budget:
    """words  of the owner's key that are read, from the last one on"""

    words: int = 4


BUDGET = Budget()

Writes = list[tuple[str, int]]


def _orders(size: int, owned: int) -> Iterator[Writes]:
    """The attacker's writes, each list for an interruption of its own: none of them is of word `owned`."""
    begin, *words = key_writes(bytes(size))
    before, rest = words[:owned], words[owned + 1 :]
    yield [*before, *rest, begin]  # the size last
    yield [begin, *before, *rest]
    yield [begin, *rest]
    if before:  # else this is what the owner would have written next
        yield [*before, *rest]
    yield [*before, begin, *rest]
    yield [begin]
    yield [("CONTROL", Command.ZEROISE), *rest]  # the owner's host sends ZEROISE


def run(device: Device, target: DeviceTarget, budget: Budget, seed: int, progress: Progress = quiet) -> list[Result]:
    """Whether the words make the owner's key, and the ofmap beats under keys that neither owner nor attacker wrote whole."""
    beats = inferences = 0

    def runs(owners: Writes, attackers: Writes) -> bool:
        """Whether the device runs after these writes."""
        nonlocal beats
        device.zeroise()
        for name, value in owners + attackers:
            device.write(name, value)
        outcome = device.run(target.locked.head, [target.locked.parameters], target.ifmaps(target.locked.batch, seed))
        beats += outcome.beats(target.config.lanes)
        return bool(outcome.ofmaps)

    owner = key_writes(target.key)
    words = [target.key[at : at + 4] for at in range(0, len(target.key), 4)][-budget.words :]
    found = [b""] * len(words)
    for number, owned in enumerate(range(len(owner) - 1)[-budget.words :]):
        for attackers in _orders(len(target.key), owned):
            if not runs(owner[: owned + 2], attackers):
                continue
            plain, known, taken = read_weights(device, target, progress=progress)
            inferences += taken
            key = key_of(target, plain, known)
            if key is not None:
                found[number] = key[4 * owned : 4 * owned + 4]
                break
    runs([], owner[:1])  # KEY_SIZE alone
    return [Result(KEY, float(found == words), inferences=inferences), Result(BEATS, beats)]
