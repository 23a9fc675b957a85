"""The interface of the attacks, one module each in this folder.

    NEEDS    what the attacker must have, in one line
    SCHEMES  names of the schemes that it is run on
    Budget   frozen dataclass: what it may spend; QUICK takes seconds on digits, FULL is for the paper's networks
    run      (target, budget, seed, progress) -> results. `target` is a `pymodel.attacks.target.Target`, or the name of a
             network if the attack is on the lock alone (known plaintext, ciphertext only)

The same arguments give the same results, except for times. No result or progress text contains a key.
"""

from dataclasses import dataclass

__all__ = ["Result"]


@dataclass(frozen=True)
class Result:
    """One figure.

    metric     name of the figure, with its unit; accuracies are shares (0..1) of test images
    yardstick  figure to compare it with, which the attack's docstring defines; None: there is none
    curve      points (x, value) on the way, if there are any
    inferences that the attack asked of a device, if it is one on devices
    """

    metric: str
    value: float
    yardstick: float | None = None
    curve: tuple[tuple[float, float], ...] = ()
    inferences: int | None = None
