import numpy as np
import pytest
from PIL import Image

from deeplock.pymodel.zoo import datasets, trained
from deeplock.pymodel.zoo.evaluation import accuracy, golden_ofmaps
from deeplock.pymodel.zoo.preprocess import quantise_input

COUNT = 30


@pytest.fixture
def folder(tmp_path):
    """The first test images of the digits, as PNG files in folders of their classes."""
    data = datasets.load("digits")
    for number, (image, label) in enumerate(zip(data.test_images[:COUNT], data.test_labels[:COUNT], strict=True)):
        path = tmp_path / data.classes[label] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image[..., 0]).save(path)
    return tmp_path


def test_a_folder_of_png_files_takes_the_place_of_the_data_set(deeplock, folder):
    data = datasets.load("digits")
    network = trained.load("digits")
    ofmaps = golden_ofmaps(network, quantise_input(network, data.test_images[:COUNT]))
    expected = accuracy(ofmaps, data.test_labels[:COUNT])
    outcome = deeplock("evaluate", trained.path_of("digits"), "--images", folder)
    assert outcome.code == 0
    assert [line.split(maxsplit=1) for line in outcome.out.splitlines()] == [
        ["images", str(COUNT)],
        ["accuracy", f"{100 * expected:.2f} %"],
    ]


def test_images_of_another_size_are_refused(refused, folder):
    Image.fromarray(np.zeros((9, 8), np.uint8)).save(folder / "0" / "large.png")
    assert "must be 8x8x1 like" in refused("evaluate", trained.path_of("digits"), "--images", folder)
    for path in folder.glob("*/*.png"):
        Image.fromarray(np.zeros((9, 8), np.uint8)).save(path)
    assert "images must be [n, 8, 8, 1], not [31, 9, 8, 1]" in refused(
        "evaluate", trained.path_of("digits"), "--images", folder
    )
