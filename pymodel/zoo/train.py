"""Training of the networks, and their float checkpoints. Same seed, same threads, same machine: same bits."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import numpy as np
import torch
from torch import nn

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock import checkpoint
from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.zoo import datasets, networks
from deeplock.pymodel.zoo.augment import augment
from deeplock.pymodel.zoo.preprocess import to_real
from deeplock.pymodel.zoo.recipes import Recipe, recipe_for

__all__ = ["Epoch", "train", "accuracy", "precision", "to_input", "save_checkpoint", "load_checkpoint"]

_CHANCE = 1.5
"""Multiple of chance: a network whose accuracy is below it after _PATIENCE steps does not learn."""

_PATIENCE = 100


@dataclass(frozen=True)
class Epoch:
    """Figures of one pass over the training images.

    loss      mean cross-entropy (nats)
    accuracy  share (0..1) of the held-out training images, or of the test images if the recipe holds out none
    seconds   it took
    """

    number: int
    loss: float
    accuracy: float
    seconds: float


@contextmanager
def _deterministic(seed: int, threads: int) -> Iterator[None]:
    """Set PyTorch's global state so that a run repeats bit for bit, and restore it afterwards."""
    fill: Any = torch.utils.deterministic
    before = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads(), fill.fill_uninitialized_memory
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True)
        torch.set_num_threads(threads)
        fill.fill_uninitialized_memory = False  # costs time and finds only programming errors
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before[0])
            torch.set_num_threads(before[1])
            fill.fill_uninitialized_memory = before[2]


def precision(recipe: Recipe) -> str:
    """Number format of the recipe's convolutions on this processor: "bfloat16" or "float32"."""
    return "bfloat16" if recipe.bfloat16 and torch.cpu.get_capabilities().get("avx512_bf16") else "float32"


def to_input(dataset: str, images: np.ndarray) -> torch.Tensor:
    """Network input float32 [n, channels, height, width] from uint8 images [n, height, width, channels].

    Channels-last in memory.
    """
    return torch.from_numpy(to_real(dataset, images)).permute(0, 3, 1, 2)


@torch.no_grad()
def accuracy(module: nn.Module, images: torch.Tensor, labels: torch.Tensor, batch: int = 512) -> float:
    """Share (0..1) of images [n, channels, height, width] whose largest output is the label's. Sets evaluation mode."""
    module.eval()
    pairs = zip(images.split(batch), labels.split(batch), strict=True)
    return sum(int((module(x).argmax(1) == y).sum()) for x, y in pairs) / len(labels)


def _check_learning(name: str, epoch: Epoch, steps: int, classes: int) -> None:
    """Raise `DeeplockError` at the first epoch that ends after _PATIENCE steps if accuracy is still at chance."""
    before, after = steps * (epoch.number - 1), steps * epoch.number
    if before < _PATIENCE <= after and epoch.accuracy < _CHANCE / classes:
        raise DeeplockError(
            f"training {name}: accuracy {epoch.accuracy:.3f} after {after} steps is no better than chance "
            f"({1 / classes:.3f}): check the labels, take a lower learning rate"
        )


def train(
    name: str,
    *,
    seed: int = 0,
    epochs: int | None = None,
    recipe: Recipe | None = None,
    data: datasets.Dataset | None = None,
    progress: Progress = quiet,
) -> tuple[nn.Module, list[Epoch]]:
    """Train the network `name` on its data set. `DeeplockError` early on if the loss overflows or stays at chance.

    epochs    instead of the recipe's
    recipe    by default the network's own
    data      by default the network's data set, if it is bundled
    progress  called after every epoch
    """
    recipe = recipe or recipe_for(name)
    recipe = recipe if epochs is None else replace(recipe, epochs=epochs)
    data = data or datasets.load(networks.dataset_of(name))
    images, labels = torch.from_numpy(data.train_images), torch.from_numpy(data.train_labels)
    if recipe.validation:
        held_images, held_labels = data.train_images[-recipe.validation :], labels[-recipe.validation :]
        images, labels = images[: -recipe.validation], labels[: -recipe.validation]
    else:
        held_images, held_labels = data.test_images, torch.from_numpy(data.test_labels)
    held, judges = to_input(data.name, held_images), "held-out" if recipe.validation else "test"
    history = []
    with _deterministic(seed, recipe.threads):
        module = networks.build(name).to(memory_format=torch.channels_last)  # pyright: ignore
        optimiser = torch.optim.AdamW(module.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
        steps = -(-len(images) // recipe.batch)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, recipe.learning_rate, epochs=recipe.epochs, steps_per_epoch=steps
        )
        autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision(recipe) == "bfloat16")
        for number in range(1, recipe.epochs + 1):
            module.train()
            start, total = time.monotonic(), 0.0
            for chosen in torch.randperm(len(images)).split(recipe.batch):
                batch = to_input(data.name, augment(images[chosen], recipe.shift, recipe.mirror).numpy())
                optimiser.zero_grad()
                with autocast:
                    outputs = module(batch)
                loss = nn.functional.cross_entropy(outputs.float(), labels[chosen])
                loss.backward()
                optimiser.step()
                schedule.step()
                total += loss.item() * len(chosen)
                if not isfinite(total):
                    raise DeeplockError(f"training {name}: the loss is {loss.item()}: take a lower learning rate")
            accurate = accuracy(module, held, held_labels)
            history.append(Epoch(number, total / len(images), accurate, time.monotonic() - start))
            _check_learning(name, history[-1], steps, len(data.classes))
            progress(
                f"training {name}: loss {history[-1].loss:.4f}, accuracy {accurate:.4f} on {judges} images",
                number,
                recipe.epochs,
            )
    return module.to(memory_format=torch.contiguous_format).eval(), history  # pyright: ignore


def _parameters(module: nn.Module) -> dict[str, torch.Tensor]:
    """The module's float32 state. A batch norm's count of batches (int64) only matters in training."""
    return {name: value for name, value in module.state_dict().items() if value.is_floating_point()}


def save_checkpoint(path: str | os.PathLike[str], module: nn.Module, name: str, seed: int) -> None:
    """Write the module's parameters, and its batch norms' statistics, under their PyTorch names.

    Metadata: network, data set, seed.
    """
    tensors = {key: value.detach().cpu().contiguous().numpy() for key, value in _parameters(module).items()}
    metadata = {"network": name, "dataset": networks.dataset_of(name), "seed": str(seed)}
    checkpoint.save(path, checkpoint.Checkpoint(tensors, metadata))


def load_checkpoint(path: str | os.PathLike[str]) -> tuple[nn.Module, str]:
    """Read a file of `save_checkpoint`: the module, in evaluation mode, and the network's name."""
    loaded = checkpoint.load(path)
    if loaded.locked_by is not None:
        raise DeeplockError(f"checkpoint {path}: is locked by suite {loaded.locked_by}: unlock it first")
    name = loaded.metadata.get("network", "")
    if name not in networks.NAMES:
        raise DeeplockError(
            f"checkpoint {path}: its metadata must name a network ({', '.join(networks.NAMES)}): "
            "export a network of your own from PyTorch (docs/bring-your-own-network.md)"
        )
    module = networks.build(name)
    expected = {key: tuple(value.shape) for key, value in _parameters(module).items()}
    found = {key: value.shape for key, value in loaded.tensors.items()}
    if found != expected:
        wrong = sorted(key for key in expected | found if expected.get(key) != found.get(key))
        raise DeeplockError(f"checkpoint {path}: not of network {name}: wrong {', '.join(wrong)}")
    module.load_state_dict({key: torch.from_numpy(value.copy()) for key, value in loaded.tensors.items()})
    return module.eval(), name
