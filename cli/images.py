"""The labelled images that a network or an image file is run on."""

import argparse
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pymodel.errors import DeeplockError

if TYPE_CHECKING:
    import numpy as np

    from pymodel.network import Quantisation

__all__ = ["Labelled", "labelled_images", "read_images"]


@dataclass(frozen=True, eq=False)
class Labelled:
    """real float [n, height, width, channels], labels int [n] or None if unknown."""

    real: "np.ndarray"
    labels: "np.ndarray | None"

    def ifmaps(self, quantisation: "Quantisation") -> "np.ndarray":
        """int8 [n, height, width, channels]."""
        from pymodel.preprocess import quantise

        return quantise(quantisation, self.real)

    def accuracy(self, ofmaps: "np.ndarray") -> float | None:
        """Share (0..1) of ofmaps [n, ...] whose largest value is at the label; None without labels."""
        if self.labels is None:
            return None
        return float((ofmaps.reshape(len(ofmaps), -1).argmax(axis=1) == self.labels).mean())


def read_images(path) -> Labelled:
    """Read an .npz file: `images`, float [n, height, width, channels], and, if there, `labels` [n]."""
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as arrays:
            images, labels = arrays["images"], arrays.get("labels")
    except OSError as error:
        raise DeeplockError(f"{path}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise DeeplockError(f"{path}: must be an .npz file with an array `images` ({error})") from None
    if images.ndim != 4 or not np.issubdtype(images.dtype, np.floating) or not len(images):
        found = f"{images.dtype} {list(images.shape)}"
        raise DeeplockError(f"{path}: images must be float [n, height, width, channels], not {found}")
    if labels is not None and labels.shape != images.shape[:1]:
        raise DeeplockError(f"{path}: labels must be [{len(images)}], not {list(labels.shape)}")
    return Labelled(images, labels)


def labelled_images(args: argparse.Namespace, dataset: str, shape: tuple[int, ...], count: int | None) -> Labelled:
    """The first `count` images that the options of `add_images` name, by default test images of `dataset`."""
    if args.images is not None:
        found = read_images(args.images)
        where = str(args.images)
    else:
        from pymodel import datasets
        from pymodel.preprocess import to_real

        if not dataset:
            raise DeeplockError("the network belongs to no data set that deeplock knows: give --images")
        data = datasets.load(dataset, args.data_dir)
        found = Labelled(to_real(dataset, data.test_images[:count]), data.test_labels[:count])
        where = f"data set {dataset}"
    if found.real.shape[1:] != tuple(shape):
        raise DeeplockError(f"{where}: images must be [n, {', '.join(map(str, shape))}], not {list(found.real.shape)}")
    if count is not None and count > len(found.real):
        raise DeeplockError(f"{where}: has {len(found.real)} images, not {count}")
    return Labelled(found.real[:count], None if found.labels is None else found.labels[:count])
