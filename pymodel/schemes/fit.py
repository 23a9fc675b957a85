"""Training for owner and thief alike: AdamW with a cosine learning rate, in bfloat16 if the processor has it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import cos, isfinite, pi

import torch
from torch import nn

__all__ = ["fit", "seeded"]

Loss = Callable[[nn.Module, torch.Tensor], torch.Tensor]
"""(module, indices of the batch's images) -> loss."""


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Set PyTorch's global generator for the body, and restore it afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def fit(
    module: nn.Module,
    loss: Loss,
    count: int,
    epochs: int,
    learning_rate: float,
    seed: int,
    batch: int = 64,
    after_epoch: Callable[[int], None] = lambda epoch: None,
) -> bool:
    """Train the module in place on `count` images; False if training ended early because the loss was not finite.

    after_epoch  called with the number of epochs done, from 1 on
    """
    module.to(memory_format=torch.channels_last)  # pyright: ignore
    optimiser = torch.optim.AdamW(module.parameters(), learning_rate)
    narrow = bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    steps, step = epochs * -(-count // batch), 0
    with seeded(seed):
        for epoch in range(1, epochs + 1):
            module.train()
            for chosen in torch.randperm(count).split(batch):
                for group in optimiser.param_groups:
                    group["lr"] = learning_rate * 0.5 * (1 + cos(pi * step / steps))
                step += 1
                optimiser.zero_grad()
                with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
                    value = loss(module, chosen)
                if not isfinite(value.item()):
                    return False
                value.backward()
                optimiser.step()
            module.eval()
            after_epoch(epoch)
    return True
