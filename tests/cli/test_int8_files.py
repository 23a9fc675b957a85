"""`compile` and `quantise` of int8 files of other engines: what they print, write, and refuse."""

import json
import sys

import numpy as np
import pytest

from deeplock.pymodel.network import golden
from deeplock.pymodel.network.network_file import load_network
from deeplock.pymodel.spec.accelerator import accelerator_for
from deeplock.pymodel.spec.loadable import read_loadable
from deeplock.pymodel.spec.tensor import Pixels
from tests.pymodel.frontends.onnx_files import Float, quantised
from tests.pymodel.frontends.tflite_files import File, small_tflite


@pytest.fixture
def tflite(tmp_path):
    return small_tflite(np.random.default_rng(3)).write(tmp_path / "mine.tflite")


def test_a_file_is_compared_compiled_and_predicts(tflite, files, deeplock, tmp_path):
    loadable, network, figures, pictures = (tmp_path / name for name in ("loadable", "network", "json", "pictures.npy"))
    assert deeplock("quantise", tflite, "-o", network).code == 0
    outcome = deeplock("compile", tflite, "--key-file", files.key, "-o", loadable, "--json", figures)
    assert (outcome.code, outcome.err) == (0, "")
    found = json.loads(figures.read_text())
    assert (
        set(found["layer_share"]) == set(found["layer_lsb"]) == {"conv_2d_0", "average_pool_2d_1", "fully_connected_3"}
    )
    assert max(found["layer_share"].values()) < 0.3 and set(found["layer_lsb"].values()) <= {0, 1}
    assert found["engine"].startswith("LiteRT ") and found["inputs"] == 32 and 0.9 <= found["agreement"] <= 1
    assert found["notes"] == ["SOFTMAX at node 4 is left out: the largest output stays the same"]
    same = sum(share == 0 for share in found["layer_share"].values())
    assert f"layers against {found['engine']}, on 32 random ifmaps: {same} of 3 the same\n" in outcome.out
    assert f"from end to end: the same largest class in {100 * found['agreement']:.2f} %\n" in outcome.out
    assert "note: SOFTMAX at node 4" in outcome.out

    images = np.random.default_rng(4).integers(0, 256, (5, 6, 6, 3), np.uint8)
    np.save(pictures, images)
    assert deeplock("predict", loadable, pictures, "--key-file", files.key, "--json", figures).code == 0
    read = load_network(network)
    expected = golden.run(read, (images.astype(int) - 128).astype(np.int8))["fully_connected_3"].reshape(5, 4)
    predicted = json.loads(figures.read_text())["pictures"]
    assert [int(picture["class"]) for picture in predicted] == expected.argmax(1).tolist()
    assert read_loadable(loadable).interface.pixels == read.pixels == Pixels((0.0,), (1.0,))


def test_a_function_takes_tables_and_is_refused_by_name_without(deeplock, tmp_path):
    file, shape = File(np.random.default_rng(3)), (6, 6, 3)
    x = file.conv(file.activation(*shape), shape)
    file.function("LOGISTIC", x, (6, 6, 4), scale=1 / 256, zero_point=-128)
    path, loadable, figures = file.write(tmp_path / "net.tflite"), tmp_path / "loadable", tmp_path / "json"
    for auto in ((), ("--auto",)):
        outcome = deeplock("compile", path, *auto, "-o", loadable, "--json", figures)
        assert outcome.code == 0 and "tables\n" in outcome.out, outcome.err
        assert "tables" in json.loads(figures.read_text())["features"]
        assert accelerator_for(read_loadable(loadable)).tables
    loadable.unlink()
    for without in ("--no-tables",), ("--board", "ulx3s-85f"):
        outcome = deeplock("compile", path, *without, "-o", loadable)
        assert outcome.code == 1 and not loadable.exists()
        line = "deeplock: layer logistic_1: the accelerator leaves out tables, and has no operator table\n"
        assert outcome.err == line


def test_a_product_takes_products_and_is_refused_by_name_without(deeplock, tmp_path):
    file, shape = File(np.random.default_rng(3)), (6, 6, 4)
    x = file.conv(file.activation(6, 6, 3), (6, 6, 3))
    file.multiply(x, file.reshape(file.mean(x, 4), 1, 1, 4), shape)
    path, loadable = file.write(tmp_path / "net.tflite"), tmp_path / "loadable"
    for auto in ((), ("--auto",)):
        outcome = deeplock("compile", path, *auto, "-o", loadable)
        assert outcome.code == 0 and "products\n" in outcome.out and "tables" not in outcome.out, outcome.err
        assert accelerator_for(read_loadable(loadable)).products
    loadable.unlink()
    for without in ("--no-products",), ("--board", "ulx3s-85f"):
        outcome = deeplock("compile", path, *without, "-o", loadable)
        line = "layer mul_3: the accelerator leaves out products, the option that operator multiply needs"
        assert outcome.code == 1 and not loadable.exists() and outcome.err == f"deeplock: {line}\n"


def test_quantise_writes_what_compile_takes(tflite, deeplock, tmp_path):
    network, direct, whole, figures = (tmp_path / name for name in ("network", "direct", "whole", "json"))
    outcome = deeplock("quantise", tflite, "-o", network, "--json", figures)
    assert (outcome.code, outcome.err) == (0, "")
    found = json.loads(figures.read_text())
    keys = {
        "network",
        "parameters",
        "engine",
        "inputs",
        "layer_share",
        "layer_lsb",
        "agreement",
        "notes",
        "bytes",
        "file",
    }
    assert set(found) == keys and (found["network"], found["parameters"]) == ("mine", 5 * 28 + 4 * 6)
    assert deeplock("compile", network, "-o", whole).code == 0
    assert deeplock("compile", tflite, "-o", direct).code == 0
    assert read_loadable(whole).program == read_loadable(direct).program
    assert read_loadable(whole).interface == read_loadable(direct).interface


def test_pixels_mean_what_the_user_says(tflite, deeplock, refused, tmp_path):
    out = tmp_path / "network"
    assert deeplock("quantise", tflite, "--mean", "0.2,0.3,0.4", "--std", "0.5", "-o", out).code == 0
    assert load_network(out).pixels == Pixels((0.2 * 255, 0.3 * 255, 0.4 * 255), (0.5 * 255,))
    assert refused("quantise", tflite, "--std", "0", "-o", out) == "--std must be above 0, not 0.0"


def test_features_are_predicted_from_rows(deeplock, tmp_path):
    file = File(np.random.default_rng(5))
    file.dense(file.activation(12), 12, 3)
    path, loadable, rows = file.write(tmp_path / "rows.tflite"), tmp_path / "loadable", tmp_path / "rows.npy"
    np.save(rows, np.random.default_rng(6).normal(size=(4, 12)))
    assert deeplock("compile", path, "-o", loadable).code == 0
    assert deeplock("predict", loadable, rows).code == 0


def test_without_the_engine_one_line_says_so(tflite, deeplock, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.delitem(sys.modules, "deeplock.pymodel.frontends.tflite.engine", raising=False)
    figures = tmp_path / "json"
    outcome = deeplock("compile", tflite, "-o", tmp_path / "loadable", "--json", figures)
    assert (outcome.code, outcome.err) == (0, "")
    assert "note: not compared with the file's engine: ai_edge_litert is not installed\n" in outcome.out
    found = json.loads(figures.read_text())
    assert (found["engine"], found["layer_lsb"], found["agreement"]) == ("", {}, None)


def test_without_the_schema_a_file_is_refused(tflite, refused, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tflite", None)
    for name in ("graph", "operators", "network"):
        monkeypatch.delitem(sys.modules, f"deeplock.pymodel.frontends.tflite.{name}", raising=False)
    assert refused("compile", tflite, "-o", tmp_path / "out") == f"{tflite}: to read it, tflite must be installed"


def test_an_onnx_file_is_compared_and_compiled(deeplock, refused, tmp_path):
    net = Float(np.random.default_rng(2), 3, 6, 6)
    net.conv("x", 3, 4)
    path, loadable, figures = quantised(net, tmp_path / "mine.onnx"), tmp_path / "loadable", tmp_path / "json"
    outcome = deeplock("compile", path, "-o", loadable, "--json", figures)
    assert (outcome.code, outcome.err) == (0, "")
    found = json.loads(figures.read_text())
    assert set(found["layer_lsb"]) == {"conv_0"} and found["engine"].startswith("onnxruntime ")
    assert f"layers against {found['engine']}, on 32 random ifmaps: " in outcome.out
    assert deeplock("quantise", path, "-o", tmp_path / "network").code == 0
    assert read_loadable(loadable).interface.input == load_network(tmp_path / "network").input
    out = ("-o", tmp_path / "out")
    assert refused("compile", path, "--calibration", path, *out).startswith(
        f"--calibration has no effect on {path}, which"
    )
    line = refused("compile", net.write(path), *out)
    assert line == f"{path}: a network in float is quantised with images: give --calibration"
    path.write_bytes(b"hello")
    assert refused("quantise", path, *out).startswith(f"{path}: truncated, or not an ONNX file (")
    assert refused("info", path) == f"{path}: a network of ONNX: `deeplock compile` and `deeplock quantise` take it"


def test_an_onnx_file_in_float_is_quantised_with_images(deeplock, tmp_path):
    net = Float(np.random.default_rng(2), 3, 6, 6)
    net.node("Relu", net.conv("x", 3, 4))
    path, loadable, images = net.write(tmp_path / "mine.onnx"), tmp_path / "loadable", tmp_path / "images.npy"
    np.save(images, np.random.default_rng(3).integers(0, 256, (32, 6, 6, 3), np.uint8))
    arguments = ("compile", path, "--calibration", images, "--mean", "0.5", "--std", "0.25", "-o", loadable)
    outcome = deeplock(*arguments)
    assert outcome.code == 0 and "layers against PyTorch's quantised graph: at most" in outcome.out
    assert read_loadable(loadable).interface.pixels == Pixels((0.5 * 255,), (0.25 * 255,))


def in_float(path):
    file = File(np.random.default_rng(1))
    x = file.activation(4, dtype="float32")
    file.operator("RELU", [x], file.activation(4, dtype="float32"))
    file.write(path)


def test_faults_are_one_line(tflite, refused, tmp_path):
    out, bad = ("-o", tmp_path / "out"), tmp_path / "bad.tflite"
    useless = f"has no effect on {tflite}, which is int8 already: leave it out"
    assert refused("compile", tflite, "--calibration", tflite, *out) == f"--calibration {useless}"
    assert refused("quantise", tflite, "--calibration", tflite, *out) == f"--calibration {useless}"
    assert refused("quantise", tflite, "--data", tmp_path, *out) == f"--data {useless}"
    for command in ("compile", "quantise"):
        assert refused(command, tmp_path / "none.tflite", *out) == f"{tmp_path / 'none.tflite'}: no such file"
        bad.write_bytes(tflite.read_bytes()[:900])
        assert refused(command, bad, *out).startswith(f"{bad}: truncated, or not a TensorFlow Lite file (")
        bad.write_bytes(b"hello")
        assert refused(command, bad, *out) == f"{bad}: not a TensorFlow Lite file"
        in_float(bad)
        assert refused(command, bad, *out).startswith(
            f"{bad}: unsupported operator RELU at node 0 (tensor_1): its input must be"
        )
    assert not (tmp_path / "out").exists()


def test_the_kind_of_a_file_is_known_by_its_content(tflite, deeplock, refused, tmp_path):
    renamed = tflite.rename(tmp_path / "network")
    assert deeplock("quantise", renamed, "-o", tmp_path / "out").code == 0
    line = refused("info", renamed)
    assert line == f"{renamed}: a network of TensorFlow Lite: `deeplock compile` and `deeplock quantise` take it"
