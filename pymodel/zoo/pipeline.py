"""Quantised networks, from training, from its checkpoint or from a program that torch.export saved. Imports PyTorch."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.frontends.agreement import Agreement
from deeplock.pymodel.frontends.quantise import quantise
from deeplock.pymodel.network.foreign import advice, engine_of, is_exported
from deeplock.pymodel.network.network import Network, output_shapes
from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.spec.tensor import Pixels
from deeplock.pymodel.zoo import networks, train
from deeplock.pymodel.zoo.datasets import CLASSES, Dataset, load
from deeplock.pymodel.zoo.images import labelled_images, read_images
from deeplock.pymodel.zoo.recipes import Recipe, recipe_for

__all__ = ["Trained", "quantise_checkpoint", "quantise_program", "train_and_quantise"]

CALIBRATION_IMAGES = 256
"""Training images whose activations set the scales."""


@dataclass(frozen=True, eq=False)
class Trained:
    """accuracy  of the float network on all test images (0..1), measured once, at the end
    seconds      that training took
    """

    module: nn.Module
    network: Network
    data: Dataset
    recipe: Recipe
    accuracy: float
    seconds: float


def train_and_quantise(
    name: str,
    seed: int,
    epochs: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    progress: Progress = quiet,
) -> Trained:
    """Train the network `name` on its data set, then quantise it to int8."""
    data = load(networks.dataset_of(name), data_dir)
    recipe = recipe_for(name)
    recipe = recipe if epochs is None else replace(recipe, epochs=epochs)
    start = time.monotonic()
    module, _ = train.train(name, seed=seed, recipe=recipe, data=data, progress=progress)
    seconds = time.monotonic() - start
    progress(f"testing {name}")
    accuracy = train.accuracy(module, train.to_input(data.name, data.test_images), torch.from_numpy(data.test_labels))
    progress(f"quantising {name}")
    network, _ = _quantise_trained(module, name, train.to_input(data.name, data.train_images[:CALIBRATION_IMAGES]))
    return Trained(module, network, data, recipe, accuracy, seconds)


def _quantise_trained(module: nn.Module, name: str, calibration: torch.Tensor) -> tuple[Network, Agreement]:
    """A network of pymodel.zoo.networks in int8."""
    dataset = networks.dataset_of(name)
    return quantise(module, calibration, name, classes=CLASSES[dataset], dataset=dataset)


def quantise_checkpoint(
    path: Path, calibration: Path | None = None, data_dir: str | os.PathLike[str] | None = None
) -> tuple[Network, Agreement]:
    """The int8 network of a checkpoint of `deeplock train`, and how well it agrees with the checkpoint's.

    calibration   a path for pymodel.zoo.images.read_images; None: the training images that `train_and_quantise` takes, so that
                  the network is the same
    data_dir      folder of the data sets
    """
    module, name = train.load_checkpoint(path)
    dataset = networks.dataset_of(name)
    if calibration is None:
        return _quantise_trained(
            module, name, train.to_input(dataset, load(dataset, data_dir).train_images[:CALIBRATION_IMAGES])
        )
    found = labelled_images(calibration, data_dir, dataset, networks.input_shape_of(name), None)
    return _quantise_trained(module, name, _as_input(found.real))


def _as_input(real: np.ndarray) -> torch.Tensor:
    """float32 [n, channels, height, width] from real images [n, height, width, channels]."""
    return torch.from_numpy(real).float().permute(0, 3, 1, 2).contiguous()


def _program(path: Path, images: torch.Tensor) -> torch.export.ExportedProgram:
    if engine_of(path) == "onnx":
        from deeplock.pymodel.frontends.onnx.module import read_module  # takes a second, and not everybody needs it

        return read_module(path, images)
    if not is_exported(path):
        raise DeeplockError(f"{path}: {advice(path) or 'not a program that torch.export saved'}")
    try:
        return torch.export.load(path)
    except Exception as error:  # torch may raise anything on a file of another kind
        raise DeeplockError(f"{path}: not a program that torch.export saved ({error})") from None


def quantise_program(
    path: Path, calibration: Path, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
) -> tuple[Network, Agreement]:
    """The int8 network of an exported program (.pt2) or of an ONNX file in float, and how well it agrees with the program.

    The program takes float [n, channels, height, width], [n, channels, width] or [n, features].

    calibration   images like those that it will see: a path for pymodel.zoo.images.read_images
    mean, std     one number for all channels or one for each; the program takes (pixel / 255 - mean) / std. None: 0 and 1
    """
    pixels = Pixels.normalised(mean, std)
    found = read_images(calibration, pixels)
    images = _as_input(found.real)
    if not path.is_file():
        raise DeeplockError(f"{path}: no such file")
    network, agreement = quantise(_program(path, images), images, path.stem)
    outputs = output_shapes(network)[network.layers[-1].name][2]
    classes = found.classes if len(found.classes) == outputs and not network.outputs else ()
    return replace(network, pixels=pixels, classes=classes), agreement
