"""The measurements of `deeplock evaluate --paper`: trained networks with the right key and with many wrong ones."""

import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deeplock.bench.environment import machine, versions
from deeplock.bench.workload import LOCKED
from deeplock.pymodel.compiler import interpreter
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.files import write_json
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.progress import Progress, quiet, within
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.zoo import datasets, trained
from deeplock.pymodel.zoo.evaluation import accuracy, golden_ofmaps, ofmaps_of_keys
from deeplock.pymodel.zoo.preprocess import quantise_input

__all__ = ["Trial", "measure"]

_FLOAT = "full test set, by the recorded `{}`: float checkpoints are not kept"
_CHECKED = 20
"""Images on which the interpreter checks the first wrong key's ofmaps."""


@dataclass(frozen=True)
class Trial:
    """wrong_keys   number of random wrong keys
    wrong_images   number of test images, the first ones, for each wrong key
    seed           seed of all keys
    """

    wrong_keys: int = 100
    wrong_images: int = 2000
    seed: int = 0


def _settings(name: str, trial: Trial, images: int) -> dict[str, Any]:
    """The settings that determine the figures; an entry with the same settings is kept."""
    return {
        "seed": trial.seed,
        "suite": LOCKED,
        "array": {name: getattr(Config(), name) for name in ("rows", "cols", "bytes_per_beat")},
        "wrong_keys": trial.wrong_keys,
        "images": images,
        "wrong_key_images": min(trial.wrong_images, images),
        "network_sha256": hashlib.sha256(trained.path_of(name).read_bytes()).hexdigest(),
    }


def _parameters(network: Network) -> int:
    return sum(layer.parameters for layer in network.layers)


def _measure(
    name: str, network: Network, data: datasets.Dataset, settings: dict[str, Any], progress: Progress
) -> dict[str, Any]:
    """The figures of one network. The keys come from the seed and the network's name, and are never shown."""
    start = time.monotonic()
    config = Config(suite=LOCKED)
    rng = np.random.default_rng([settings["seed"], *name.encode()])
    keys = rng.integers(0, 256, (1 + settings["wrong_keys"], 16), np.uint8)
    ifmaps = quantise_input(network, data.test_images)
    few, labels = ifmaps[: settings["wrong_key_images"]], data.test_labels
    loadable = compile_network(network, config, rng).locked(LOCKED, keys[0].tobytes())

    expected = golden_ofmaps(network, ifmaps, progress=within(progress, f"{name}, int8"))
    say = within(progress, f"{name}, locked, right key")
    (unlocked,) = ofmaps_of_keys(loadable, keys[:1], ifmaps, config, progress=say)
    if not np.array_equal(unlocked, expected):
        raise DeeplockError(f"{name}: unlocked with the right key, the loadable is not the int8 network")
    say = within(progress, f"{name}, locked, {settings['wrong_keys']} wrong keys")
    garbage = ofmaps_of_keys(loadable, keys[1:], few, config, progress=say)
    checked = interpreter.run(loadable, keys[1].tobytes(), few[:_CHECKED], config)
    if not np.array_equal(garbage[0][:_CHECKED], checked):
        raise DeeplockError(f"{name}: the fast interpreter is not exact on this machine")
    wrong = [accuracy(ofmaps, labels[: len(few)]) for ofmaps in garbage]

    record = trained.record(name)
    return {
        "parameters": _parameters(network),
        "float": record["accuracy"]["float"],
        "int8": accuracy(expected, labels),
        "unlocked": accuracy(unlocked, labels),
        "wrong_key_mean": float(np.mean(wrong)),
        "wrong_key_std": float(np.std(wrong)),
        "wrong_key_accuracies": wrong,
        **settings,
        "float_source": _FLOAT.format(record["command"]),
        "seconds": round(time.monotonic() - start),
        "machine": machine(),
        "versions": versions("deeplock", "numpy"),
    }


def _earlier(path: Path) -> dict[str, Any]:
    """The networks of a result file, or none if there is no such file."""
    try:
        return json.loads(path.read_text())["networks"] if path.exists() else {}
    except (ValueError, KeyError, TypeError):
        raise DeeplockError(f"{path}: not a result of `deeplock evaluate --paper`: remove it or give --fresh") from None


def measure(
    names: Sequence[str],
    trial: Trial,
    path: Path,
    data_dir: str | os.PathLike[str] | None = None,
    fresh: bool = False,
    progress: Progress = quiet,
) -> dict[str, dict[str, Any]]:
    """The figures of these trained networks, by their names.

    path   result file, rewritten after each network; its figures of the same trial are kept unless `fresh`
    """
    results = {} if fresh else _earlier(path)
    options = f"--data DIR --keys {trial.wrong_keys} --wrong-images {trial.wrong_images} --seed {trial.seed}"
    for name in names:
        network = trained.load(name)
        progress(f"{name}: reading data set {network.dataset}")
        data = datasets.load(network.dataset, data_dir)
        settings = _settings(name, trial, len(data.test_images))
        if settings.items() <= results.get(name, {}).items():
            progress(f"{name}: measured already (--fresh measures again)")
        else:
            results[name] = _measure(name, network, data, settings, progress)
        ordered = {name: results[name] for name in trained.NAMES if name in results}
        command = f"deeplock evaluate --paper --networks {','.join(ordered)} {options}"
        write_json(path, {"command": command, "networks": ordered})
    return {name: results[name] for name in names}
