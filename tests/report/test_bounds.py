"""Why layers are above their array bounds: cycles, bounds and reasons of small layers, counted by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network import golden
from deeplock.pymodel.network.operators.average_pool import AveragePool
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.entry import ENTRY
from deeplock.report.bounds import above_bounds, least_cycles
from deeplock.sim.run import simulate
from tests.random_networks import chains, network_of

SQUARE = Config(rows=8, cols=8, bytes_per_beat=8)


def conv(name: str, source: str, shape: tuple[int, int, int, int]) -> Conv:
    """shape: output channels, height and width of the kernel, input channels."""
    scales = np.zeros(shape[0], np.int32), np.full(shape[0], 1 << 15), np.full(shape[0], 15)
    return Conv(name, source, np.ones(shape, np.int8), *scales, (1, 1), (0, 0, 0, 0), 0, 0, -128, 127)


def lines(config: Config, shape, *layers, batch: int = 1) -> list[str]:
    return above_bounds(compile_network(network_of(shape, *layers), config, batch=batch))


def test_kernel_rows_that_do_not_fill_words():
    """A 3x3 kernel on 9 channels: rows of 27 bytes are 3 x 4 words of 8, windows of 81 bytes 11. 16 pixels, one group."""
    layers = conv("a", "input", (9, 1, 1, 8)), conv("b", "a", (8, 3, 3, 9))
    assert lines(SQUARE, (6, 6, 8), *layers) == [
        "b: 192 cycles, 1.09 x its array bound of 176: its kernel rows do not fill words of 8 bytes"
    ]


def test_pixels_that_do_not_fill_words():
    """The same where pixels begin words: 9 x 2 words."""
    config = Config(rows=8, cols=8, bytes_per_beat=8, dense=False)
    layers = conv("a", "input", (9, 1, 1, 8)), conv("b", "a", (8, 3, 3, 9))
    assert lines(config, (6, 6, 8), *layers) == [
        "b: 288 cycles, 1.64 x its array bound of 176: its pixels do not fill words of 8 bytes"
    ]


def test_channels_that_do_not_fill_columns():
    """The stream of a dense layer holds 40 rows of 16 columns, of which 10 are used; beats of 16. An average over 2x2 pixels of
    12 channels takes 4 x 2 words for each of 4 pixels, instead of 48 bytes."""
    wide = Config(rows=8, cols=16, bytes_per_beat=16)
    assert lines(wide, (1, 1, 40), conv("a", "input", (10, 1, 1, 40))) == [
        "a: 40 cycles, 1.60 x its array bound of 25: its channels do not fill 16 columns"
    ]
    layers = conv("a", "input", (12, 1, 1, 8)), AveragePool("b", "a", (2, 2), (2, 2), 0, 1 << 15, 17, 0, -128, 127)
    assert lines(SQUARE, (4, 4, 8), *layers) == [
        "b: 32 cycles, 1.33 x its array bound of 24: its channels do not fill 8 columns"
    ]


def test_weights_that_are_sent_again_for_each_strip():
    """16 accumulators hold 2 of 8 rows. The one tile of a strip has 16 words and 8 x 16 bytes in beats of 4."""
    config = Config(rows=8, cols=16, bytes_per_beat=4, accumulators=16)
    assert lines(config, (8, 8, 8), conv("a", "input", (16, 1, 1, 8))) == [
        "a: 128 cycles, 2.00 x its array bound of 64: its weights are sent again for each of 4 strips that fit the accumulators"
    ]


def test_tiles_that_take_longer_to_load_than_to_compute():
    """5 channels in words of 4: tiles of 16 and 4 beats, of 10 words each."""
    config = Config(rows=4, cols=16, bytes_per_beat=4)
    assert lines(config, (2, 5, 5), conv("a", "input", (16, 1, 1, 5))) == [
        "a: 26 cycles, 1.30 x its array bound of 20: some of its tiles take longer to load than to compute"
    ]


def test_a_batch_tells_of_each_layer_once():
    layers = conv("a", "input", (9, 1, 1, 8)), conv("b", "a", (8, 3, 3, 9)), conv("c", "b", (8, 4, 4, 8))
    assert [line.split(":")[0] for line in lines(SQUARE, (6, 6, 8), *layers, batch=3)] == ["b"]
    assert lines(SQUARE, (4, 4, 8), conv("a", "input", (8, 1, 1, 8)), conv("b", "a", (8, 4, 4, 8)), batch=2) == []


@settings(max_examples=60)
@given(chains(), st.sampled_from([SQUARE, Config(rows=4, cols=16, bytes_per_beat=8, accumulators=64)]))
def test_no_layer_of_more_words_than_its_bound_is_left_out(case, config):
    try:
        loadable = compile_network(case[0], config, np.random.default_rng(0))
    except DeeplockError:
        return  # too large: test_compiler.py looks after that
    told = {line.split(":")[0] for line in above_bounds(loadable)}
    facts = loadable.interface.layers
    assert {fact.name for fact in facts if fact.words > fact.array_bound} <= told
    assert told <= {fact.name for fact in facts}


@pytest.mark.slow
@settings(max_examples=4)
@given(chains(most_channels=20, most_pixels=12))
def test_the_accelerator_takes_a_tenth_and_64_cycles_a_layer_more_at_most(case):
    """What an inference among others takes, without waiting for its ifmap, against what `compile` says and the entries."""
    network, ifmaps = case
    config = Config(rows=4, cols=4, bytes_per_beat=4)
    try:
        loadable = compile_network(network, config).locked(config.suite, bytes(16))
    except DeeplockError:
        return  # does not fit: test_compiler.py looks after that
    few, many = (simulate(loadable, config, bytes(16), [*ifmaps] * times, "native") for times in (1, 3))
    assert np.array_equal(many.ofmaps, [*few.ofmaps] * 3)
    expected = golden.run(network, ifmaps)[network.layers[-1].name]
    assert np.array_equal(few.ofmaps, expected)
    cycles = sum(
        sign * (counters["CYCLES"] - counters["INPUT_STARVED"])
        for sign, counters in ((1, many.counters), (-1, few.counters))
    )
    entries = sum(
        layer.groups * config.cols * ENTRY.size // config.bytes_per_beat
        for layer in loadable.program
        if not layer.diagonal
    )
    least = sum(least_cycles(layer, loadable.header) for layer in loadable.program) + entries
    # two pixels alternate in the accumulators: a cycle in three is a pause, in which weights would arrive
    least += sum(least_cycles(layer, loadable.header) // 2 for layer in loadable.program if layer.pixels == 2)
    assert cycles / (2 * len(ifmaps)) <= 1.10 * least + 64 * len(loadable.program)
