"""Boards simulated through their pins."""

import numpy as np
import pytest

from deeplock.bench.board_sim import simulate_board
from deeplock.fpga.boards import board
from deeplock.pymodel.compiler import interpreter
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.zoo import datasets, trained
from deeplock.pymodel.zoo.preprocess import quantise_input

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
