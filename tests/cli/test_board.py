"""compile --board, program, run."""

import os

import pytest

from deeplock.pymodel.spec.licence import read_licence
from deeplock.pymodel.spec.loadable import read_loadable
from deeplock.pymodel.zoo import trained
from tests.fpga.fake_board import INFO, FakeBoard, pseudo_terminal


@pytest.fixture
def loadable_file(deeplock, tmp_path):
    path, key = tmp_path / "digits.loadable", tmp_path / "my.key"
    assert deeplock("keygen", "-o", key).code == 0
    arguments = ("--board", "icebreaker", "--suite", "deep-lock", "--key-file", key, "-o", path)
    assert deeplock("compile", trained.path_of("digits"), *arguments).code == 0
    return path, key


def test_program_says_what_it_would_run(deeplock, loadable_file, tmp_path):
    bitstream = tmp_path / "icebreaker.bin"
    bitstream.write_bytes(b"bits")
    files = ("--bitstream", bitstream, "--loadable", loadable_file[0])
    first, second, trust = deeplock("program", "--board", "icebreaker", *files, "--dry-run").out.splitlines()
    assert first == f"iceprog {bitstream}"
    assert second.startswith("iceprog -o 1048576 ")
    assert trust.startswith("The bitstream on the board is trusted")


def test_program_runs_the_programmer_with_the_stream_as_the_accelerator_takes_it(
    deeplock, loadable_file, tmp_path, monkeypatch
):
    programmer = tmp_path / "iceprog"
    programmer.write_text(f'#!/bin/sh\ntest "$1 $2" = "-o 1048576" && cp "$3" {tmp_path}/written\n')
    programmer.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert deeplock("program", "--board", "icebreaker", "--loadable", loadable_file[0]).code == 0
    assert (tmp_path / "written").read_bytes() == read_loadable(loadable_file[0]).stream


@pytest.fixture
def licensed(deeplock, tmp_path):
    """A sealed loadable of a board, its licence, and the device's key."""
    names = ("model", "device", "loadable", "licence")
    model, device, loadable, licence = (tmp_path / name for name in names)
    for role in ("model", "device"):
        assert deeplock("keygen", f"--{role}", "-o", tmp_path / role).code == 0
    arguments = ("--board", "icebreaker", "--suite", "tinyjambu", "--key-file", model, "-o", loadable)
    assert deeplock("compile", trained.path_of("digits"), *arguments).code == 0
    keys = ("--model-key", model, "--device-key", device, "--device", 1)
    assert deeplock("licence", loadable, *keys, "-o", licence).code == 0
    return loadable, licence, device


def test_program_puts_the_licence_in_front_of_its_loadable(
    deeplock, refused, licensed, loadable_file, tmp_path, monkeypatch
):
    loadable, licence, _ = licensed
    programmer = tmp_path / "iceprog"
    programmer.write_text(f'#!/bin/sh\ncp "$3" {tmp_path}/written\n')
    programmer.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert deeplock("program", "--board", "icebreaker", "--loadable", loadable, "--licence", licence).code == 0
    assert (tmp_path / "written").read_bytes() == read_licence(licence).stream + read_loadable(loadable).stream
    line = refused(
        "program", "--board", "icebreaker", "--loadable", loadable_file[0], "--licence", licence, "--dry-run"
    )
    assert line == "licences need a suite that seals, not deep-lock"
    line = refused("program", "--board", "icebreaker", "--bitstream", licence, "--licence", licence, "--dry-run")
    assert line == "a licence comes in front of its loadable: give --loadable too"


def test_run_takes_a_device_key_with_a_licence(refused, licensed, tmp_path):
    loadable, licence, device = licensed
    board = ("run", loadable, "--board", "icebreaker", "--port", tmp_path / "none", "--licence", licence)
    model = tmp_path / "model"
    assert refused(*board, "--key-file", model) == f"key file {model}: holds a model key, this needs a device key"
    assert refused(*board, "--key-file", device).startswith(f"{tmp_path / 'none'}: ")
    line = refused("run", loadable, "--board", "icebreaker", "--port", tmp_path / "none", "--key-file", device)
    assert line == f"key file {device}: holds a device key, this needs a model key"


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
