import numpy as np
import pytest
from PIL import Image

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.zoo.image_folder import read_folder

RGB = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
GREY = RGB[..., 0]


def put(path, pixels, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def test_images_come_in_the_order_of_class_and_file(tmp_path):
    for number, name in enumerate(("dog/b.png", "cat/z.png", "dog/a.png")):
        put(tmp_path / name, RGB + number)
    (tmp_path / "dog/notes.txt").write_text("not an image")
    found = read_folder(tmp_path)
    assert found.classes == ("cat", "dog")
    assert found.labels is not None and found.labels.tolist() == [0, 1, 1] and found.labels.dtype == np.int64
    assert np.array_equal(found.images, [RGB + 1, RGB + 2, RGB])
    assert found.names == ("z.png", "a.png", "b.png")


def test_images_without_classes_have_no_labels(tmp_path):
    for number, name in enumerate(("b.png", "a.png")):
        put(tmp_path / name, RGB + number)
    found = read_folder(tmp_path)
    assert found.labels is None and found.classes == ()
    assert np.array_equal(found.images, [RGB + 1, RGB])


def test_classes_may_be_given(tmp_path):
    put(tmp_path / "dog/a.png", GREY)
    found = read_folder(tmp_path, ("bird", "cat", "dog"))
    assert found.labels is not None and found.labels.tolist() == [2] and found.classes == ("bird", "cat", "dog")
    assert np.array_equal(found.images, GREY[np.newaxis, ..., np.newaxis])
    with pytest.raises(DeeplockError, match=r"dog: must be named after a class \(bird, cat\)$"):
        read_folder(tmp_path, ("bird", "cat"))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (RGB.transpose(1, 0, 2), "must be 2x3x3 like .*a.png, not 3x2x3"),
        (GREY, "must be 2x3x3 like .*a.png, not 2x3x1"),
        (GREY.astype(np.uint16), "must be 8 bits a channel, grey or RGB, not mode I;16"),
        (np.zeros((2, 3, 4), np.uint8), "must be 8 bits a channel, grey or RGB, not mode RGBA"),
    ],
)
def test_images_that_differ_are_told(tmp_path, other, message):
    put(tmp_path / "dog/a.png", RGB)
    put(tmp_path / "dog/b.png", other)
    with pytest.raises(DeeplockError, match=f"b.png: {message}$"):
        read_folder(tmp_path)


def test_files_that_are_no_png_are_told(tmp_path):
    put(tmp_path / "dog/a.png", RGB, format="BMP")
    with pytest.raises(DeeplockError, match="a.png: not a PNG file$"):
        read_folder(tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    put(tmp_path / "dog/a.png", noise)
    whole = (tmp_path / "dog/a.png").read_bytes()
    (tmp_path / "dog/a.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DeeplockError, match="a.png: not a whole PNG file"):
        read_folder(tmp_path)


def test_a_folder_without_images_is_told(tmp_path):
    with pytest.raises(DeeplockError, match="nothing: no such folder$"):
        read_folder(tmp_path / "nothing")
    with pytest.raises(DeeplockError, match="has neither a PNG file nor a folder$"):
        read_folder(tmp_path)
    (tmp_path / "dog").mkdir()
    with pytest.raises(DeeplockError, match="no PNG file in dog$"):
        read_folder(tmp_path)
