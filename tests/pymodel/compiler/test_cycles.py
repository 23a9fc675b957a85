"""Expected cycles: counted by hand, and measured on the RTL."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from deeplock.pymodel.compiler.compiler import compile_network, outline
from deeplock.pymodel.compiler.cycles import expected_cycles
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.operators.average_pool import AveragePool
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.zoo import trained
from deeplock.sim.run import simulate
from tests.random_networks import chains, network_of
from tests.sim.tiny import ACCUMULATORS_TOO_FEW

RESULTS = Path(__file__).parents[3] / "docs" / "results"


def conv(name: str, source: str, shape: tuple[int, int, int, int]) -> Conv:
    """shape: output channels, height and width of the kernel, input channels."""
    scales = np.zeros(shape[0], np.int32), np.full(shape[0], 1 << 15), np.full(shape[0], 15)
    return Conv(name, source, np.ones(shape, np.int8), *scales, (1, 1), (0, 0, 0, 0), 0, 0, -128, 127)


def cycles(config: Config, shape, *layers) -> list[int]:
    return expected_cycles(outline(network_of(shape, *layers), config), config)


def test_words_where_they_take_longer_than_weights():
    """b is a tile of 36 words; its 8 beats of entries and 8 of weights arrive while `a` computes. c is 36 tiles of a word, in 8
    beats each: all but the first, which arrives while `b` computes, are waited for."""
    config = Config(rows=8, cols=8, bytes_per_beat=8)
    layers = conv("a", "input", (8, 1, 1, 8)), conv("b", "a", (8, 1, 1, 8)), conv("c", "b", (8, 6, 6, 8))
    assert cycles(config, (6, 6, 8), *layers)[1:] == [36, 36 + 35 * (8 - 1)]


def test_weights_where_they_take_longer_than_words():
    """Two groups of 5 tiles of a word, in 8 beats each, and 8 beats of entries more for the first. The 5 words of the layer
    before hide 5 beats, each word one."""
    config = Config(rows=8, cols=8, bytes_per_beat=8)
    _, second = cycles(config, (1, 5, 8), conv("a", "input", (8, 1, 1, 8)), conv("b", "a", (16, 1, 5, 8)))
    assert second == 10 + (16 - 5) + 4 * (8 - 1) + (16 - 1) + 4 * (8 - 1)


def test_lanes_that_take_longer_than_the_last_word_of_a_pixel():
    """2 tiles of 36 words; the second finishes 36 pixels of 8 columns, in 8 / lanes steps of `multiplier_cycles`."""
    layers = conv("a", "input", (16, 1, 1, 8)), conv("b", "a", (8, 1, 1, 16))
    for lanes, multiplier, of_pixel in ((8, 1, 1), (4, 1, 2), (2, 1, 4), (8, 4, 4), (2, 2, 8)):
        config = Config(rows=8, cols=8, bytes_per_beat=8, lanes=lanes, multiplier_cycles=multiplier)
        assert cycles(config, (6, 6, 8), *layers)[1] == 36 + 36 * of_pixel


def test_layers_without_weights_take_their_words():
    """12 channels, two groups, of 2x2 pixels each in two words of a row of the kernel: 4 pixels x 4 x 2."""
    config = Config(rows=8, cols=8, bytes_per_beat=8)
    layers = conv("a", "input", (12, 1, 1, 8)), AveragePool("b", "a", (2, 2), (2, 2), 0, 1 << 15, 17, 0, -128, 127)
    assert cycles(config, (4, 4, 8), *layers)[1] == 32


def test_an_ifmap_that_nothing_hides_is_waited_for():
    """16x16, 32 activation words: the last layer releases the ifmap, whose 240 bytes then take 240 cycles (on the RTL 647 in
    all). With 64 words it is unfolded while the other layers compute."""
    config, network = Config(rows=16, cols=16, bytes_per_beat=16, activation_words=32), trained.load("digits")
    tight, roomy = (expected_cycles(outline(network, at), at) for at in (config, replace(config, activation_words=64)))
    assert [tight[0] - roomy[0], *tight[1:]] == [240, *roomy[1:]]
    assert sum(tight) == pytest.approx(647.0, rel=0.02)


@pytest.mark.parametrize("file", ["cycles.json", "cycles-batch.json"])
def test_all_measured_networks_take_what_is_expected_and_little_more(file):
    """Of docs/results, without the first image's way in. A layer's wait for the results of the one before is left out."""
    rows = [row for row in json.loads((RESULTS / file).read_text())["rows"] if row["suite"] == "deep-lock"]
    assert len(rows) >= 10
    for row in rows:
        sizes = {name: row[name] for name in ("rows", "cols", "bytes_per_beat", "activation_words")}
        config = Config(**sizes, program_words=4096)
        loadable = outline(trained.load(row["network"]), config, row["batch"])
        expected = sum(expected_cycles(loadable, config)) / row["batch"]
        more = row["cycles_plain"] - row["counters"]["INPUT_STARVED"] - expected
        assert 0 <= more <= 0.002 * expected + 24 * len(loadable.program) / row["batch"], row


@settings(max_examples=15)
@given(chains(most_channels=20, most_pixels=12))
def test_random_networks_take_on_the_rtl_what_is_expected_and_little_more(case):
    """An inference among others, its wait for the ifmap included. A group may wait until accumulators of the one before are
    finished, which the expectation leaves out."""
    network, ifmaps = case
    config = ACCUMULATORS_TOO_FEW
    try:
        loadable = compile_network(network, config).locked(config.suite, bytes(16))
    except DeeplockError:
        return  # does not fit: test_compiler.py looks after that
    few, many = (simulate(loadable, config, bytes(16), [*ifmaps] * times, "native") for times in (1, 3))
    measured = (many.counters["CYCLES"] - few.counters["CYCLES"]) / (2 * len(ifmaps))
    expected = sum(expected_cycles(loadable, config))
    groups = sum(layer.groups for layer in loadable.program)
    assert 0.98 * expected - 8 <= measured <= 1.02 * expected + 24 * groups


@pytest.mark.parametrize("name", ["digits", "gtsrb"])
def test_an_outline_is_the_loadable_without_its_parameters(name):
    config, network = Config(), trained.load(name)
    whole, outlined = compile_network(network, config), outline(network, config)
    assert outlined.parameters == b"" and whole.parameters
    assert (outlined.header, outlined.program, outlined.interface) == (whole.header, whole.program, whole.interface)
