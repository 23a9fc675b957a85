"""`quantise`: the network file is that of `train`, agrees with PyTorch, and compiles as the program itself does."""

import json

import numpy as np
import torch
from PIL import Image
from torch import nn

from deeplock.pymodel.network import golden
from deeplock.pymodel.network.network_file import load_network
from deeplock.pymodel.spec.loadable import read_loadable
from deeplock.pymodel.spec.tensor import Pixels
from deeplock.pymodel.zoo.datasets import load


def test_a_checkpoint_gives_the_network_of_its_training(files, deeplock, tmp_path):
    out, figures = tmp_path / "network", tmp_path / "json"
    outcome = deeplock("quantise", files.float_checkpoint, "-o", out, "--json", figures)
    assert (outcome.code, outcome.err) == (0, "")
    assert out.read_bytes() == files.network.read_bytes()
    found = json.loads(figures.read_text())
    assert (found["network"], found["parameters"], found["file"]) == ("digits", 5130, str(out))
    assert found["bytes"] == out.stat().st_size
    assert set(found["layer_lsb"]) == {"conv1", "pool1", "conv2", "pool2", "dense"}
    assert f"the same largest class in {100 * found['agreement']:.2f} %" in outcome.out


def test_pictures_of_a_checkpoint_calibrate_as_its_data_set(files, deeplock, tmp_path):
    """The 256 images that training takes, as PNG files."""
    for number, image in enumerate(load("digits").train_images[:256]):
        Image.fromarray(image[..., 0]).save(tmp_path / f"{number:03}.png")
    out = tmp_path / "network"
    assert deeplock("quantise", files.float_checkpoint, "--calibration", tmp_path, "-o", out).code == 0
    assert out.read_bytes() == files.network.read_bytes()


def test_an_exported_program_agrees_with_pytorch_and_compiles_as_it_does(exported, deeplock, tmp_path):
    program, inputs = exported(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    out, whole, direct = (tmp_path / name for name in ("network", "whole.loadable", "direct.loadable"))
    assert deeplock("quantise", program, "--calibration", inputs, "-o", out).code == 0
    network, images = load_network(out), np.load(inputs)["images"]
    found = network.output.dequantise(golden.run(network, network.input.quantise(images))[network.layers[-1].name])
    with torch.no_grad():
        expected = torch.export.load(program).module()(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
    assert np.abs(found.reshape(expected.shape) - expected).mean() < 2 * network.output.scale
    assert deeplock("compile", out, "-o", whole).code == 0
    assert deeplock("compile", program, "--calibration", inputs, "-o", direct).code == 0
    assert read_loadable(whole).program == read_loadable(direct).program
    assert read_loadable(whole).interface == read_loadable(direct).interface


def test_raw_pixels_keep_their_meaning(exported, deeplock, refused, tmp_path):
    program, _ = exported(nn.Conv2d(2, 4, 3), nn.AvgPool2d(4))
    images, out = tmp_path / "raw.npy", tmp_path / "network"
    np.save(images, np.random.default_rng(2).integers(0, 256, (8, 6, 6, 2), np.uint8))
    arguments = ("quantise", program, "--calibration", images, "-o", out)
    assert deeplock(*arguments, "--mean", "0.2,0.4", "--std", "0.5").code == 0
    assert load_network(out).pixels == Pixels((0.2 * 255, 0.4 * 255), (0.5 * 255,))
    assert refused(*arguments, "--std", "0") == "--std must be above 0, not 0.0"


def test_what_cannot_be_quantised_is_refused(files, exported, deeplock, refused, tmp_path):
    program, _ = exported(nn.Conv2d(2, 4, 3))
    locked, wrong, out = tmp_path / "locked", tmp_path / "wrong.npy", tmp_path / "out"
    assert deeplock("lock", files.float_checkpoint, "--key-file", files.key, "-o", locked).code == 0
    np.save(wrong, np.zeros((4, 9, 9, 1), np.uint8))
    for given, line in {
        (program,): f"{program}: a network in float is quantised with images: give --calibration",
        (files.network,): f"{files.network}: must be .pt2, .tflite, .onnx or a float checkpoint",
        (files.loadable,): f"{files.loadable}: must be .pt2, .tflite, .onnx or a float checkpoint",
        (locked,): f"checkpoint {locked}: is locked by suite deep-lock: unlock it first",
        (tmp_path / "none",): f"{tmp_path / 'none'}: No such file or directory",
        (files.float_checkpoint, "--mean", "0.5"): f"--mean has no effect on {files.float_checkpoint}, "
        "which is no exported program: leave it out",
    }.items():
        assert refused("quantise", *given, "-o", out) == line
    line = refused("quantise", files.float_checkpoint, "--calibration", wrong, "-o", out)
    assert line == f"{wrong}: images must be [n, 8, 8, 1], not [4, 9, 9, 1]"
    assert not out.exists()
