import numpy as np
import pytest

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.zoo import cifar


def record(label: int, image: np.ndarray) -> bytes:
    """As the data set's page describes it: label, then red, green and blue, each row by row."""
    return bytes([label]) + b"".join(image[..., channel].tobytes() for channel in range(3))


IMAGES = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
BATCH = record(9, IMAGES[0]) + record(0, IMAGES[1])


def test_records_become_nhwc_images(tmp_path):
    path = tmp_path / "batch.bin"
    path.write_bytes(BATCH)
    images, labels = cifar.read_batch(path, count=2)
    assert np.array_equal(images, IMAGES) and images.dtype == np.uint8
    assert labels.tolist() == [9, 0] and labels.dtype == np.int64


@pytest.mark.parametrize(
    ("content", "count", "message"),
    [
        (BATCH, 3, r"must be 9219 bytes \(3 records of 3073\), not 6146"),
        (BATCH[:-1], None, "must be whole records of 3073 bytes, not 6145 bytes"),
        (BATCH + record(10, IMAGES[0]), 3, r"labels must be below 10, not 10 \(record 2\)"),
    ],
)
def test_wrong_batches_are_told(tmp_path, content, count, message):
    path = tmp_path / "batch.bin"
    path.write_bytes(content)
    with pytest.raises(DeeplockError, match=f"batch.bin: {message}$"):
        cifar.read_batch(path, count)


def test_a_missing_batch_is_told(tmp_path):
    with pytest.raises(DeeplockError, match="nothing.bin: No such file or directory$"):
        cifar.read_batch(tmp_path / "nothing.bin")
