"""The measurements of `deeplock demo`."""

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deeplock.cli.demo import WRONG_KEY_IMAGES, WRONG_KEYS
from deeplock.cli.images import Labelled
from deeplock.cli.rtl import RtlRun, run_on_rtl
from deeplock.cli.training import train_and_quantise
from deeplock.pymodel.compiler import interpreter
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.network import golden, reference
from deeplock.pymodel.network.network_file import save_network
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.loadable import write_loadable
from deeplock.pymodel.zoo.preprocess import to_real
from deeplock.pymodel.zoo.train import save_checkpoint

__all__ = ["Measured", "measure"]


@dataclass(frozen=True, eq=False)
class Measured:
    """report        the figures of report.json
    wrong         accuracy (0..1) under each wrong key
    plain, locked runs on the RTL without and with the lock
    images, labels  uint8 [n, h, w, c] and int [n] of the test images that the RTL saw
    answers       class by image: with the right key (RTL), with a wrong key (RTL on the first, then interpreter)
    plain_bytes, locked_bytes  uint8, the parameters
    """

    report: dict[str, Any]
    wrong: list[float]
    plain: RtlRun
    locked: RtlRun
    images: np.ndarray
    labels: np.ndarray
    answers: tuple[np.ndarray, np.ndarray]
    plain_bytes: np.ndarray
    locked_bytes: np.ndarray


def _classes(ofmaps: np.ndarray) -> np.ndarray:
    return ofmaps.reshape(len(ofmaps), -1).argmax(axis=1)


def measure(
    config: Config, args: argparse.Namespace, builds: Sequence[Future], progress: Callable[[str], None]
) -> Measured:
    """Train, compile, lock and run; `args` are those of `deeplock demo`, `builds` the simulations in the making."""
    trained = train_and_quantise("digits", args.seed, progress=progress)
    network, data = trained.network, trained.data
    test = Labelled(to_real(data.name, data.test_images), data.test_labels)
    ifmaps = test.ifmaps(network.input)
    first = ifmaps[: args.count]

    rng = np.random.default_rng(args.seed)  # keys that protect nothing, so that the figures come out the same again
    plain_loadable = compile_network(network, config, rng)
    key = rng.bytes(16)
    loadable = plain_loadable.locked(config.suite, key)
    save_checkpoint(args.output / "digits.float.safetensors", trained.module, network.name, args.seed)
    save_network(args.output / "digits.int8.safetensors", network)
    write_loadable(args.output / "digits.locked.loadable", loadable)

    progress("golden model and PyTorch reference")
    last = network.layers[-1].name
    expected = golden.run(network, ifmaps)[last]
    by_torch = reference.run(network, first)[last].numpy()

    wrong_keys = [rng.bytes(16) for _ in range(WRONG_KEYS)]
    wrong_ofmaps = []
    for number, wrong_key in enumerate(wrong_keys, 1):
        progress(f"wrong key {number} of {WRONG_KEYS} on {len(ifmaps)} images")
        wrong_ofmaps.append(interpreter.run(loadable, wrong_key, ifmaps, config))
    wrong = [float((_classes(ofmaps) == test.labels).mean()) for ofmaps in wrong_ofmaps]
    unlocked = interpreter.run(loadable, key, ifmaps, config)

    progress(f"building the accelerator for {args.simulator}, with and without unlock unit")
    for build in builds:
        build.result()
    locked = run_on_rtl(loadable, config, key, first, args.simulator, progress=progress)
    plain = run_on_rtl(plain_loadable, replace(config, suite="plain"), b"", first, args.simulator, progress=progress)
    garbage = run_on_rtl(loadable, config, wrong_keys[0], first[:WRONG_KEY_IMAGES], args.simulator, progress=progress)
    mismatches = locked.mismatches + plain.mismatches + garbage.mismatches
    for run in (locked, plain):
        mismatches += int((run.ofmaps != expected[: len(first)]).sum()) + int((run.ofmaps != by_torch).sum())

    with_wrong_key = _classes(wrong_ofmaps[0][: len(first)])
    with_wrong_key[: len(garbage.ofmaps)] = _classes(garbage.ofmaps)
    report = {
        "network": network.name,
        "images": len(ifmaps),
        "accuracy": {
            "float": trained.accuracy,
            "int8": test.accuracy(expected),
            "unlocked": test.accuracy(unlocked),
            "wrong_key_mean": float(np.mean(wrong)),
            "wrong_keys": len(wrong),
        },
        "rtl": {
            "simulator": args.simulator,
            "rows": config.rows,
            "cols": config.cols,
            "bytes_per_beat": config.bytes_per_beat,
            "images": len(first),
            "mismatches": mismatches,
            "cycles_plain": plain.cycles_per_image,
            "cycles_locked": locked.cycles_per_image,
            "key_starved_cycles": locked.per_image("KEY_STARVED"),
            "param_starved_cycles": locked.per_image("PARAM_STARVED"),
            "lower_bound": loadable.interface.lower_bound,
        },
    }
    return Measured(
        report,
        wrong,
        plain,
        locked,
        data.test_images[: len(first)],
        data.test_labels[: len(first)],
        (_classes(locked.ofmaps), with_wrong_key),
        np.frombuffer(plain_loadable.parameters, np.uint8),
        np.frombuffer(loadable.parameters, np.uint8),
    )
