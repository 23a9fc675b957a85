"""Fine-tuning: the thief trains the stolen network, without a key, on a share of the training data.

Training starts from the locked weights as they are, as in Deep-Lock's Figure 2. With `reset`, each tensor that cannot be
trained (not finite, or far too large) is first scaled to He's initialisation, as any thief would do. Random bytes read as
float32 are such tensors.

Yardstick, filled in by the caller: the best accuracy from scratch on the same data with the same budget (the scheme
`scratch`). At best, a lock makes the stolen weights worth nothing, so that fine-tuning does as well as that.
"""

from dataclasses import dataclass
from math import sqrt

import torch
from torch import nn

from deeplock.pymodel.attacks.attack import Result
from deeplock.pymodel.attacks.target import SCRATCH, Target, measure
from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.schemes.fit import fit
from deeplock.pymodel.schemes.victim import parameter_layers

__all__ = ["FULL", "NEEDS", "QUICK", "SCHEMES", "Budget", "reset", "run"]

NEEDS = "what is handed out, `share` of the labelled training images, and the time to train on them"
SCHEMES = (SCRATCH, "deep-lock", "hpnn", "adv-params", "secure-net")

_BATCH = 32
_CURVE_IMAGES = 500

_TOO_LARGE = 100.0
"""Largest root mean square of a tensor that can be trained, in multiples of He's."""


@dataclass(frozen=True)
class Budget:
    """share   of the training images that the thief has
    epochs     passes over them
    reset      whether tensors that cannot be trained are scaled first
    """

    share: float = 0.1
    epochs: int = 10
    learning_rate: float = 1e-3
    reset: bool = False


QUICK = (Budget(epochs=20, learning_rate=5e-3), Budget(epochs=20, learning_rate=5e-3, reset=True))
FULL = tuple(
    Budget(share, epochs, rate, reset)
    for share, epochs in ((0.1, 5), (0.05, 5), (0.01, 10))
    for rate in ((1e-3, 1e-4) if share == 0.1 else (1e-3,))
    for reset in (False, True)
)


@torch.no_grad()
def reset(module: nn.Module) -> None:
    """Scale the weights of each layer to He's initialisation, and clear its bias, if either cannot be trained.

    Weights are replaced by their ranks, so that one of 1e38 does not make all others 0; NaNs rank in the middle.
    """
    for _, layer in parameter_layers(module):
        usual = sqrt(2 / layer.weight[0].numel())
        for value in (layer.weight, layer.bias):
            assert value is not None
            rms = value.square().mean().sqrt()
            if rms.isfinite() and rms < _TOO_LARGE * usual:
                continue
            ranks = value.nan_to_num(0.0, 3e38, -3e38).flatten().argsort().argsort().float()
            uniform = (ranks / max(len(ranks) - 1, 1) * 2 - 1) * sqrt(3) * usual
            value.copy_(uniform.reshape(value.shape) if value.dim() > 1 else torch.zeros_like(value))


def run(target: Target, budget: Budget, seed: int, progress: Progress = quiet) -> list[Result]:
    """Accuracy on the test images at the end; curve: (epoch, accuracy on the first of them)."""
    victim, module = target.victim, target.stolen()
    if budget.reset:
        reset(module)
    count = round(budget.share * len(victim.train))
    chosen = torch.randperm(len(victim.train), generator=torch.Generator().manual_seed(seed))[:count]
    data = victim.train.take(chosen)
    few = victim.test.take(slice(0, _CURVE_IMAGES))
    curve = [(0.0, measure(module, few))]

    def loss(module: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(module(data.inputs(batch)).float(), data.labels[batch])

    def after_epoch(epoch: int) -> None:
        curve.append((float(epoch), measure(module, few)))
        progress(f"{count} images, epoch {epoch}: accuracy {curve[-1][1]:.3f}", epoch, budget.epochs)

    finite = fit(module, loss, count, budget.epochs, budget.learning_rate, seed, _BATCH, after_epoch)
    if not finite:
        curve += [(float(epoch), curve[-1][1]) for epoch in range(len(curve), budget.epochs + 1)]
    return [Result("accuracy", measure(module, victim.test), None, tuple(curve))]
