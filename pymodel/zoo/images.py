"""The labelled images that a network or a loadable is run on."""

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.tensor import Pixels, Quantisation
from deeplock.pymodel.zoo import datasets, evaluation
from deeplock.pymodel.zoo.image_folder import read_folder, read_png
from deeplock.pymodel.zoo.preprocess import to_real

__all__ = ["Labelled", "labelled_images", "read_images"]


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images that a network is run on.

    real     float [n, height, width, channels]
    labels   int [n], None if unknown
    classes  names of the labels, if known
    names    n: file of each, or the array's file with a number; empty for a data set
    """

    real: np.ndarray
    labels: np.ndarray | None
    classes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def ifmaps(self, quantisation: Quantisation) -> np.ndarray:
        """int8 [n, height, width, channels]."""
        return quantisation.quantise(self.real)

    def accuracy(self, ofmaps: np.ndarray) -> float | None:
        """Share (0..1) of ofmaps [n, ...] whose largest value is at the label; None without labels."""
        if self.labels is None:
            return None
        _check_labels(self.labels, ofmaps[0].size)
        return evaluation.accuracy(ofmaps, self.labels)


def _check_labels(labels: np.ndarray, classes: int | None, where: str = "") -> None:
    """DeeplockError if a label is no class; without a number of classes, if one is negative."""
    outside = labels[(labels < 0) | (labels >= (classes or np.inf))]
    if len(outside):
        most = f"0..{classes - 1}, the network's classes" if classes else "0 or more"
        raise DeeplockError(f"{where}labels must be {most}, not {outside[0]}")


_ARRAYS = (b"\x93NUMPY", b"PK")
"""First bytes of .npy and .npz files."""


def _read_arrays(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Images and labels of an .npz file, or the images of an .npy file."""
    try:
        with open(path, "rb") as file:
            if not file.peek().startswith(_ARRAYS):
                raise DeeplockError(f"{path}: must be a PNG, .npy or .npz file")
            found = np.load(file, allow_pickle=False)
            if isinstance(found, np.ndarray):
                return found, None
            return found["images"], found.get("labels")
    except DeeplockError:
        raise
    except OSError as error:
        raise DeeplockError(f"{path}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise DeeplockError(f"{path}: must be an .npz file with an array `images`, or .npy ({error})") from None


def read_images(path: Path, source: str | Pixels, classes: tuple[str, ...] = ()) -> Labelled:
    """Read a PNG file, a folder of such files (pymodel.zoo.image_folder), or an .npz or .npy file.

    An .npz file holds `images` [n, height, width, channels], [n, width, channels] for a network of one row of pixels, or
    [n, features] for one of one pixel, and, optionally, `labels` [n]; an .npy file holds images only.
    uint8 images are raw pixels, as in PNG files; floating-point images are the network's real input.

    source   the data set that the network was trained on, or how raw pixels map to real numbers
    classes  names in the order of the labels
    """
    if path.is_dir():
        found = read_folder(path, classes)
        folders = [path] * len(found.names) if found.labels is None else [path / found.classes[i] for i in found.labels]
        names = tuple(str(folder / name) for folder, name in zip(folders, found.names, strict=True))
        return Labelled(to_real(source, found.images), found.labels, found.classes, names)
    if path.suffix.lower() == ".png":
        return Labelled(to_real(source, read_png(path)[np.newaxis]), None, names=(str(path),))
    images, labels = _read_arrays(path)
    if images.ndim in (2, 3):
        images = images.reshape(len(images), *(1, 1, *images.shape[1:])[-3:])
    numbers = images.dtype == np.uint8 or np.issubdtype(images.dtype, np.floating)
    if images.ndim != 4 or not len(images) or not numbers:
        found = f"{images.dtype} {list(images.shape)}"
        raise DeeplockError(f"{path}: images must be uint8 or float [n, height, width, channels], not {found}")
    if images.dtype != np.uint8 and not (finite := np.isfinite(images).all(axis=(1, 2, 3))).all():
        raise DeeplockError(f"{path}: images must be finite numbers, image {finite.argmin()} has nan or inf")
    if labels is not None:
        if labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
            found = f"{labels.dtype} {list(labels.shape)}"
            raise DeeplockError(f"{path}: labels must be whole numbers [{len(images)}], not {found}")
        _check_labels(labels, len(classes) or None, f"{path}: ")
    names = tuple(f"{path}[{number}]" for number in range(len(images)))
    return Labelled(to_real(source, images) if images.dtype == np.uint8 else images, labels, names=names)


def labelled_images(
    path: Path | None,
    data_dir: str | os.PathLike[str] | None,
    source: str | Pixels,
    shape: tuple[int, ...],
    count: int | None,
    classes: tuple[str, ...] = (),
) -> Labelled:
    """The first `count` images (None: all) of `path` or, if that is None, of the test images of data set `source`.

    path, source, classes  see `read_images`
    data_dir  folder of the data sets
    shape     [height, width, channels] that the images must have
    """
    if path is not None:
        found = read_images(path, source, classes)
        where = str(path)
    else:
        if not isinstance(source, str) or not source:
            raise DeeplockError("the network belongs to no data set that deeplock knows: give --images")
        data = datasets.load(source, data_dir)
        found = Labelled(to_real(source, data.test_images[:count]), data.test_labels[:count])
        where = f"data set {source}"
    if found.real.shape[1:] != tuple(shape):
        raise DeeplockError(f"{where}: images must be [n, {', '.join(map(str, shape))}], not {list(found.real.shape)}")
    if count is not None and count > len(found.real):
        raise DeeplockError(f"{where}: has {len(found.real)} images, not {count}")
    labels = None if found.labels is None else found.labels[:count]
    return Labelled(found.real[:count], labels, names=found.names[:count])
