"""Labelled images by name: uint8 as the data set gives them, NHWC, with a fixed split into training and test images.

What the pixels mean to a network is in pymodel.zoo.preprocess; where downloaded files come from, in pymodel.zoo.fetch.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.zoo import cifar, gtsrb, idx

__all__ = ["Dataset", "CLASSES", "NAMES", "DOWNLOADED", "IN_FOLDERS", "load"]

CLASSES = {
    "digits": tuple("0123456789"),
    "mnist": tuple("0123456789"),
    "fashion-mnist": (
        "T-shirt or top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
    ),
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    "gtsrb": gtsrb.CLASSES,
}  # fmt: skip
"""Class names of each data set, in the order of its labels."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images uint8 [n, height, width, channels], labels int64 [n] that index `classes`."""

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: tuple[str, ...]


def _digits() -> Dataset:
    """Handwritten digits 8x8, values 0..16: 1,437 training and 360 test images, the classes split evenly.

    Source: the test half of UCI's "Optical Recognition of Handwritten Digits", bundled with scikit-learn.
    """
    from sklearn.datasets import load_digits  # slow to import, needed by nothing else
    from sklearn.model_selection import train_test_split

    pixels, labels = load_digits(return_X_y=True)
    images = pixels.astype(np.uint8).reshape(-1, 8, 8, 1)
    labels = labels.astype(np.int64)
    train, test = train_test_split(np.arange(len(labels)), test_size=360, stratify=labels, random_state=0)
    return Dataset("digits", images[train], labels[train], images[test], labels[test], CLASSES["digits"])


def _idx_folder(name: str, folder: Path) -> Dataset:
    """The four IDX files of MNIST or of Fashion-MNIST, 28x28 grey: 60,000 training and 10,000 test images."""

    def part(prefix: str, count: int) -> tuple[np.ndarray, np.ndarray]:
        images, labels = (_existing(folder / f"{prefix}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1"))
        return idx.read_images(images, count, (28, 28)), idx.read_labels(labels, count)

    return Dataset(name, *part("train", 60_000), *part("t10k", 10_000), CLASSES[name])


def _existing(path: Path) -> Path:
    """The unpacked file if it exists, else the gzip file."""
    return path if path.exists() else path.with_name(f"{path.name}.gz")


def _cifar10(folder: Path) -> Dataset:
    """CIFAR-10's six binary batches, 32x32 RGB: 50,000 training and 10,000 test images."""
    batches = [cifar.read_batch(folder / f"data_batch_{number}.bin") for number in range(1, 6)]
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return Dataset("cifar10", images, labels, *cifar.read_batch(folder / "test_batch.bin"), CLASSES["cifar10"])


def _gtsrb(folder: Path) -> Dataset:
    """Traffic signs, 32x32 RGB: a share of the official split, 8,600 training and 3,000 test images where we measured."""
    return Dataset("gtsrb", *gtsrb.read_split(folder / "train"), *gtsrb.read_split(folder / "test"), CLASSES["gtsrb"])


_READERS: dict[str, Callable[[Path], Dataset]] = {
    "mnist": lambda folder: _idx_folder("mnist", folder),
    "fashion-mnist": lambda folder: _idx_folder("fashion-mnist", folder),
    "cifar10": _cifar10,
    "gtsrb": _gtsrb,
}
"""Readers of the data sets that lie in a folder of their name."""

IN_FOLDERS = tuple(_READERS)

DOWNLOADED = ("mnist", "fashion-mnist", "cifar10")
"""Those that `deeplock data` knows."""

NAMES = ("digits", *IN_FOLDERS)


def _remedy(name: str, data_dir: str | os.PathLike[str]) -> str:
    """What a user does whose folder of the data set is missing or wrong."""
    if name in DOWNLOADED:
        return f"run `deeplock data fetch {name} --data {data_dir}`"
    return "put the images there as pymodel/zoo/gtsrb.py says"


def load(name: str, data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """The data set of that name; `data_dir` holds a folder for each one that is not bundled."""
    if name not in NAMES:
        raise DeeplockError(f"unknown data set {name!r}: must be one of {', '.join(NAMES)}")
    if name == "digits":
        return _digits()
    if data_dir is None:
        raise DeeplockError(
            f"data set {name} is not bundled: give --data DIR or set DEEPLOCK_DATA, and {_remedy(name, 'DIR')}"
        )
    folder = Path(data_dir, name)
    if not folder.is_dir():
        raise DeeplockError(f"{folder}: no such folder: {_remedy(name, data_dir)}")
    try:
        return _READERS[name](folder)
    except DeeplockError as error:
        raise DeeplockError(f"{error}: {_remedy(name, data_dir)}") from None
