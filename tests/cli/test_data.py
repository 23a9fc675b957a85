import json

import numpy as np
import pytest

from deeplock.pymodel.zoo import fetch


def put_idx(path, array: np.ndarray) -> None:
    sizes = b"".join(size.to_bytes(4, "big") for size in (0x800 + array.ndim, *array.shape))
    path.write_bytes(sizes + array.tobytes())


@pytest.fixture
def mnist(tmp_path, monkeypatch):
    """A folder with a data set of MNIST's structure and, in place of the real one's hashes, its own."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    sources = []
    for prefix, count in (("train", 60_000), ("t10k", 10_000)):
        put_idx(folder / f"{prefix}-images-idx3-ubyte", np.zeros((count, 28, 28), np.uint8))
        put_idx(folder / f"{prefix}-labels-idx1-ubyte", np.arange(count, dtype=np.uint8) % 10)
    for source in fetch.SOURCES["mnist"]:
        path = folder / source.name.removesuffix(".gz")
        sources.append(fetch.Source(source.name, ("http://127.0.0.1:1",), fetch.digest(path, source)))
    monkeypatch.setitem(fetch.SOURCES, "mnist", tuple(sources))
    return folder


def test_verify_says_what_was_checked(deeplock, mnist, tmp_path):
    outcome = deeplock("data", "verify", "mnist", "--data", tmp_path, "--json", tmp_path / "figures.json")
    assert outcome.code == 0
    assert outcome.out.count("structure, SHA-256") == 4
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["dataset"] == "mnist" and len(figures["files"]) == 4
    put_idx(mnist / "t10k-labels-idx1-ubyte", np.arange(10_000, dtype=np.uint8) % 9)
    outcome = deeplock("data", "verify", "mnist", "--data", tmp_path)
    assert outcome.code == 1 and "t10k-labels-idx1-ubyte: SHA-256 of its content must be" in outcome.err
    (mnist / "train-images-idx3-ubyte").unlink()
    outcome = deeplock("data", "verify", "mnist", "--data", tmp_path)
    assert outcome.code == 1 and "train-images-idx3-ubyte.gz: No such file" in outcome.err


def test_the_folder_may_come_from_the_environment(deeplock, refused, mnist, tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPLOCK_DATA", str(tmp_path))
    assert deeplock("data", "verify", "mnist").code == 0
    monkeypatch.delenv("DEEPLOCK_DATA")
    assert refused("data", "verify", "mnist").startswith("give --data DIR or set DEEPLOCK_DATA")


def test_fetch_keeps_what_is_right_and_tells_what_it_cannot_get(deeplock, refused, mnist, tmp_path):
    assert deeplock("data", "fetch", "mnist", "--data", tmp_path).code == 0
    (mnist / "train-labels-idx1-ubyte").unlink()
    text = refused("data", "fetch", "mnist", "--data", tmp_path)
    assert (
        "mnist/train-labels-idx1-ubyte.gz: no mirror gave it (http://127.0.0.1:1/train-labels-idx1-ubyte.gz: " in text
    )


def test_an_unknown_name_is_told(refused, tmp_path):
    assert refused("data", "fetch", "digits", "--data", tmp_path).endswith(
        "must be one of mnist, fashion-mnist, cifar10"
    )


def test_train_without_the_images_says_where_to_get_them(refused, tmp_path, monkeypatch):
    monkeypatch.delenv("DEEPLOCK_DATA", raising=False)
    assert "`deeplock data fetch mnist --data DIR`" in refused("train", "mnist", "-o", tmp_path / "mnist")
