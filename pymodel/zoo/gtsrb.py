"""German Traffic Sign Recognition Benchmark, as PNG files: train/CLASS/NUMBER.png and test/CLASS/NUMBER.png, 32x32 RGB.

CLASS is 00 to 42. These are images of the official split, of any number, cropped to the sign and resized. The official
ones have many sizes and other formats: https://benchmark.ini.rub.de/gtsrb_dataset.html. Source: J. Stallkamp,
M. Schlipsing, J. Salmen, C. Igel, "The German Traffic Sign Recognition Benchmark: A multi-class classification
competition", IJCNN 2011.
"""

import os

import numpy as np

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.zoo.image_folder import read_folder

__all__ = ["CLASSES", "read_split"]

CLASSES = (
    "speed limit 20", "speed limit 30", "speed limit 50", "speed limit 60", "speed limit 70", "speed limit 80",
    "end of speed limit 80", "speed limit 100", "speed limit 120", "no passing", "no passing for trucks",
    "right of way", "priority road", "yield", "stop", "no vehicles", "no trucks", "no entry", "danger", "curve left",
    "curve right", "double curve", "bumpy road", "slippery road", "road narrows", "road work", "traffic signals",
    "pedestrians", "children", "bicycles", "ice or snow", "wild animals", "end of all limits", "turn right", "turn left",
    "ahead only", "ahead or right", "ahead or left", "keep right", "keep left", "roundabout", "end of no passing",
    "end of no passing for trucks",
)  # fmt: skip

_SHAPE = (32, 32, 3)


def read_split(folder: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [n, 32, 32, 3] and labels int64 [n] in the order of their numbers, which mixes the classes.

    `DeeplockError` unless every class has an image, and every image this size.
    """
    found = read_folder(folder, tuple(f"{label:02}" for label in range(len(CLASSES))))
    if found.images.shape[1:] != _SHAPE:
        size = "x".join(map(str, found.images.shape[1:]))
        raise DeeplockError(f"{folder}: images must be {'x'.join(map(str, _SHAPE))}, not {size}")
    present = 0 if found.labels is None else len(np.unique(found.labels))
    if found.labels is None or present != len(CLASSES):
        raise DeeplockError(f"{folder}: must have images of {len(CLASSES)} classes, not of {present}")
    order = np.argsort(found.names, kind="stable")
    return found.images[order], found.labels[order]
