import shutil

import numpy as np
import pytest
from PIL import Image

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.zoo import gtsrb


def put(path, value: int, shape: tuple[int, ...] = (32, 32, 3)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(shape, value, np.uint8)).save(path)


@pytest.fixture
def split(tmp_path):
    """Two images of each class; number n has pixels n and, as 43 and 10 have no common divisor, class 10 n mod 43."""
    for number in range(86):
        put(tmp_path / f"train/{number * 10 % 43:02}/{number:05}.png", number)
    return tmp_path / "train"


def test_images_come_in_the_order_of_their_numbers(split):
    images, labels = gtsrb.read_split(split)
    assert images.shape == (86, 32, 32, 3) and images.dtype == np.uint8
    assert images[:, 0, 0, 0].tolist() == images[:, 31, 31, 2].tolist() == list(range(86))
    assert labels.tolist() == [number * 10 % 43 for number in range(86)] and labels.dtype == np.int64


def test_classes_are_the_official_ones():
    """Their numbers as in the official description: stop is 14, the round about 40."""
    assert len(set(gtsrb.CLASSES)) == 43
    named = {0: "speed limit 20", 8: "speed limit 120", 12: "priority road", 14: "stop", 17: "no entry"}
    named |= {25: "road work", 33: "turn right", 38: "keep right", 40: "roundabout"}
    assert {number: gtsrb.CLASSES[number] for number in named} == named


def test_wrong_folders_are_told(split):
    with pytest.raises(DeeplockError, match="nothing: no such folder$"):
        gtsrb.read_split(split / "nothing")
    (split / "43").mkdir()
    with pytest.raises(DeeplockError, match=r"train/43: must be named after a class \(00, 01, .*, 42\)$"):
        gtsrb.read_split(split)
    (split / "43").rmdir()
    shutil.rmtree(split / "07")
    with pytest.raises(DeeplockError, match="train: must have images of 43 classes, not of 42$"):
        gtsrb.read_split(split)


def test_images_without_classes_are_told(tmp_path):
    put(tmp_path / "00000.png", 0)
    with pytest.raises(DeeplockError, match="must have images of 43 classes, not of 0$"):
        gtsrb.read_split(tmp_path)


@pytest.mark.parametrize(("shape", "size"), [((30, 32, 3), "30x32x3"), ((32, 32), "32x32x1")])
def test_images_of_another_size_are_told(tmp_path, shape, size):
    put(tmp_path / "00/00000.png", 0, shape)
    with pytest.raises(DeeplockError, match=f"images must be 32x32x3, not {size}$"):
        gtsrb.read_split(tmp_path)
