"""What every attack has in common: the interface of the modules in this folder.

    NEEDS    what the attacker must have, in a line
    SCHEMES  names of the schemes that it is run on
    Budget   frozen dataclass: what it may spend; QUICK on digits in seconds, FULL on the paper's networks
    run      (target, budget, seed, progress) -> results. `target` is a `pymodel.attacks.target.Target`, or the name of a
             network where the attack is on the lock alone (known plaintext, ciphertext only)

The same arguments give the same results but for times. Keys are in no result and no progress.
"""

from dataclasses import dataclass

__all__ = ["Result"]


@dataclass(frozen=True)
class Result:
    """One figure.

    metric     what it is, with its unit; accuracies are shares (0..1) of test images
    yardstick  the same without lock or attack, or from scratch, as the attack's docstring says; None: there is none
    curve      points (x, value) on the way, where there are some
    """

    metric: str
    value: float
    yardstick: float | None = None
    curve: tuple[tuple[float, float], ...] = ()
