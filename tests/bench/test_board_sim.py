"""Boards simulated through their pins."""

from dataclasses import replace

import numpy as np
import pytest

from deeplock.bench.board_sim import simulate_board
from deeplock.fpga.boards import board
from deeplock.pymodel.attacks.bits import flip
from deeplock.pymodel.compiler import interpreter
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.licence import Licence, allowed
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
    [("icebreaker", 3), ("ulx3s-85f", 3), ("tangnano9k", 2)],
)
@pytest.mark.slow
@pytest.mark.parametrize("key", [KEY, WRONG_KEY], ids=["right", "wrong"])
def test_a_board_computes_what_the_golden_model_does(name, count, key):
    there, loadable, ifmaps = digits(name, count)
    run = simulate_board(there, loadable, key, list(ifmaps))
    assert np.array_equal(run.ofmaps, interpreter.run(loadable, key, ifmaps, there.config))
    assert run.counters["KEY_STARVED"] == 0
    assert run.counters["CYCLES"] == sum(cycles for cause, cycles in run.counters.items() if cause != "CYCLES")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "suite"), [("icebreaker", "tinyjambu"), ("ulx3s-25f", "ascon"), ("ulx3s-85f", "acorn")]
)
def test_a_board_runs_under_its_own_licence_only(name, suite):
    """Through its pins: the licence lies in front of the loadable in the flash. A bit flipped there is refused too."""
    there, network = board(name).for_suite(suite, licences=True), trained.load("digits")
    loadable = compile_network(network, there.config, np.random.default_rng(0)).locked(suite, KEY)
    ifmaps = quantise_input(network, datasets.load("digits", None).test_images[:2])
    allow = ("classes=0-8",) if there.config.permissions else ()
    licensed = loadable.under(Licence.issued(allowed(allow, loadable.header, 1), KEY, WRONG_KEY))
    run = simulate_board(there, licensed, WRONG_KEY, list(ifmaps))
    expected = interpreter.run(loadable, KEY, ifmaps, there.config)
    if there.config.permissions:
        expected[..., 9] = -128
    assert np.array_equal(run.ofmaps, expected)
    with pytest.raises(DeeplockError, match="BAD_LICENCE"):
        simulate_board(there, licensed, KEY, list(ifmaps))
    damaged = replace(licensed, licence=flip(licensed.licence, 300))
    with pytest.raises(DeeplockError, match="BAD_LICENCE"):
        simulate_board(there, damaged, WRONG_KEY, list(ifmaps))


@pytest.mark.slow
def test_a_loadable_comes_from_the_sdram_through_the_pins():
    """More images take no more reads of the flash."""
    there, loadable, ifmaps = digits("ulx3s-25f", 4)
    few, run = (simulate_board(there, loadable, KEY, list(ifmaps[:count])) for count in (2, 4))
    assert np.array_equal(run.ofmaps, interpreter.run(loadable, KEY, ifmaps, there.config))
    assert run.reads == few.reads


@pytest.mark.slow
def test_a_damaged_frame_each_way_is_sent_again():
    there, loadable, ifmaps = digits("icebreaker", 1)
    run = simulate_board(there, loadable, KEY, list(ifmaps), damage_sent=[30], damage_received=[60])
    assert np.array_equal(run.ofmaps, interpreter.run(loadable, KEY, ifmaps, there.config))


@pytest.mark.slow
def test_a_flash_that_answers_nothing_is_an_error_at_the_host():
    there, loadable, ifmaps = digits("icebreaker", 1)
    with pytest.raises(DeeplockError, match="uart: the board's flash does not answer"):
        simulate_board(there, loadable, KEY, list(ifmaps), dead_flash=True)
