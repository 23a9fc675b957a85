"""IDX files, plain or gzip: the format of MNIST and Fashion-MNIST.

A big-endian magic number (0x00000801 for labels, 0x00000803 for images: type uint8, then the number of dimensions), the
sizes, the bytes. Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits".
"""

import gzip
import os
import zlib
from math import prod
from pathlib import Path

import numpy as np

from deeplock.pymodel.errors import DeeplockError

__all__ = ["read_images", "read_labels"]

_GZIP = b"\x1f\x8b"


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(_GZIP) else content
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DeeplockError(f"{path}: not a whole gzip file ({error})") from None
    except OSError as error:
        raise DeeplockError(f"{path}: {error.strerror}") from None


def _read(path: str | os.PathLike[str], dimensions: int, count: int | None) -> np.ndarray:
    """The file's uint8 array, which must have this number of dimensions, the first of length `count`."""
    path = Path(path)
    content = _content(path)
    magic, start = 0x0800 + dimensions, 4 + 4 * dimensions
    if int.from_bytes(content[:4], "big") != magic:
        raise DeeplockError(
            f"{path}: must begin with the magic number {magic:08x}, not {content[:4].hex() or 'nothing'}"
        )
    if len(content) < start:
        raise DeeplockError(f"{path}: must have a header of {start} bytes, not {len(content)}")
    shape = tuple(int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4))
    if count is not None and shape[0] != count:
        raise DeeplockError(f"{path}: must hold {count} items, not {shape[0]}")
    if len(content) - start != prod(shape):
        size = "x".join(map(str, shape))
        raise DeeplockError(
            f"{path}: must hold {prod(shape)} bytes ({size}) after its header, not {len(content) - start}"
        )
    return np.frombuffer(bytearray(content), np.uint8, offset=start).reshape(shape)  # writable


def read_images(
    path: str | os.PathLike[str], count: int | None = None, size: tuple[int, int] | None = None
) -> np.ndarray:
    """Grey images uint8 [n, height, width, 1]; `DeeplockError` unless there are `count` of that `size`."""
    images = _read(path, 3, count)
    if size is not None and images.shape[1:] != size:
        found = f"{images.shape[1]}x{images.shape[2]}"
        raise DeeplockError(f"{path}: images must be {size[0]}x{size[1]}, not {found}")
    return images[..., np.newaxis]


def read_labels(path: str | os.PathLike[str], count: int | None = None, classes: int = 10) -> np.ndarray:
    """Labels int64 [n]; `DeeplockError` unless there are `count`, all below `classes`."""
    labels = _read(path, 1, count)
    if labels.size and labels.max() >= classes:
        first = int(np.argmax(labels >= classes))
        raise DeeplockError(f"{path}: labels must be below {classes}, not {labels[first]} (label {first})")
    return labels.astype(np.int64)
