"""The measurements of `deeplock bench mlperf-tiny`: the four reference networks of MLPerf Tiny, as its int8 TFLite files."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deeplock.bench.rtl import measure
from deeplock.bench.workload import LOCKED, Workload
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.frontends.draft import Imported
from deeplock.pymodel.frontends.engine import random_ifmaps
from deeplock.pymodel.frontends.tflite.engine import engine
from deeplock.pymodel.frontends.tflite.network import read_network
from deeplock.pymodel.network import golden
from deeplock.pymodel.network.network import macs
from deeplock.pymodel.progress import Progress
from deeplock.pymodel.zoo import datasets

__all__ = ["FILES", "accuracy", "measured"]

FILES = {
    "ic": "ic-resnet8-int8.tflite",
    "kws": "kws-dscnn-int8.tflite",
    "vww": "vww-mobilenet-int8.tflite",
    "ad": "ad-autoencoder-int8.tflite",
}
"""Image classification, keyword spotting, visual wake words, anomaly detection: files of folder mlperf-tiny."""

_AT_ONCE = 100


def _file(name: str, data_dir: str | os.PathLike[str] | None) -> Path:
    if data_dir is None:
        raise DeeplockError("give --data DIR or set DEEPLOCK_DATA: the folder that mlperf-tiny and cifar10 lie in")
    path = Path(data_dir, "mlperf-tiny", FILES[name])
    if not path.is_file():
        raise DeeplockError(f"{path}: no such file: it is a reference network of MLPerf Tiny, int8")
    return path


def _pictures(read: Imported, data_dir: str | os.PathLike[str] | None) -> tuple[np.ndarray, np.ndarray]:
    """CIFAR-10's test pictures as ifmaps of image classification, whose input is the raw pixels 0..255, and their labels."""
    data = datasets.load("cifar10", data_dir)
    return read.network.input.quantise(data.test_images), data.test_labels


def measured(
    networks: Sequence[str],
    arrays: Sequence[tuple[int, int]],
    images: int,
    data_dir: str | os.PathLike[str] | None,
    seed: int,
    jobs: int | None,
    progress: Progress,
) -> list[dict[str, Any]]:
    """A row for each network and array: cycles without a lock and with the paper's, back to back.

    images  test pictures of image classification; the others have an eighth as many random ifmaps
    """
    workloads, work = [], {}
    for name in networks:
        read = read_network(_file(name, data_dir))
        if name == "ic":
            ifmaps = _pictures(read, data_dir)[0][:images]
        else:
            ifmaps = random_ifmaps(read.network.input_shape, -(-images // 8), seed)
        workloads.append(Workload(read.network, ifmaps))
        work[read.network.name] = name, sum(macs(read.network).values())
    rows = measure(workloads, arrays, [LOCKED], 1, seed, jobs, progress)
    return [row | dict(zip(("network", "macs"), work[row["network"]], strict=True)) for row in rows]


def accuracy(data_dir: str | os.PathLike[str] | None, progress: Progress) -> dict[str, Any]:
    """Image classification on all of CIFAR-10's test pictures: the shares that LiteRT and the golden model get right, and on
    which the two name the same class. Of equal outputs, the first wins."""
    path = _file("ic", data_dir)
    read = read_network(path)
    ifmaps, labels = _pictures(read, data_dir)
    title, run = engine(path, read)
    last, found = read.network.layers[-1].name, []
    for start in range(0, len(ifmaps), _AT_ONCE):
        progress(f"accuracy of {title} and of the golden model", start, len(ifmaps))
        some = ifmaps[start : start + _AT_ONCE]
        theirs = [run(ifmap)[last].argmax() for ifmap in some]
        found.append((theirs, golden.run(read.network, some)[last].reshape(len(some), -1).argmax(1)))
    theirs, ours = (np.concatenate(guesses) for guesses in zip(*found, strict=True))
    return {
        "engine": title,
        "pictures": len(labels),
        "tflite": float((theirs == labels).mean()),
        "golden": float((ours == labels).mean()),
        "agreement": float((theirs == ours).mean()),
    }
