import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.zoo import datasets


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


def put_idx(path, array: np.ndarray) -> None:
    sizes = b"".join(size.to_bytes(4, "big") for size in (0x800 + array.ndim, *array.shape))
    path.write_bytes(sizes + array.tobytes())


def test_idx_folders_give_both_splits(tmp_path):
    folder = tmp_path / "fashion-mnist"
    folder.mkdir()
    counts = {"train": 60_000, "t10k": 10_000}
    for prefix, count in counts.items():
        images = np.zeros((count, 28, 28), np.uint8)
        images[-1, 0, 1] = 7
        put_idx(folder / f"{prefix}-images-idx3-ubyte", images)
        put_idx(folder / f"{prefix}-labels-idx1-ubyte", np.arange(count, dtype=np.uint8) % 10)
    data = datasets.load("fashion-mnist", tmp_path)
    assert data.train_images.shape == (60_000, 28, 28, 1) and data.test_images.shape == (10_000, 28, 28, 1)
    assert data.train_images[-1, 0, 1, 0] == data.test_images[-1, 0, 1, 0] == 7
    assert data.train_labels[:12].tolist() == [*range(10), 0, 1] and len(data.test_labels) == 10_000
    assert data.classes[9] == "ankle boot"
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(
        DeeplockError,
        match=r"t10k-labels-idx1-ubyte.gz: No such file or directory: run `deeplock data fetch fashion-mnist --data ",
    ):
        datasets.load("fashion-mnist", tmp_path)


def test_cifar_batches_come_in_order(tmp_path):
    folder = tmp_path / "cifar10"
    folder.mkdir()
    for name, label in (*((f"data_batch_{number + 1}", number) for number in range(5)), ("test_batch", 9)):
        with (folder / f"{name}.bin").open("wb") as file:
            file.write(bytes([label, 100 + label]))
            file.truncate(3073 * 10_000)
    data = datasets.load("cifar10", tmp_path)
    assert data.train_images.shape == (50_000, 32, 32, 3) and data.test_images.shape == (10_000, 32, 32, 3)
    assert data.train_labels[::10_000].tolist() == [0, 1, 2, 3, 4] and data.test_labels[0] == 9
    assert data.train_images[::10_000, 0, 0, 0].tolist() == [100, 101, 102, 103, 104]
    (folder / "data_batch_3.bin").write_bytes(b"short")
    with pytest.raises(DeeplockError, match=r"data_batch_3.bin: must be 30730000 bytes .*, not 5: run `deeplock data"):
        datasets.load("cifar10", tmp_path)


def test_traffic_signs_come_in_the_order_of_their_numbers(tmp_path):
    for split, first in (("train", 0), ("test", 100)):
        for label in range(43):
            folder = tmp_path / "gtsrb" / split / f"{label:02}"
            folder.mkdir(parents=True)
            Image.new("RGB", (32, 32), (first + label, 0, 0)).save(folder / f"{42 - label:05}.png")
    data = datasets.load("gtsrb", tmp_path)
    assert data.train_images.shape == data.test_images.shape == (43, 32, 32, 3)
    assert data.train_labels.tolist() == data.test_labels.tolist() == list(range(42, -1, -1))
    assert (data.train_images[-1, 0, 0, 0], data.test_images[-1, 0, 0, 0]) == (0, 100)
    assert data.classes[14] == "stop"
    (tmp_path / "gtsrb/test/14/00028.png").write_bytes(b"short")
    with pytest.raises(DeeplockError, match="00028.png: not a PNG file: put the images there as "):
        datasets.load("gtsrb", tmp_path)


def test_missing_traffic_signs_say_what_to_do(tmp_path):
    with pytest.raises(DeeplockError, match="set DEEPLOCK_DATA, and put the images there as pymodel/zoo"):
        datasets.load("gtsrb")
    with pytest.raises(DeeplockError, match="gtsrb: no such folder: put the images there as pymodel/zoo"):
        datasets.load("gtsrb", tmp_path)


@pytest.mark.parametrize("name", datasets.DOWNLOADED)
def test_missing_data_says_what_to_do(name, tmp_path):
    with pytest.raises(
        DeeplockError, match=f"give --data DIR or set DEEPLOCK_DATA, and run `deeplock data fetch {name} --data"
    ):
        datasets.load(name)
    with pytest.raises(
        DeeplockError, match=f"{name}: no such folder: run `deeplock data fetch {name} --data {tmp_path}`"
    ):
        datasets.load(name, tmp_path)


def test_unknown_name_is_told():
    with pytest.raises(DeeplockError, match="unknown data set 'nothing': must be one of digits, mnist"):
        datasets.load("nothing")


def test_simulation_needs_no_torch():
    modules = ("zoo.datasets", "zoo.preprocess", "network.network_file", "network.fixed_point")
    imports = ", ".join(f"deeplock.pymodel.{name}" for name in modules)
    subprocess.run([sys.executable, "-c", f"import sys, {imports}; assert 'torch' not in sys.modules"], check=True)
