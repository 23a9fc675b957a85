import numpy as np
import pytest
import torch

from deeplock.pymodel.frontends.outliers import Codes
from deeplock.pymodel.spec.tensor import Quantisation

SCALE = 0.5


def told(codes: np.ndarray):
    """Of images of int8 codes, in two batches."""
    counted = Codes(Quantisation(SCALE, -128))
    for part in np.array_split(codes, min(2, len(codes))):
        counted.add(torch.from_numpy(part.astype(np.float64)))
    return counted.outliers("conv1")


@pytest.fixture
def images() -> np.ndarray:
    """40 images whose codes, 31 of them, begin at -128."""
    return np.random.default_rng(5).integers(-128, -97, (40, 3, 8, 8))


def test_one_value_is_told_with_range_and_share(images):
    images[7, 1, 2, 3] = 127
    found = told(images)
    assert (found.tensor, found.low, found.high) == ("conv1", 0, 255 * SCALE)
    assert (found.used_low, found.used_high) == (0, 30 * SCALE)
    assert (found.share, found.codes) == (1 - 1 / images.size, 31)
    assert str(found) == (
        "calibration: conv1 ranges over 0..127.5, but 99.99 % of its values use 31 of its 256 codes, 0..15: look for outliers "
        "in the data"
    )


@pytest.mark.parametrize("number, is_told", [(1, True), (2, True), (3, False)])
def test_pictures_unlike_the_others_are_told_up_to_one_of_twenty(number, is_told, images):
    """Each is 2.5 % of the values."""
    images[-number:] = np.random.default_rng(6).integers(-128, 128, images[-number:].shape)
    found = told(images)
    assert (found is not None) == is_told
    assert found is None or (found.used_high, round(found.share, 2)) == (30 * SCALE, round(1 - number / 40 * 0.879, 2))


def test_of_few_images_all_but_one_count(images):
    images[0] = 127
    assert told(images[:2]) is not None
    assert told(images[:1]) is None and told(images[1:2]) is None, "nothing to compare it with"
    images[1, 0, 0, 0] = 127
    assert told(images[1:2]) is not None


def test_a_range_that_is_used_is_not_told():
    rng = np.random.default_rng(7)
    assert told(rng.integers(-128, 128, (40, 3, 8, 8))) is None
    relu = np.clip(rng.normal(0, 255 / 5, (40, 3, 8, 8)).round(), 0, 255) - 128  # half of it 0, the rest to 5 sigma
    assert told(relu) is None
