"""Training of the networks, and their float checkpoints. Same seed, same threads, same machine: same bits."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from pymodel import checkpoint, datasets, networks
from pymodel.errors import DeeplockError
from pymodel.preprocess import to_real

__all__ = ["Epoch", "train", "accuracy", "to_input", "save_checkpoint", "load_checkpoint"]


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training images came to: mean cross-entropy (nats), accuracy on the test images (0..1)."""

    number: int
    loss: float
    accuracy: float


@contextmanager
def _deterministic(seed: int, threads: int) -> Iterator[None]:
    """PyTorch's global state set for a run that repeats bit for bit, and put back afterwards."""
    before = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True)
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before[0])
            torch.set_num_threads(before[1])


def to_input(dataset: str, images: np.ndarray) -> torch.Tensor:
    """Network input float32 [n, channels, height, width] from uint8 images [n, height, width, channels]."""
    return torch.from_numpy(to_real(dataset, images)).permute(0, 3, 1, 2).contiguous()


@torch.no_grad()
def accuracy(module: nn.Module, images: torch.Tensor, labels: torch.Tensor, batch: int = 512) -> float:
    """Share (0..1) of images [n, channels, height, width] whose largest output is the label's. Sets evaluation mode."""
    module.eval()
    pairs = zip(images.split(batch), labels.split(batch), strict=True)
    return sum(int((module(x).argmax(1) == y).sum()) for x, y in pairs) / len(labels)


def train(
    name: str,
    *,
    seed: int = 0,
    epochs: int = 30,
    batch: int = 64,
    learning_rate: float = 0.01,
    threads: int = 1,
    data: datasets.Dataset | None = None,
    progress: Callable[[Epoch], None] | None = None,
) -> tuple[nn.Module, list[Epoch]]:
    """Train the network `name` on its data set: Adam, learning rate one-cycle, cross-entropy.

    learning_rate  peak of the cycle
    threads        of PyTorch; part of what makes a run repeatable, because sums are split over them
    data           the data set, loaded by the network's name if not given
    progress       called after every epoch
    """
    if epochs < 1:
        raise DeeplockError(f"epochs must be 1 or more, not {epochs}")
    data = data or datasets.load(networks.dataset_of(name))
    images, labels = to_input(data.name, data.train_images), torch.from_numpy(data.train_labels)
    test_images, test_labels = to_input(data.name, data.test_images), torch.from_numpy(data.test_labels)
    history = []
    with _deterministic(seed, threads):
        module = networks.build(name)
        optimiser = torch.optim.Adam(module.parameters(), lr=learning_rate)
        steps = -(-len(images) // batch)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, epochs=epochs, steps_per_epoch=steps)
        for number in range(1, epochs + 1):
            module.train()
            total = 0.0
            for chosen in torch.randperm(len(images)).split(batch):
                optimiser.zero_grad()
                loss = nn.functional.cross_entropy(module(images[chosen]), labels[chosen])
                loss.backward()
                optimiser.step()
                schedule.step()
                total += loss.item() * len(chosen)
            history.append(Epoch(number, total / len(images), accuracy(module, test_images, test_labels)))
            if progress:
                progress(history[-1])
    return module.eval(), history


def save_checkpoint(path: str | os.PathLike[str], module: nn.Module, name: str, seed: int) -> None:
    """Write the module's parameters under their PyTorch names; metadata: network, data set, seed."""
    tensors = {key: value.detach().cpu().contiguous().numpy() for key, value in module.state_dict().items()}
    metadata = {"network": name, "dataset": networks.dataset_of(name), "seed": str(seed)}
    checkpoint.save(path, checkpoint.Checkpoint(tensors, metadata))


def load_checkpoint(path: str | os.PathLike[str]) -> tuple[nn.Module, str]:
    """The module in evaluation mode with the parameters of a file of `save_checkpoint`, and the network's name."""
    loaded = checkpoint.load(path)
    name = loaded.metadata.get("network", "")
    if name not in networks.NAMES:
        raise DeeplockError(f"checkpoint {path}: its metadata must name a network ({', '.join(networks.NAMES)})")
    module = networks.build(name)
    expected = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    found = {key: value.shape for key, value in loaded.tensors.items()}
    if found != expected:
        wrong = sorted(key for key in expected | found if expected.get(key) != found.get(key))
        raise DeeplockError(f"checkpoint {path}: not of network {name}: wrong {', '.join(wrong)}")
    module.load_state_dict({key: torch.from_numpy(value.copy()) for key, value in loaded.tensors.items()})
    return module.eval(), name
