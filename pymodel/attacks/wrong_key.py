"""Wrong keys: random ones, ones with a single wrong bit, and the nearest, which is the best of the latter.

Yardstick: the accuracy with the right key.
"""

from dataclasses import dataclass

import numpy as np

from deeplock.pymodel.attacks.attack import Result
from deeplock.pymodel.attacks.bits import flip
from deeplock.pymodel.attacks.target import Target, measure
from deeplock.pymodel.progress import Progress, quiet

__all__ = ["FULL", "NEEDS", "QUICK", "SCHEMES", "Budget", "run"]

NEEDS = "what is handed out; for one bit off, nearly the whole key; for the nearest, labelled images too"
SCHEMES = ("deep-lock", "hpnn", "adv-params", "secure-net")


@dataclass(frozen=True)
class Budget:
    """random  random keys, measured on the test images
    one_off    keys that differ from the right one in one bit, drawn without repeating
    held       the thief's held-out images that measure the one-off keys
    """

    random: int = 10
    one_off: int = 64
    held: int = 500


QUICK = Budget(random=4, one_off=16, held=200)
FULL = Budget()


def run(target: Target, budget: Budget, seed: int, progress: Progress = quiet) -> list[Result]:
    """Accuracies on the test images. The thief's held-out images decide which one-off key is the nearest."""
    scheme, protected = target.locked()
    rng, victim = np.random.default_rng([seed, 1]), target.victim
    right = measure(scheme.authorise(protected, target.key), victim.test)
    progress("random keys")
    keys = [scheme.random_key(protected, rng) for _ in range(budget.random)]
    random = [measure(module, victim.test) for module in scheme.authorise_many(protected, keys)]
    bits = rng.permutation(8 * len(target.key))[: budget.one_off]
    few = victim.held.take(slice(0, budget.held))
    near = [flip(target.key, int(bit)) for bit in bits]
    held = []
    for number, module in enumerate(scheme.authorise_many(protected, near), 1):
        held.append(measure(module, few, narrow=True))
        progress("keys that are one bit off", number, len(near))
    nearest = measure(scheme.authorise(protected, near[int(np.argmax(held))]), victim.test)
    without = measure(scheme.authorise(protected, None), victim.test)
    return [
        Result("accuracy without a key", without, right),
        Result("accuracy, random keys, mean", float(np.mean(random)), right),
        Result("accuracy, random keys, best", max(random), right),
        Result("accuracy, one bit off, mean (held-out images)", float(np.mean(held)), right),
        Result("accuracy, nearest key", nearest, right),
    ]
