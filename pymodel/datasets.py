"""Labelled images by name: uint8 as the data set gives them, NHWC, with a fixed split into training and test images.

What the pixels mean to a network is in pymodel.preprocess.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pymodel.errors import DeeplockError

__all__ = ["Dataset", "NAMES", "load"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images uint8 [n, height, width, channels], labels int64 [n] that index `classes`."""

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: tuple[str, ...]


def _digits(_data_dir: str | os.PathLike[str] | None) -> Dataset:
    """Handwritten digits 8x8, values 0..16: 1,437 training and 360 test images, the classes split evenly.

    Source: the test half of UCI's "Optical Recognition of Handwritten Digits", bundled with scikit-learn.
    """
    from sklearn.datasets import load_digits  # slow to import, needed by nothing else
    from sklearn.model_selection import train_test_split

    pixels, labels = load_digits(return_X_y=True)
    images = pixels.astype(np.uint8).reshape(-1, 8, 8, 1)
    labels = labels.astype(np.int64)
    train, test = train_test_split(np.arange(len(labels)), test_size=360, stratify=labels, random_state=0)
    return Dataset("digits", images[train], labels[train], images[test], labels[test], tuple("0123456789"))


_READERS: dict[str, Callable[[str | os.PathLike[str] | None], Dataset]] = {"digits": _digits}

NAMES = tuple(_READERS)


def load(name: str, data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """The data set of that name; `data_dir` holds the files of those that are not bundled."""
    if name not in _READERS:
        raise DeeplockError(f"unknown data set {name!r}: must be one of {', '.join(_READERS)}")
    return _READERS[name](data_dir)
