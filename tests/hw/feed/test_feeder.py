"""The window feeder against the interpreter's `gather_words`, for descriptors that the compiler makes and for any others."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from deeplock.hw.feed.feeder import WindowFeeder
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.network.operators.average_pool import AveragePool
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Descriptor
from tests.features import LEAN
from tests.hw.feeder_tools import Memory, check_layers
from tests.hw.layer_tools import chain, conv, dense, descriptor, random_chain
from tests.hw.stream_tools import check_stable, simulate

CONFIG = Config(rows=4, cols=8, bytes_per_beat=4, activation_words=1024, accumulators=64)
WORDS = replace(CONFIG, lanes=1, dense=False)
SQUARE = replace(CONFIG, cols=4)
LARGE = replace(CONFIG, rows=16, cols=16, lanes=0, ofmap_bytes=0)
SIMPLE = replace(CONFIG, lanes=1, **LEAN)
PACKINGS = pytest.mark.parametrize("config", [CONFIG, WORDS], ids=["dense", "words"])


def mean(rng, shape, *kernel: int) -> AveragePool:
    return AveragePool("", "", kernel, (1, 1), 0, 1 << 15, 17, 0, -128, 127)


LAYERS = {
    "stride": [(6, 7, 5), (conv, 9, (3, 3), 2, (1, 1, 1, 1)), (conv, 2, (2, 2), 2)],
    "padding": [(5, 5, 3), (conv, 5, (3, 3), 1, (1, 1, 1, 1)), (conv, 8, (3, 3), 1, (0, 1, 2, 1))],
    "fused pool": [(6, 6, 4), (conv, 3, (1, 1)), (2, 2), (conv, 6, (2, 2))],
    "gap between pools": [(8, 8, 4), (conv, 3, (1, 1)), (2, 3), (dense, 3)],
    "overlapping pool": [(7, 7, 4), (conv, 9, (1, 1)), (3, 2), (conv, 1, (2, 2))],
    "pool that slides by one": [(5, 6, 4), (conv, 9, (2, 2)), (2, 1), (conv, 3, (1, 1))],
    "average": [(6, 6, 4), (conv, 7, (1, 1)), (mean, 3, 2), (conv, 9, (1, 3))],
    "folded": [(4, 4, 6), (conv, 4, (1, 1)), (conv, 10, (3, 3)), (dense, 1)],
    "strips": [(9, 9, 2), (conv, 3, (1, 1)), (conv, 3, (3, 3), 1, (1, 1, 1, 1)), (dense, 9)],
}
LEAN_LAYERS = {
    "stride": [(9, 9, 5), (conv, 9, (3, 3), 2), (conv, 2, (2, 2), 2)],
    "pools": [(11, 11, 3), (conv, 6, (2, 2)), (3, 3), (conv, 9, (2, 2)), (2, 2), (dense, 3)],
    "narrow groups": [(4, 4, 6), (conv, 4, (1, 1)), (conv, 10, (3, 3)), (dense, 1)],
    "strips": [(9, 9, 2), (conv, 3, (1, 1)), (conv, 3, (3, 3)), (dense, 9)],
}


def descriptors(rng, layers: list, config: Config) -> list[Descriptor]:
    return list(compile_network(chain(rng, *layers), config, rng).program)


@pytest.mark.parametrize("pauses", [0.0, 0.5])
@pytest.mark.parametrize("name", LAYERS)
@PACKINGS
def test_words_and_tags_of_every_kind_of_layer(config, name, pauses, rng, dice):
    dut = WindowFeeder(config)
    memory = Memory(rng, dut, config)
    program = descriptors(rng, LAYERS[name], config)

    async def testbench(ctx):
        await check_layers(ctx, memory, program, pauses, dice)

    simulate(dut, testbench, background=[memory.serve, partial(check_stable, stream=dut.out)])


@pytest.mark.parametrize("pauses", [0.0, 0.5])
@pytest.mark.parametrize("name", LEAN_LAYERS)
@pytest.mark.parametrize("config", [SIMPLE, replace(CONFIG, **LEAN | {"dense": True})], ids=["words", "dense"])
def test_words_and_tags_of_lean_layers(config, name, pauses, rng, dice):
    """The same words as the full feeder has, and the interpreter, without padding and folding."""
    dut = WindowFeeder(config)
    memory = Memory(rng, dut, config, refusals=0.0 if config.dense else pauses / 2)
    program = descriptors(rng, LEAN_LAYERS[name], config)
    assert not any(fields.features(config.rows) for fields in program)

    async def testbench(ctx):
        await check_layers(ctx, memory, program, pauses, dice)

    simulate(dut, testbench, background=[memory.serve, partial(check_stable, stream=dut.out)], cycles=60_000)


@pytest.mark.parametrize("pauses", [0.0, 0.5])
@pytest.mark.parametrize("name", ["overlapping pool", "average"])
def test_one_weight_tile_serves_a_group_of_a_diagonal_layer(name, pauses, rng, dice):
    """Where rows and columns are as many: only the first word of a group swaps."""
    dut = WindowFeeder(SQUARE)
    memory = Memory(rng, dut, SQUARE)
    program = descriptors(rng, LAYERS[name], SQUARE)
    assert any(fields.alike and fields.groups > 1 for fields in program)
    assert name != "average" or any(fields.alike and fields.kernel_h > 1 < fields.kernel_w for fields in program)

    async def testbench(ctx):
        await check_layers(ctx, memory, program, pauses, dice)

    simulate(dut, testbench, background=[memory.serve, partial(check_stable, stream=dut.out)])


@PACKINGS
def test_the_kinds_of_layers_are_what_their_names_say(config, rng):
    """Else the tests above would be empty: the compiler might fuse, unfold or fold otherwise one day."""
    programs = {name: descriptors(rng, layers, config) for name, layers in LAYERS.items()}
    assert any(f.step_x == 2 * (9 if config.dense else 12) and f.stride == 2 for f in programs["stride"])
    assert any(f.x0 == (-5 if config.dense else -8) and f.y0 == 0 for f in programs["padding"])
    assert any(f.pool_w == 2 and f.window_stride == 2 and not f.diagonal for f in programs["fused pool"])
    assert any(f.pool_w == 2 and f.window_stride == 3 and not f.diagonal for f in programs["gap between pools"])
    if config.dense:
        for name, stride in (("overlapping pool", 2), ("pool that slides by one", 1)):
            assert {f.sliding for f in programs[name]} == {0, stride}
            assert any(f.diagonal and (f.pool_h, f.pool_w) == (stride + 1, 1) for f in programs[name])
    else:
        assert any(f.diagonal and f.pool_w == 3 and f.groups == 2 for f in programs["overlapping pool"])
    assert any(f.diagonal and f.kernel_h == 3 and f.kernel_w == 2 for f in programs["average"])
    assert {f.fold for f in programs["folded"]} == {1, 2, 3}
    assert any(f.groups == 2 and f.fold for f in programs["folded"])
    assert len(programs["strips"]) > 3
    assert any(f.rows_last < config.rows and f.cblocks > 1 for f in programs["stride"])
    parted = False
    for fields in programs["padding"]:
        outside = fields.outside(config.rows)
        inside = ~outside & (np.arange(outside.shape[-1]) < fields.run_bytes(config.rows))
        words = (values.reshape(-1, config.rows).any(axis=1) for values in (outside, inside))
        parted |= bool(np.logical_and(*words).any())
    assert parted == config.dense, "the edge of an input is inside a word"


@pytest.mark.parametrize("attempt", range(6))
@PACKINGS
def test_random_networks(config, attempt, rng, dice):
    dut = WindowFeeder(config)
    memory = Memory(rng, dut, config)
    program = compile_network(random_chain(rng, config, 3), config, rng).program

    async def testbench(ctx):
        await check_layers(ctx, memory, program, dice.choice([0.0, 0.3]), dice)

    simulate(dut, testbench, background=[memory.serve, partial(check_stable, stream=dut.out)], cycles=60_000)


def random_descriptor(rng: np.random.Generator, config: Config) -> Descriptor:
    """Any loops and steps, also such as the compiler never makes; coordinates inside and outside of the input.

    Columns stay within 16 bits. If pixels are not dense, steps are whole words.
    """
    unit = 1 if config.dense else config.rows

    def size(least: int, end: int) -> int:
        return int(rng.integers(least, end)) * unit

    counts = dict(zip(("groups", "kernel_w", "kernel_h", "cblocks", "out_w", "out_h", "pool_w", "pool_h"),
                      rng.integers(1, (4, 4, 4, 4, 4, 4, 4, 4)).tolist(), strict=True))  # fmt: skip
    sliding = int(rng.choice([0, 0, 1, 2]))
    if sliding:
        counts |= {"pool_w": 1, "pool_h": 1, "out_w": int(rng.integers(1, 8))}
    far, reach = (1 << 15) // unit, int(rng.choice([20, 3000])) // unit  # steps across a few columns, or many
    return descriptor(
        **counts,
        sliding=sliding,
        source=size(0, (1 << 20) // unit),
        kernel_step=size(0, (1 << 20) // unit),
        step_y=size(-far, far),
        step_window=size(-far, far),
        step_row=size(-far, far),
        column_step=size(-reach, reach),
        step_x=size(-reach, reach),
        window_step=size(0, 2 * reach),
        x0=size(-2 * reach, 2 * reach),
        row_bytes=size(1, 5 * reach),
        fold=int(rng.integers(0, 4)),
        release_input=int(rng.integers(0, 2)),
        diagonal=int(rng.integers(0, 2)),
        alike=int(rng.integers(0, 2)),
        rows_last=int(rng.integers(1, config.rows + 1)),
        stride=int(rng.integers(1, 16)),
        window_stride=int(rng.integers(1, 256)),
        pad_value=int(rng.integers(-128, 128)),
        in_h=int(rng.integers(1, 100)),
        y0=int(rng.integers(-20, 20)),
    )


@pytest.mark.parametrize(
    ("config", "refusals"),
    [(CONFIG, 0.0), (LARGE, 0.0), (WORDS, 0.0), (WORDS, 0.4)],
    ids=["dense", "dense-16x16", "words", "words-refused"],
)
@pytest.mark.parametrize("pauses", [0.0, 0.3])
def test_random_descriptors(pauses, config, refusals, rng, dice):
    dut = WindowFeeder(config)
    memory = Memory(rng, dut, config, refusals)
    program = [random_descriptor(rng, config) for _ in range(8)]

    async def testbench(ctx):
        await check_layers(ctx, memory, program, pauses, dice)

    simulate(dut, testbench, background=[memory.serve, partial(check_stable, stream=dut.out)], cycles=200_000)
