"""`licence`, and what the other commands do with licences. docs/licensing.md is run as it stands."""

import json
import re

import pytest

from deeplock.pymodel.spec.licence import read_licence
from tests.cli.pages import commands_of
from tests.cli.test_main import ROOT
from tests.fpga.flow.test_provision import packed

COMMANDS = commands_of(ROOT / "docs" / "licensing.md")


@pytest.fixture
def keys(deeplock, tmp_path):
    for role in ("model", "device"):
        assert deeplock("keygen", f"--{role}", "-o", tmp_path / role).code == 0
    return {role: tmp_path / role for role in ("model", "device")}


@pytest.fixture
def sealed(files, keys, deeplock, tmp_path):
    about = ("--suite", "acorn", "--model", 7, "--model-version", 3)
    outcome = deeplock("seal", files.plain_loadable, "--key-file", keys["model"], *about, "-o", tmp_path / "sealed")
    assert (outcome.code, outcome.err) == (0, "")
    return tmp_path / "sealed"


@pytest.fixture
def issue(sealed, keys, tmp_path):
    return (
        "licence",
        sealed,
        "--model-key",
        keys["model"],
        "--device-key",
        keys["device"],
        "--device",
        5,
        "-o",
        tmp_path / "new",
    )


@pytest.mark.slow
def test_the_walk_through_runs(deeplock, tmp_path, monkeypatch):
    """In place of what takes minutes a bitstream of a key memory alone; what needs the board says what it would write."""
    monkeypatch.chdir(tmp_path)
    assert len(COMMANDS) >= 18
    for command in COMMANDS:
        name, *words = command.words
        assert name == "deeplock"
        error = command.comment
        if error == "takes minutes":
            (tmp_path / words[-1]).write_bytes(packed("up5k", tmp_path))
            continue
        if error == "needs the board":
            outcome = deeplock(*words, *(["--dry-run"] if words[0] == "program" else []))
            assert outcome.code == (words[0] == "run"), (words, outcome.err)
            assert ("ttyUSB" in outcome.err) if words[0] == "run" else outcome.out.startswith("iceprog ")
            assert ("in clear" in outcome.out) == ("--device-key" in words)
            continue
        outcome = deeplock(*words)
        assert outcome.code == bool(error), (words, outcome.err)
        assert f"stopped with {error}:" in outcome.err if error else "stopped" not in outcome.err
        assert not re.search(r"\b[0-9a-f]{32}\b", outcome.out + outcome.err)


def test_what_a_licence_says_is_shown(issue, deeplock, tmp_path):
    figures = tmp_path / "json"
    allow = ("--allow", "versions=2-4", "--allow", "inferences=9", "--allow", "classes=0-3,7")
    assert deeplock(*issue, *allow, "--json", figures).code == 0
    expected = {
        "suite": "acorn", "bytes_per_beat": 4, "device": 5, "model": 7, "least_version": 2, "most_version": 4,
        "inferences": 9, "classes": "0-3,7",
    }  # fmt: skip
    written = json.loads(figures.read_text())
    assert written == expected | {"bytes": (tmp_path / "new").stat().st_size, "file": str(tmp_path / "new")}
    assert deeplock("info", tmp_path / "new", "--json", figures).code == 0
    assert json.loads(figures.read_text()) == {"kind": "licence", **expected}
    assert deeplock(*issue).code == 0
    outcome = deeplock("info", tmp_path / "new")
    assert "any number" in outcome.out and "all" in outcome.out
    assert not read_licence(tmp_path / "new").terms.restricts


@pytest.mark.slow
def test_outputs_that_are_not_licensed_are_the_least_on_the_rtl_too(sealed, keys, issue, deeplock, tmp_path):
    assert deeplock(*issue, "--allow", "classes=0-4").code == 0
    run = ("simulate", sealed, "--licence", tmp_path / "new", "--key-file", keys["device"], "--count", 3)
    outcome = deeplock(*run, "--simulator", "native")
    assert outcome.code == 0 and re.search("bytes that differ from golden +0\n", outcome.out)


def test_faults_are_named(sealed, keys, issue, files, refused, tmp_path):
    _, _, *rest = issue
    assert (
        refused("licence", files.plain_loadable, *rest)
        == f"{files.plain_loadable}: is not sealed: use `deeplock seal` first"
    )
    swapped = [keys["device"] if word == keys["model"] else word for word in issue]
    assert refused(*swapped) == f"key file {keys['device']}: holds a device key, this needs a model key"
    assert refused(*(files.key if word == keys["model"] else word for word in issue)).startswith("a tag is wrong")
    assert refused(*issue, "--allow", "speed=3").startswith(
        "a licence allows versions=2-5, inferences=9 or classes=0-3,7"
    )
    assert refused(*issue, "--allow", "classes=3,9-10") == "classes must be 0..9, the network's, not 10"
    line = refused("seal", files.plain_loadable, "--key-file", keys["device"], "-o", tmp_path / "new")
    assert line == f"key file {keys['device']}: holds a device key, this needs a model key"
    assert refused("simulate", sealed, "--licence", sealed, "--key-file", keys["device"]).endswith(
        "not a licence (issue one with `deeplock licence`)"
    )
    assert not (tmp_path / "new").exists()


def test_a_licence_is_no_network(issue, deeplock, refused, tmp_path):
    assert deeplock(*issue).code == 0
    path = tmp_path / "new"
    assert refused("evaluate", path) == f"{path}: a licence holds no network"
    assert "not a loadable" in refused("simulate", path)
