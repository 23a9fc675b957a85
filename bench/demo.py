"""The measurements of `deeplock demo`: the whole flow, from training to the RTL."""

import os
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from deeplock.bench.workload import LOCKED
from deeplock.pymodel.compiler import interpreter
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.keyfile import write_key
from deeplock.pymodel.network import golden
from deeplock.pymodel.network.network_file import save_network
from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.loadable import write_loadable
from deeplock.pymodel.zoo.images import Labelled
from deeplock.pymodel.zoo.preprocess import to_real
from deeplock.sim.build import build
from deeplock.sim.rtl import RtlRun, run_on_rtl

__all__ = ["FILES", "KEY", "Measured", "measure"]

FILES = ("digits.float.safetensors", "digits.int8.safetensors", "digits.locked.loadable")
"""What `measure` writes: checkpoint, network and loadable."""

KEY = "digits.key"
"""And the loadable's key."""

_WRONG_KEYS = 20
_WRONG_KEY_IMAGES = 3
"""Images that go through the RTL with a wrong key."""


@dataclass(frozen=True, eq=False)
class Measured:
    """report        the figures of report.json
    wrong         accuracy (0..1) under each wrong key
    plain, locked runs on the RTL without and with the lock
    images, labels  uint8 [n, h, w, c] and int [n] of the test images that the RTL saw
    answers       class of each image with the right key (RTL), and with a wrong key (RTL on the first, then interpreter)
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
    folder: Path, images: int = 20, seed: int = 0, simulator: str = "verilator", progress: Progress = quiet
) -> Measured:
    """Train, quantise, compile and lock `digits`, and run it on the RTL.

    folder   takes the checkpoint, the network, the locked loadable and its key
    images   test images for the RTL
    seed     seed of the training and of the keys

    Raises DeeplockError if there is a key in the folder without a loadable: it is somebody else's.
    """
    if os.path.lexists(folder / KEY) and not (folder / FILES[-1]).exists():
        raise DeeplockError(f"key file {folder / KEY}: exists already, and is kept")
    config = Config(suite=LOCKED)
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        # C++ compilers and PyTorch share the cores; a build that exists is reused
        builds = [pool.submit(build, each, simulator) for each in (config, config.with_suite("plain"))]
        return _measure(config, folder, images, seed, simulator, builds, progress)


def _measure(
    config: Config,
    folder: Path,
    images: int,
    seed: int,
    simulator: str,
    builds: Sequence[Future],
    progress: Progress,
) -> Measured:
    """As `measure`; `builds` are simulations that are still being built."""
    from deeplock.pymodel.network import reference  # these import PyTorch, while the builds run
    from deeplock.pymodel.zoo.pipeline import train_and_quantise
    from deeplock.pymodel.zoo.train import save_checkpoint

    trained = train_and_quantise("digits", seed, progress=progress)
    network, data = trained.network, trained.data
    test = Labelled(to_real(data.name, data.test_images), data.test_labels)
    ifmaps = test.ifmaps(network.input)
    first = ifmaps[:images]

    rng = np.random.default_rng(seed)  # keys from the seed, for reproducible figures: they protect nothing
    plain_loadable = compile_network(network, config, rng)
    key = rng.bytes(16)
    loadable = plain_loadable.locked(LOCKED, key)
    files = [folder / name for name in FILES]
    save_checkpoint(files[0], trained.module, network.name, seed)
    save_network(files[1], network)
    (folder / KEY).unlink(missing_ok=True)  # `measure` saw that it belongs to the loadable that goes too
    write_key(folder / KEY, key)
    write_loadable(files[2], loadable)

    progress("golden model and PyTorch reference")
    last = network.layers[-1].name
    expected = golden.run(network, ifmaps)[last]
    by_torch = reference.run(network, first)[last].numpy()

    wrong_keys = [rng.bytes(16) for _ in range(_WRONG_KEYS)]
    wrong_ofmaps = []
    for number, wrong_key in enumerate(wrong_keys):
        progress(f"wrong keys on {len(ifmaps)} images", number, len(wrong_keys))
        wrong_ofmaps.append(interpreter.run(loadable, wrong_key, ifmaps, config))
    wrong = [float((_classes(ofmaps) == test.labels).mean()) for ofmaps in wrong_ofmaps]
    unlocked = interpreter.run(loadable, key, ifmaps, config)

    progress(f"building the accelerator for {simulator}, with and without unlock unit")
    for each in builds:
        each.result()
    locked = run_on_rtl(loadable, config, key, first, simulator, progress=progress)
    plain = run_on_rtl(plain_loadable, config.with_suite("plain"), b"", first, simulator, progress=progress)
    garbage = run_on_rtl(loadable, config, wrong_keys[0], first[:_WRONG_KEY_IMAGES], simulator, progress=progress)
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
            "simulator": simulator,
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
