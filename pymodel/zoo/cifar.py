"""CIFAR-10's binary batches: records of a label byte and 32x32 bytes each of red, green and blue.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, and the data set's web page.
"""

import os
from pathlib import Path

import numpy as np

from deeplock.pymodel.errors import DeeplockError

__all__ = ["SIDE", "read_batch"]

SIDE = 32
_RECORD = 1 + 3 * SIDE * SIDE


def read_batch(path: str | os.PathLike[str], count: int | None = 10_000) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [n, 32, 32, 3] and labels int64 [n]; `DeeplockError` unless there are `count`."""
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DeeplockError(f"{path}: {error.strerror}") from None
    found = len(content)
    if count is not None and found != count * _RECORD:
        raise DeeplockError(f"{path}: must be {count * _RECORD} bytes ({count} records of {_RECORD}), not {found}")
    if found % _RECORD:
        raise DeeplockError(f"{path}: must be whole records of {_RECORD} bytes, not {found} bytes")
    records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
    labels = records[:, 0].astype(np.int64)
    if labels.size and labels.max() > 9:
        first = int(np.argmax(labels > 9))
        raise DeeplockError(f"{path}: labels must be below 10, not {labels[first]} (record {first})")
    images = records[:, 1:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), labels
