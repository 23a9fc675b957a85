"""Trained int8 networks that come with deeplock: NAME.safetensors, and NAME.json, which records its training.

To make one again, set DEEPLOCK_DATA to the folder of the data sets and run

    deeplock train NAME -o build/NAME --json pymodel/zoo/trained/NAME.json
    cp build/NAME.int8.safetensors pymodel/zoo/trained/NAME.safetensors
"""

import json
from pathlib import Path
from typing import Any

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.network.network_file import load_network

__all__ = ["NAMES", "path_of", "load", "record"]

_FOLDER = Path(__file__).parent

NAMES = ("digits", "mnist", "fashion-mnist", "cifar10", "gtsrb")


def path_of(name: str) -> Path:
    """The network's file, which `deeplock compile` takes."""
    if name not in NAMES:
        raise DeeplockError(f"no trained network {name!r}: must be one of {', '.join(NAMES)}")
    return _FOLDER / f"{name}.safetensors"


def load(name: str) -> Network:
    """The trained network of that name. Needs no PyTorch."""
    return load_network(path_of(name))


def record(name: str) -> dict[str, Any]:
    """What `deeplock train --json` wrote: accuracies (0..1) on all test images, seed, versions and more."""
    return json.loads(path_of(name).with_suffix(".json").read_text())
