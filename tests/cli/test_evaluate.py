import json
import shutil

import numpy as np
import pytest

from deeplock.pymodel.zoo import evaluation, trained
from deeplock.report.accuracy_report import accuracy_figure, accuracy_section


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
    assert evaluate(files.plain_loadable)["accuracy"] == accuracy["int8"]
    assert evaluate(files.loadable, "--key-file", files.key)["accuracy"] == accuracy["int8"]


def test_wrong_keys_guess(files, evaluate, deeplock, tmp_path):
    locked = tmp_path / "locked"
    deeplock("lock", files.float_checkpoint, "--key-file", files.key, "-o", locked)
    for path, right in ((files.loadable, "int8"), (locked, "float")):
        found = evaluate(path, "--key-file", files.key, "--wrong-keys", 8)
        assert found["accuracy"] == files.figures["accuracy"][right]
        assert len(found["wrong_keys"]) == 8
        assert 0.05 < found["wrong_key_mean"] < 0.2
        assert evaluate(path, "--wrong-keys", 8)["wrong_keys"] == found["wrong_keys"]
    assert evaluate(files.loadable, "--wrong-keys", 1)["accuracy"] is None


def test_needless_and_missing_keys_are_named(files, refused):
    assert "it is not locked" in refused("evaluate", files.network, "--key-file", files.key)
    assert "it is not locked" in refused("evaluate", files.float_checkpoint, "--wrong-keys", 2)
    assert "give --key-file" in refused("evaluate", files.loadable)
    assert "give FILE or --paper" in refused("evaluate")


@pytest.fixture
def paper(files, evaluate, monkeypatch, tmp_path):
    """Runs `evaluate --paper` on the digits network."""
    shutil.copy(files.network, tmp_path / "digits.safetensors")
    (tmp_path / "digits.json").write_text(json.dumps(files.figures))
    monkeypatch.setattr(trained, "_FOLDER", tmp_path)
    return lambda *arguments: evaluate("--paper", "--networks", "digits", "--wrong-images", 300, *arguments)


def test_paper_gives_the_figures_of_the_issue(paper, files):
    found = paper("--keys", 12)["networks"]["digits"]
    assert found["parameters"] == 5130
    assert found["float"] == files.figures["accuracy"]["float"]
    assert found["unlocked"] == found["int8"] == files.figures["accuracy"]["int8"]
    assert (found["images"], found["wrong_keys"], found["wrong_key_images"]) == (360, 12, 300)
    wrong = found["wrong_key_accuracies"]
    assert len(wrong) == 12
    assert found["wrong_key_mean"] == pytest.approx(np.mean(wrong))
    assert found["wrong_key_std"] == pytest.approx(np.std(wrong))
    assert 0.05 < found["wrong_key_mean"] < 0.2


def test_paper_repeats_itself_keeps_what_is_measured_and_goes_on(paper, monkeypatch):
    runs = []
    many = evaluation.ofmaps_of_keys
    monkeypatch.setattr(
        "deeplock.bench.accuracy.ofmaps_of_keys", lambda *args, **more: runs.append(len(args[1])) or many(*args, **more)
    )

    def wrong_keys(*arguments: object) -> list[float]:
        return paper("--keys", 6, *arguments)["networks"]["digits"]["wrong_key_accuracies"]

    first = wrong_keys()
    assert runs == [1, 6]
    assert wrong_keys() == first
    assert runs == [1, 6]
    assert wrong_keys("--fresh") == first
    assert runs == [1, 6] * 2
    assert wrong_keys("--seed", 1) != first
    assert runs == [1, 6] * 3


def test_paper_tells_no_key(files, deeplock, paper, tmp_path):
    """Not one of 16 bytes that the seed gives is told, in hexadecimal or as numbers."""
    paper("--keys", 3)
    outcome = deeplock("evaluate", "--paper", "--networks", "digits", "--keys", 3, "--fresh", "--json", tmp_path / "j")
    keys = np.random.default_rng([0, *b"digits"]).integers(0, 256, (4, 16), np.uint8)
    told = outcome.out + outcome.err + (tmp_path / "j").read_text()
    for key in keys:
        assert key.tobytes().hex()[:8] not in told.lower()
        assert ", ".join(map(str, key[:4])) not in told


def test_paper_stops_where_the_loadable_is_not_the_network(deeplock, paper, tmp_path, monkeypatch):
    paper("--keys", 1)
    monkeypatch.setattr("deeplock.bench.accuracy.golden_ofmaps", lambda *_, **__: np.zeros((360, 1, 1, 10), np.int8))
    path = tmp_path / "other.json"
    outcome = deeplock("evaluate", "--paper", "--networks", "digits", "--json", path)
    assert outcome.code == 1
    assert outcome.err.endswith("unlocked with the right key, the loadable is not the int8 network\n")
    assert not path.exists()


def test_faults_of_paper_are_named(files, refused, tmp_path):
    foreign = tmp_path / "foreign.json"
    foreign.write_text("[1]")
    assert "no trained network 'nets'" in refused("evaluate", "--paper", "--networks", "nets", "--json", tmp_path / "j")
    assert "not a result of" in refused("evaluate", "--paper", "--networks", "digits", "--json", foreign)
    assert "FILE has no effect with --paper" in refused("evaluate", files.loadable, "--paper")
    assert "--key-file has no effect with --paper" in refused("evaluate", "--paper", "--key-file", files.key)


def test_a_result_becomes_a_table_and_a_figure(paper):
    result = paper("--keys", 2)
    text = accuracy_section(result)
    assert text.startswith("| network |") and "| digits | 5,130 | 98.06 % |" in text
    assert accuracy_figure(result).startswith(b"\x89PNG")
