"""`compile --key-check`: the commands refuse a wrong key before they do anything, and take the right one as ever."""

import json

import numpy as np
import pytest

from deeplock.pymodel.spec.loadable import read_loadable
from tests.cli.conftest import ACCELERATOR

LINE = "wrong key: by its key check, the loadable was locked with another one"


@pytest.fixture
def checked(files, deeplock, tmp_path):
    path = tmp_path / "checked"
    lock = ("--suite", "deep-lock", "--key-file", files.key, "--key-check")
    outcome = deeplock("compile", files.network, *ACCELERATOR, *lock, "-o", path)
    assert (outcome.code, outcome.err) == (0, "")
    assert "locked by suite deep-lock, with a key check\n" in outcome.out
    return path


def test_a_wrong_key_is_refused_and_the_right_one_taken(checked, files, deeplock, refused, monkeypatch, tmp_path):
    monkeypatch.setattr("deeplock.sim.rtl.run_on_rtl", lambda *_, **__: pytest.fail("ran"))
    images, out = tmp_path / "images.npy", tmp_path / "out"
    np.save(images, np.zeros((1, 8, 8, 1), np.uint8))
    for command in (
        ("simulate", checked, "--json", out),
        ("predict", checked, images, "--json", out),
        ("evaluate", checked, "--json", out),
        ("unlock", checked, "-o", out),
    ):
        assert refused(*command, "--key-file", files.wrong_key) == LINE
        assert not out.exists()
    for command in (("predict", checked, images), ("evaluate", checked, "--count", 5), ("unlock", checked, "-o", out)):
        assert deeplock(*command, "--key-file", files.key).code == 0
    plain = read_loadable(out)
    assert plain.key_check == b"" and plain.suite == "plain"
    assert deeplock("predict", out, images).code == 0


def test_wrong_keys_are_still_tried_on_request(checked, deeplock):
    assert deeplock("evaluate", checked, "--wrong-keys", 2, "--count", 20).code == 0


def test_a_board_gets_no_wrong_key(files, deeplock, refused, tmp_path):
    path, key = tmp_path / "board", files.wrong_key
    board = ("--board", "icebreaker")
    assert (
        deeplock(
            "compile", files.network, *board, "--suite", "deep-lock", "--key-file", files.key, "--key-check", "-o", path
        ).code
        == 0
    )
    assert refused("run", path, *board, "--port", tmp_path / "none", "--key-file", key) == LINE
    assert refused("run", path, *board, "--port", tmp_path / "none", "--key-file", files.key) != LINE


def test_the_stream_has_no_part_of_it_and_off_is_the_default(checked, files, deeplock, tmp_path):
    loadable = read_loadable(checked)
    assert len(loadable.key_check) == 20
    assert loadable.key_check[:16] not in loadable.stream and loadable.key_check[16:] not in loadable.head
    assert read_loadable(files.loadable).key_check == b""
    for path, has in ((checked, True), (files.loadable, False)):
        assert deeplock("info", path, "--json", tmp_path / "json").code == 0
        assert json.loads((tmp_path / "json").read_text())["key_check"] is has


def test_where_it_has_no_effect_it_is_refused(files, refused, tmp_path):
    compile_ = ("compile", files.network, "--key-check", "-o", tmp_path / "out")
    for suite in ("acorn", "ascon", "tinyjambu"):
        line = refused(*compile_, "--suite", suite, "--key-file", files.key)
        assert line == f"--key-check has no effect with suite {suite}, whose tags tell a wrong key already"
    plain = "--key-check has no effect on a plain loadable: give --key-file, and a suite that locks"
    assert refused(*compile_) == plain
    assert refused(*compile_, "--suite", "plain", "--key-file", files.key) == plain
    assert not (tmp_path / "out").exists()
