import gzip

import numpy as np
import pytest

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.zoo import idx


def images_file(images: np.ndarray, magic: int = 0x803) -> bytes:
    return b"".join(size.to_bytes(4, "big") for size in (magic, *images.shape)) + images.tobytes()


IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
LABELS = bytes.fromhex("00000801 00000003 07 00 09")


@pytest.fixture(params=("plain", "gzip"))
def write(request, tmp_path):
    """Writes content as a file, plain and gzip in turn."""

    def writer(content: bytes):
        path = tmp_path / "file"
        path.write_bytes(content if request.param == "plain" else gzip.compress(content))
        return path

    return writer


def test_images_are_read_by_rows(write):
    images = idx.read_images(write(images_file(IMAGES)), count=2, size=(3, 4))
    assert images.shape == (2, 3, 4, 1) and images.dtype == np.uint8
    assert np.array_equal(images[..., 0], IMAGES)


def test_labels_are_read(write):
    labels = idx.read_labels(write(LABELS), count=3)
    assert labels.tolist() == [7, 0, 9] and labels.dtype == np.int64


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must begin with the magic number 00000803, not nothing"),
        (LABELS, "must begin with the magic number 00000803, not 00000801"),
        (images_file(IMAGES)[:10], "must have a header of 16 bytes, not 10"),
        (images_file(IMAGES[:1]), "must hold 2 items, not 1"),
        (images_file(IMAGES.reshape(2, 4, 3)), "images must be 3x4, not 4x3"),
        (images_file(IMAGES)[:-1], r"must hold 24 bytes \(2x3x4\) after its header, not 23"),
        (images_file(IMAGES) + b"x", r"must hold 24 bytes \(2x3x4\) after its header, not 25"),
    ],
)
def test_wrong_images_are_told(write, content, message):
    with pytest.raises(DeeplockError, match=f"file: {message}$"):
        idx.read_images(write(content), count=2, size=(3, 4))


def test_wrong_labels_are_told(write):
    with pytest.raises(DeeplockError, match=r"labels must be below 9, not 9 \(label 2\)$"):
        idx.read_labels(write(LABELS), classes=9)
    with pytest.raises(DeeplockError, match="must hold 4 items, not 3$"):
        idx.read_labels(write(LABELS), count=4)


@pytest.mark.parametrize(
    "content", [gzip.compress(LABELS)[:-4], gzip.compress(LABELS)[:14], b"\x1f\x8b\x00"], ids=["tail", "head", "short"]
)
def test_a_broken_gzip_file_is_told(tmp_path, content):
    path = tmp_path / "labels.gz"
    path.write_bytes(content)
    with pytest.raises(DeeplockError, match="labels.gz: not a whole gzip file"):
        idx.read_labels(path)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(DeeplockError, match="nothing: No such file or directory$"):
        idx.read_labels(tmp_path / "nothing")
