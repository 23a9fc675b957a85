import json

import pytest

from deeplock.pymodel.spec.loadable import read_loadable


@pytest.fixture
def info(deeplock, tmp_path):
    """Runs the command, gives what it printed and its figures."""

    def run(path):
        outcome = deeplock("info", path, "--json", tmp_path / "info.json")
        assert (outcome.code, outcome.err) == (0, "")
        return outcome.out, json.loads((tmp_path / "info.json").read_text())

    return run


def test_a_loadable(files, info):
    text, found = info(files.loadable)
    loadable = read_loadable(files.loadable)
    assert (found["kind"], found["suite"], found["locked"]) == ("loadable", "deep-lock", True)
    assert (
        sum(layer["parameter_bytes"] for layer in found["layers"])
        == found["parameter_bytes"]
        == len(loadable.parameters)
    )
    assert found["layers"][-1]["output"] == [1, 1, 10]
    assert (
        found["lower_bound"] == loadable.interface.lower_bound == sum(layer["lower_bound"] for layer in found["layers"])
    )
    assert found["needs"]["activation_words"] == 512
    assert "  4x4 array, 4 bytes a beat, 512 activation words (those it was compiled for), " in text
    assert found["sbox"] == {"nonlinearity": 112, "differential_uniformity": 4, "algebraic_degree": 7}
    assert "0 1 2 3 4 5 6 7 8 9" in text
    head, _, *rows = (line.split() for line in text[text.index("name ") :].splitlines())
    assert " ".join(head).endswith("words lower bound array bound groups") and len(rows) == len(found["layers"])
    assert rows[0][:4] == ["conv1", "conv", "8x8x1", "2x4x16"]  # two strips
    assert [row[-2:] for row in rows] == [[str(layer["array_bound"]), "1"] for layer in found["layers"]]
    assert info(files.plain_loadable)[1]["locked"] is False


def test_a_network(files, info):
    text, found = info(files.network)
    assert found["parameters"] == 5130
    assert found["macs"] == 64 * 16 * 9 + 4 * 32 * 144 + 320
    assert [layer["kind"] for layer in found["layers"]] == ["Conv", "MaxPool", "Conv", "MaxPool", "Conv"]
    assert "8x8x16" in text


def test_a_checkpoint(files, info, deeplock, tmp_path):
    text, found = info(files.float_checkpoint)
    assert (found["kind"], found["locked"], found["parameters"]) == ("checkpoint", False, 5130)
    assert found["metadata"]["network"] == "digits"
    assert {tensor["dtype"] for tensor in found["tensors"]} == {"float32"}
    assert "conv1.weight" in text
    deeplock("lock", files.float_checkpoint, "--key-file", files.key, "-o", tmp_path / "locked")
    assert info(tmp_path / "locked")[1]["locked"] is True
