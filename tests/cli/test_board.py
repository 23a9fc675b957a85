"""compile --board, program, run."""

import os

import pytest

from deeplock.pymodel.spec.loadable import read_loadable
from deeplock.pymodel.zoo import trained
from tests.fpga.fake_board import INFO, FakeBoard, pseudo_terminal


@pytest.fixture
def loadable_file(deeplock, tmp_path):
    path, key = tmp_path / "digits.loadable", tmp_path / "my.key"
    assert deeplock("keygen", "-o", key).code == 0
    arguments = ("--board", "icebreaker", "--key-file", key, "-o", path)
    assert deeplock("compile", trained.path_of("digits"), *arguments).code == 0
    return path, key


def test_program_says_what_it_would_run(deeplock, loadable_file, tmp_path):
    bitstream = tmp_path / "icebreaker.bin"
    bitstream.write_bytes(b"bits")
    files = ("--bitstream", bitstream, "--loadable", loadable_file[0])
    first, second = deeplock("program", "--board", "icebreaker", *files, "--dry-run").out.splitlines()
    assert first == f"iceprog {bitstream}"
    assert second.startswith("iceprog -o 1048576 ")


def test_program_runs_the_programmer_with_the_stream_as_the_accelerator_takes_it(
    deeplock, loadable_file, tmp_path, monkeypatch
):
    programmer = tmp_path / "iceprog"
    programmer.write_text(f'#!/bin/sh\ntest "$1 $2" = "-o 1048576" && cp "$3" {tmp_path}/written\n')
    programmer.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert deeplock("program", "--board", "icebreaker", "--loadable", loadable_file[0]).code == 0
    assert (tmp_path / "written").read_bytes() == read_loadable(loadable_file[0]).stream


def test_what_program_refuses(refused, loadable_file, monkeypatch):
    loadable, _ = loadable_file
    assert refused("program", "--board", "nano", "--loadable", loadable).startswith("board must be icebreaker, ")
    assert refused("program", "--board", "icebreaker").startswith("nothing to write")
    assert "the accelerator is 8x16" in refused("program", "--board", "ulx3s-85f", "--loadable", loadable, "--dry-run")
    assert refused("program", "--board", "icebreaker", "--bitstream", "no.bin") == "no.bin: no such file"


def test_a_programmer_that_is_missing_is_named(deeplock, loadable_file, monkeypatch):
    monkeypatch.setenv("PATH", "")
    outcome = deeplock("program", "--board", "icebreaker", "--loadable", loadable_file[0])
    assert outcome.code == 1
    assert "programmed with iceprog, which is not on PATH" in outcome.err


def test_run_on_a_port_that_is_absent_silent_or_something_else(refused, loadable_file):
    loadable, key = loadable_file

    def run(port: str) -> str:
        return refused("run", loadable, "--board", "icebreaker", "--key-file", key, "--port", port)

    assert run("/dev/ttyNOSUCH") == "/dev/ttyNOSUCH: no such port; is the board plugged in?"
    with pseudo_terminal(lambda data: b"") as port:
        assert run(port) == f"{port}: nothing answers; is the board powered, programmed and on this port?"
    with pseudo_terminal(lambda data: b"login: ") as port:
        assert run(port) == f"{port}: what answers is no Deep-Lock board, or has another baud rate"
    with pseudo_terminal(FakeBoard(INFO._replace(board="ulx3s-85f"))) as port:
        assert run(port) == f"{port}: the board is ulx3s-85f, not icebreaker"
