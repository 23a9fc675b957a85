"""Pruning: the thief sets the smallest weights of the stolen network to 0, in the hope that the lock goes with them.

Yardstick: the network without protection, pruned as much.
"""

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import nn

from deeplock.pymodel.attacks.attack import Result
from deeplock.pymodel.attacks.target import Target, measure
from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.schemes.victim import parameter_layers

__all__ = ["FULL", "NEEDS", "QUICK", "SCHEMES", "Budget", "prune", "run"]

NEEDS = "what is handed out"
SCHEMES = ("deep-lock", "hpnn", "adv-params", "secure-net")


@dataclass(frozen=True)
class Budget:
    """shares  of each layer's weights that are set to 0"""

    shares: tuple[float, ...] = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)


QUICK = Budget((0.1, 0.5))
FULL = Budget()


@torch.no_grad()
def prune(module: nn.Module, share: float) -> nn.Module:
    """A copy in which this share of every layer's weights, the smallest ones, is 0."""
    module = deepcopy(module)
    for _, layer in parameter_layers(module):
        order = layer.weight.abs().nan_to_num(float("inf")).flatten().argsort()
        layer.weight.view(-1)[order[: round(share * len(order))]] = 0
    return module


def run(target: Target, budget: Budget, seed: int, progress: Progress = quiet) -> list[Result]:
    """Accuracy on the test images at the share where it is best; curve: (share, accuracy)."""
    stolen, curve = target.stolen(), []
    for number, share in enumerate(budget.shares):
        progress(f"pruning {share:.0%}", number, len(budget.shares))
        curve.append((share, measure(prune(stolen, share), target.victim.test)))
    best = max(curve, key=lambda point: point[1])
    without = measure(prune(target.victim.module, best[0]), target.victim.test)
    return [Result("accuracy, best share", best[1], without, tuple(curve))]
