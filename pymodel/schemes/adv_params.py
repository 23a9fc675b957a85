"""AdvParams (Xue et al.): a few parameters, chosen by their gradients, are perturbed until the accuracy collapses.

The positions and the values are the key. Only the abstract is public, so the details are our choices:

- A parameter may move to the least or the greatest value of its own tensor, so that it is no outlier there. Each round takes
  a fresh batch of training images and moves the parameter with the largest (gradient of the loss) x (distance).
- Rounds end when the accuracy on the batch is at most `target`, or after `rounds` rounds.
- A key holds, for each moved parameter, its position among all parameters (tensors in the order of their sorted names) as
  uint32 and its right value as float32, little-endian. The right key restores every bit.
"""

from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from deeplock.pymodel.schemes.scheme import Protected, Scheme
from deeplock.pymodel.schemes.victim import Victim

__all__ = ["ENTRY", "AdvParams"]

ENTRY = np.dtype([("position", "<u4"), ("value", "<f4")])
"""One parameter of a key, 8 bytes."""

_BATCH = 500


def _flat(module: nn.Module) -> torch.Tensor:
    return torch.cat([value.detach().flatten() for _, value in sorted(module.named_parameters())])


@torch.no_grad()
def _load(module: nn.Module, flat: torch.Tensor) -> nn.Module:
    start = 0
    for _, value in sorted(module.named_parameters()):
        value.copy_(flat[start : start + value.numel()].reshape(value.shape))
        start += value.numel()
    return module


def _gains(module: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, float]:
    """For each parameter, the loss that moving it gains to first order, and its new value; and the present accuracy."""
    module.zero_grad()
    outputs = module(inputs)
    nn.functional.cross_entropy(outputs, labels).backward()
    gains, ends = [], []
    for _, value in sorted(module.named_parameters()):
        data, gradient = value.detach(), value.grad
        assert gradient is not None
        end = torch.where(gradient > 0, data.max(), data.min())
        gains.append((gradient * (end - data)).flatten())
        ends.append(end.flatten())
    return torch.cat(gains), torch.cat(ends), float((outputs.argmax(1) == labels).float().mean())


@dataclass(frozen=True)
class AdvParams(Scheme):
    """`Protected.content` is the perturbed module.

    target  accuracy (0..1) on a batch of training images at which to stop
    rounds  most parameters that move
    """

    name: str = "adv-params"
    target: float = 0.12
    rounds: int = 200

    def protect(self, victim: Victim, seed: int) -> tuple[Protected, bytes]:
        module, right = deepcopy(victim.module), _flat(victim.module)
        generator = torch.Generator().manual_seed(seed)
        moved: set[int] = set()
        for _ in range(self.rounds):
            chosen = torch.randperm(len(victim.train), generator=generator)[:_BATCH]
            gains, ends, accuracy = _gains(module, victim.train.inputs(chosen), victim.train.labels[chosen])
            if accuracy <= self.target:
                break
            position = int(gains.argmax())
            flat = _flat(module)
            flat[position] = ends[position]
            _load(module, flat)
            moved.add(position)
        key = np.array([(position, float(right[position])) for position in sorted(moved)], ENTRY)
        return Protected(victim.name, module.eval()), key.tobytes()

    def authorise(self, protected: Protected, key: bytes | None) -> nn.Module:
        module = deepcopy(protected.content)
        entries, flat = np.frombuffer(key or b"", ENTRY), _flat(module)
        inside = entries[entries["position"] < len(flat)]  # a wrong key may point anywhere
        flat[torch.from_numpy(inside["position"].astype(np.int64))] = torch.from_numpy(inside["value"].copy())
        return _load(module, flat).eval()

    def random_key(self, protected: Protected, rng: np.random.Generator) -> bytes:
        """16 parameters, a guess at the right key's number that favours the thief; values are drawn from the network's."""
        flat = _flat(protected.content).numpy()
        key = np.empty(16, ENTRY)
        key["position"] = rng.choice(len(flat), len(key), replace=False)
        key["value"] = rng.choice(flat, len(key))
        return key.tobytes()
