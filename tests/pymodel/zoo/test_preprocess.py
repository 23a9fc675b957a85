from dataclasses import replace

import numpy as np
import pytest

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.spec.tensor import Pixels, Quantisation
from deeplock.pymodel.zoo import preprocess

NETWORK = Network("none", (1, 3, 1), Quantisation(0.25, -10), Quantisation(1.0, 0), (), dataset="digits")


def test_pixels_become_real_numbers_and_int8():
    images = np.array([0, 4, 16], np.uint8).reshape(1, 1, 3, 1)
    assert preprocess.to_real("digits", images).ravel().tolist() == [0.0, 0.25, 1.0]
    assert preprocess.quantise_input(NETWORK, images).ravel().tolist() == [-10, -9, -6]


def test_cifar_is_centred():
    images = np.array([0, 128, 255], np.uint8)
    assert preprocess.to_real("cifar10", images).tolist() == [-2.0, 0.0, 127 / 64]


def test_real_numbers_round_half_to_even_and_saturate():
    images = np.array([0.125, 0.375, -100.0], np.float32).reshape(1, 1, 3, 1)
    assert preprocess.quantise_input(NETWORK, images).ravel().tolist() == [-10, -8, -128]
    assert NETWORK.input.quantise(np.array([1e9])).tolist() == [127]


def test_dequantise_undoes_quantise():
    q = np.arange(-128, 128).astype(np.int8)
    quantisation = Quantisation(0.1737, 22)
    assert np.array_equal(quantisation.quantise(quantisation.dequantise(q)), q)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((1, 3, 1, 1), np.uint8), r"images must be \[n, 1, 3, 1\], not \[1, 3, 1, 1\]"),
        (np.zeros((1, 1, 3, 1), np.int8), "images must be uint8 or floating point, not int8"),
    ],
)
def test_wrong_images_are_told(images, message):
    with pytest.raises(DeeplockError, match=message):
        preprocess.quantise_input(NETWORK, images)


def test_unknown_data_set_is_told():
    with pytest.raises(DeeplockError, match="no preprocessing for data set 'mine': pass real numbers"):
        preprocess.to_real("mine", np.zeros(1, np.uint8))


def test_channels_have_scales_of_their_own():
    images = np.array([[0, 10, 20], [100, 110, 120]], np.uint8)
    real = preprocess.to_real(Pixels((0.0, 10.0, 0.0), (10.0,)), images)
    assert real.tolist() == [[0.0, 0.0, 2.0], [10.0, 10.0, 12.0]]
    with pytest.raises(DeeplockError, match="the network's pixels have 2 channels, the images have 3"):
        preprocess.to_real(Pixels((0.0, 10.0)), images)
    network = replace(NETWORK, dataset="", pixels=Pixels(one=(51.0,)))
    assert np.array_equal(
        preprocess.quantise_input(network, np.full((1, 1, 3, 1), 51, np.uint8)),
        preprocess.quantise_input(network, np.ones((1, 1, 3, 1))),
    )
