import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from pymodel import datasets
from pymodel.errors import DeeplockError


def test_digits_split_every_image_once():
    data = datasets.load("digits")
    assert data.train_images.shape == (1437, 8, 8, 1) and data.test_images.shape == (360, 8, 8, 1)
    assert data.train_images.dtype == data.test_images.dtype == np.uint8
    both = np.concatenate([data.train_images, data.test_images]).reshape(-1, 64)
    labels = np.concatenate([data.train_labels, data.test_labels])
    pixels, expected = load_digits(return_X_y=True)
    found = sorted((image.tobytes(), int(label)) for image, label in zip(both, labels, strict=True))
    assert found == sorted(
        (image.tobytes(), int(y)) for image, y in zip(pixels.astype(np.uint8), expected, strict=True)
    )


def test_digits_split_is_stratified_and_fixed():
    data, again = datasets.load("digits"), datasets.load("digits")
    counts = np.bincount(data.test_labels)
    assert len(counts) == len(data.classes) == 10 and set(counts) <= {35, 36, 37}
    assert np.array_equal(data.test_images, again.test_images) and np.array_equal(data.train_labels, again.train_labels)


def test_unknown_name_is_told():
    with pytest.raises(DeeplockError, match="unknown data set 'nothing': must be one of digits"):
        datasets.load("nothing")


def test_simulation_needs_no_torch():
    modules = "pymodel.datasets, pymodel.preprocess, pymodel.network_file, pymodel.fixed_point"
    subprocess.run([sys.executable, "-c", f"import sys, {modules}; assert 'torch' not in sys.modules"], check=True)
