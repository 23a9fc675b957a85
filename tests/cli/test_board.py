"""compile --board, program, run, and boards simulated through their pins."""

import os

import numpy as np
import pytest

from deeplock.bench.board_sim import simulate_board
from deeplock.fpga.boards import board
from deeplock.pymodel.compiler import interpreter
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.loadable import read_loadable
from deeplock.pymodel.zoo import datasets, trained
from deeplock.pymodel.zoo.preprocess import quantise_input
from tests.fpga.fake_board import INFO, FakeBoard, pseudo_terminal

KEY, WRONG_KEY = bytes(range(16)), bytes(range(1, 17))


def digits(name: str, count: int):
    """Board, locked loadable and ifmaps of the digits network."""
    there, network = board(name), trained.load("digits")
    loadable = compile_network(network, there.config, np.random.default_rng(0)).locked("deep-lock", KEY)
    return there, loadable, quantise_input(network, datasets.load("digits", None).test_images[:count])


@pytest.mark.parametrize(
    ("name", "count"),
    [("icebreaker", 1), *(pytest.param(name, 3, marks=pytest.mark.slow) for name in ("icebreaker", "ulx3s-85f"))],
)
@pytest.mark.parametrize("key", [KEY, WRONG_KEY], ids=["right", "wrong"])
def test_a_board_computes_what_the_golden_model_does(name, count, key):
    there, loadable, ifmaps = digits(name, count)
    run = simulate_board(there, loadable, key, list(ifmaps))
    assert np.array_equal(run.ofmaps, interpreter.run(loadable, key, ifmaps, there.config))
    assert run.counters["KEY_STARVED"] == 0
    assert run.counters["CYCLES"] == sum(cycles for cause, cycles in run.counters.items() if cause != "CYCLES")


def test_a_damaged_frame_each_way_is_sent_again():
    there, loadable, ifmaps = digits("icebreaker", 1)
    run = simulate_board(there, loadable, KEY, list(ifmaps), damage_sent=[30], damage_received=[60])
    assert np.array_equal(run.ofmaps, interpreter.run(loadable, KEY, ifmaps, there.config))


def test_a_flash_that_answers_nothing_is_an_error_at_the_host():
    there, loadable, ifmaps = digits("icebreaker", 1)
    with pytest.raises(DeeplockError, match="uart: the board's flash does not answer"):
        simulate_board(there, loadable, KEY, list(ifmaps), dead_flash=True)


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
