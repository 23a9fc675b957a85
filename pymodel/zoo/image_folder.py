"""A user's own images: a folder of PNG files or, if they are labelled, a folder of PNG files for each class."""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deeplock.pymodel.errors import DeeplockError

__all__ = ["ImageFolder", "read_folder", "read_png"]

_MODES = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB"}
"""Pillow's modes that are read, and what each is converted to. Others (16 bits, alpha) would lose information."""


_OTHERS = (".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")


@dataclass(frozen=True, eq=False)
class ImageFolder:
    """images uint8 [n, height, width, channels], 1 channel if grey, 3 if RGB; labels int64 [n] that index `classes`.

    names: of the images' files, n. Without class folders, labels is None and classes is empty.
    """

    images: np.ndarray
    names: tuple[str, ...]
    labels: np.ndarray | None
    classes: tuple[str, ...]


def read_png(path: Path) -> np.ndarray:
    """uint8 [height, width, channels]."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG",)) as image:
                if image.mode not in _MODES:
                    raise DeeplockError(f"{path}: must be 8 bits a channel, grey or RGB, not mode {image.mode}")
                pixels = np.asarray(image.convert(_MODES[image.mode]))
    except DeeplockError:
        raise
    except UnidentifiedImageError:
        raise DeeplockError(f"{path}: not a PNG file") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombWarning) as error:
        raise DeeplockError(f"{path}: not a whole PNG file ({error})") from None
    return pixels if pixels.ndim == 3 else pixels[..., np.newaxis]


def _pictures(folder: Path) -> list[Path]:
    """The PNG files of a folder, sorted; DeeplockError for a picture of another kind, which would be left out."""
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    if others := [path for path in files if path.suffix.lower() in _OTHERS]:
        raise DeeplockError(f"{others[0]}: must be a PNG file")
    return [path for path in files if path.suffix.lower() == ".png"]


def _read_alike(paths: list[Path]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Images uint8 [n, height, width, channels], and the names of their files."""
    images = [read_png(path) for path in paths]
    for path, image in zip(paths, images, strict=True):
        if image.shape != images[0].shape:
            sizes = ["x".join(map(str, shape)) for shape in (images[0].shape, image.shape)]
            raise DeeplockError(f"{path}: must be {sizes[0]} like {paths[0]}, not {sizes[1]}")
    return np.stack(images), tuple(path.name for path in paths)


def read_folder(folder: str | os.PathLike[str], classes: tuple[str, ...] = ()) -> ImageFolder:
    """Read every FOLDER/CLASS/*.png or, without class folders, FOLDER/*.png, sorted by class and file name.

    classes  names in the order of the labels; every folder must be one of them. Default: the folders, sorted

    `DeeplockError` if there is no image, a folder is no class, a picture is no PNG or lies beside class
    folders, or images differ in size or colour.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DeeplockError(f"{folder}: no such folder")
    found = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    loose = _pictures(folder)
    if found and loose:
        raise DeeplockError(f"{loose[0]}: lies beside class folders: put it into one of them, or somewhere else")
    if loose:
        return ImageFolder(*_read_alike(loose), None, ())
    if not found:
        raise DeeplockError(f"{folder}: has neither a PNG file nor a folder")
    classes = classes or tuple(found)
    if foreign := [name for name in found if name not in classes]:
        raise DeeplockError(f"{folder / foreign[0]}: must be named after a class ({', '.join(classes)})")
    files = [(path, classes.index(name)) for name in found for path in _pictures(folder / name)]
    if not files:
        raise DeeplockError(f"{folder}: no PNG file in {', '.join(found)}")
    labels = np.array([label for _, label in files], np.int64)
    return ImageFolder(*_read_alike([path for path, _ in files]), labels, classes)
