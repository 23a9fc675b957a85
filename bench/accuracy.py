"""The measurements of `deeplock evaluate --paper`: the paper's networks with the right key and with many wrong ones."""

import argparse
import hashlib
import json
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from deeplock.bench.rtl import machine
from deeplock.cli.output import Progress, percent, print_table, write_json
from deeplock.pymodel.compiler import interpreter
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.zoo import datasets, trained
from deeplock.pymodel.zoo.evaluation import accuracy, golden_ofmaps, ofmaps_of_keys
from deeplock.pymodel.zoo.preprocess import quantise_input

__all__ = ["evaluate_paper", "table"]

_FLOAT = "full test set, by the recorded `{}`: float checkpoints are not kept"
_CHECKED = 20
"""Images on which the interpreter repeats what the first wrong key gives."""


def _settings(name: str, args: argparse.Namespace, images: int) -> dict[str, Any]:
    """What decides the figures: an entry with the same is kept."""
    return {
        "seed": args.seed,
        "suite": Config.suite,
        "array": {name: getattr(Config(), name) for name in ("rows", "cols", "bytes_per_beat")},
        "wrong_keys": args.wrong_keys,
        "images": images,
        "wrong_key_images": min(args.wrong_images, images),
        "network_sha256": hashlib.sha256(trained.path_of(name).read_bytes()).hexdigest(),
    }


def _parameters(network: Network) -> int:
    return sum(layer.parameters for layer in network.layers)


def _timed(progress: Callable[[str], None], text: str) -> Callable[[int, int], None]:
    """Tells how far it is and, from what it took so far, how long it will take yet."""
    start = time.monotonic()

    def say(done: int, total: int) -> None:
        left = (time.monotonic() - start) * (total - done) / done
        progress(f"{text}: {100 * done / total:.0f} %, {left:.0f} s left")

    return say


def _measure(
    name: str, network: Network, data: datasets.Dataset, settings: dict[str, Any], progress: Callable[[str], None]
) -> dict[str, Any]:
    """The figures of one network. The keys come from the seed and the network's name, and are told to nobody."""
    start = time.monotonic()
    config = Config()
    rng = np.random.default_rng([settings["seed"], *name.encode()])
    keys = rng.integers(0, 256, (1 + settings["wrong_keys"], 16), np.uint8)
    ifmaps = quantise_input(network, data.test_images)
    few, labels = ifmaps[: settings["wrong_key_images"]], data.test_labels
    loadable = compile_network(network, config, rng).locked(config.suite, keys[0].tobytes())

    expected = golden_ofmaps(network, ifmaps, progress=_timed(progress, f"{name}, int8"))
    say = _timed(progress, f"{name}, locked, right key")
    (unlocked,) = ofmaps_of_keys(loadable, keys[:1], ifmaps, config, progress=say)
    if not np.array_equal(unlocked, expected):
        raise DeeplockError(f"{name}: unlocked with the right key, the loadable is not the int8 network")
    say = _timed(progress, f"{name}, locked, {settings['wrong_keys']} wrong keys")
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
        "versions": {name: version(name) for name in ("deeplock", "numpy")},
    }


def _earlier(path: Path) -> dict[str, Any]:
    """The networks of a result file, or none if there is no such file."""
    try:
        return json.loads(path.read_text())["networks"] if path.exists() else {}
    except (ValueError, KeyError, TypeError):
        raise DeeplockError(f"{path}: not a result of `deeplock evaluate --paper`: remove it or give --fresh") from None


def table(networks: dict[str, Any]) -> tuple[list[str], list[list[object]]]:
    """Head and rows of what was measured."""
    head = ["network", "parameters", "float32", "int8", "locked, right key", "locked, wrong keys"]
    return head, [
        [
            name,
            f"{entry['parameters']:,}",
            *(percent(entry[column]) for column in ("float", "int8", "unlocked")),
            f"{percent(entry['wrong_key_mean'])} ± {100 * entry['wrong_key_std']:.2f}",
        ]
        for name, entry in networks.items()
    ]


def evaluate_paper(args: argparse.Namespace) -> None:
    """Measure the networks that are not in the file yet; it is written anew after each."""
    results = {} if args.fresh else _earlier(args.json)
    command = f"deeplock evaluate --paper --data DIR --keys {args.wrong_keys} --wrong-images {args.wrong_images}"
    shown = {}
    with Progress() as progress:
        for name in args.networks:
            network = trained.load(name)
            progress(f"{name}: reading data set {network.dataset}")
            data = datasets.load(network.dataset, args.data_dir)
            settings = _settings(name, args, len(data.test_images))
            entry = results.get(name, {})
            if settings.items() <= entry.items():
                progress(f"{name}: measured already (--fresh measures again)")
            else:
                entry = _measure(name, network, data, settings, progress)
            results[name] = shown[name] = entry
            ordered = {name: results[name] for name in trained.NAMES if name in results}
            write_json(args.json, {"command": f"{command} --seed {args.seed}", "networks": ordered})
    head, rows = table(shown)
    print_table(rows, head)
    print(f"figures: {args.json}")
