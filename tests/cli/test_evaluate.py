import json

import pytest


@pytest.fixture
def evaluate(deeplock, tmp_path):
    """Runs the command and gives its figures."""

    def run(*arguments: object) -> dict:
        outcome = deeplock("evaluate", *arguments, "--json", tmp_path / "figures.json")
        assert outcome.code == 0, outcome.err
        return json.loads((tmp_path / "figures.json").read_text())

    return run


def test_a_network_and_its_images_have_one_accuracy(files, evaluate):
    accuracy = files.figures["accuracy"]
    assert evaluate(files.float_checkpoint)["accuracy"] == accuracy["float"]
    found = evaluate(files.network)
    assert (found["kind"], found["images"], found["accuracy"]) == ("network", 360, accuracy["int8"])
    assert evaluate(files.plain_image)["accuracy"] == accuracy["int8"]
    assert evaluate(files.image, "--key-file", files.key)["accuracy"] == accuracy["int8"]


def test_wrong_keys_guess(files, evaluate, deeplock, tmp_path):
    locked = tmp_path / "locked"
    deeplock("lock", files.float_checkpoint, "--key-file", files.key, "-o", locked)
    for path, right in ((files.image, "int8"), (locked, "float")):
        found = evaluate(path, "--key-file", files.key, "--wrong-keys", 8)
        assert found["accuracy"] == files.figures["accuracy"][right]
        assert len(found["wrong_keys"]) == 8
        assert 0.05 < found["wrong_key_mean"] < 0.2
        assert evaluate(path, "--wrong-keys", 8)["wrong_keys"] == found["wrong_keys"]
    assert evaluate(files.image, "--wrong-keys", 1)["accuracy"] is None


def test_needless_and_missing_keys_are_named(files, refused):
    assert "it is not locked" in refused("evaluate", files.network, "--key-file", files.key)
    assert "it is not locked" in refused("evaluate", files.float_checkpoint, "--wrong-keys", 2)
    assert "give --key-file" in refused("evaluate", files.image)
