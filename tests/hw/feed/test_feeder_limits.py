"""The window feeder at the edges of the input, in its smallest and largest layers; latency, throughput and reset."""

from dataclasses import replace

import pytest
from amaranth.hdl import ResetInserter, Signal

from deeplock.hw.feed.activation_memory import read_steps
from deeplock.hw.feed.feeder import WindowFeeder
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.spec.config import Config
from tests.hw.feeder_tools import Memory, check_layers, expected_words, parts, start
from tests.hw.layer_tools import chain, conv, descriptor
from tests.hw.stream_tools import receive, simulate

CONFIG = Config(rows=4, cols=8, bytes_per_beat=4, activation_words=1024, accumulators=64)
WORDS = replace(CONFIG, lanes=1, dense=False)
PACKINGS = pytest.mark.parametrize("config", [CONFIG, WORDS], ids=["dense", "words"])
PADDED = [(5, 5, 3), (conv, 5, (3, 3), 1, (1, 1, 1, 1)), (conv, 8, (3, 3), 1, (0, 1, 2, 1))]
FOLDED = [(4, 4, 6), (conv, 4, (1, 1)), (conv, 10, (3, 3)), (conv, 1, (2, 2))]
POOLED = [(7, 7, 4), (conv, 9, (1, 1)), (3, 2), (conv, 1, (2, 2))]

COLUMNS = [
    {"x0": -32768, "window_step": 5000, "step_x": 15, "row_bytes": 32767},
    {"x0": 32767, "window_step": 1700, "step_x": 15, "row_bytes": 32767},
    {"x0": -9, "window_step": 3, "row_bytes": 1},
    {"x0": -1, "row_bytes": 4},
    {"x0": -33, "window_step": 4, "row_bytes": 30, "column_step": -1},
]
ROWS = [
    {"y0": -2048, "window_stride": 255, "stride": 15, "in_h": 4095},
    {"y0": 2047, "window_stride": 255, "stride": 15, "in_h": 4095},
    {"y0": -9, "window_stride": 3, "in_h": 1},
    {"y0": -1, "in_h": 4},
]


@pytest.mark.parametrize("edge", COLUMNS, ids=str)
@pytest.mark.parametrize("rows_last", [1, 4])
@PACKINGS
def test_the_edges_of_the_input_are_where_they_are(config, rows_last, edge, rng, dice):
    """Columns, from far before an input row to far behind it, in steps that hit and miss its edges: also inside of a word,
    where words may begin at any byte."""
    dut = WindowFeeder(config)
    memory = Memory(rng, dut, config)
    if not config.dense:
        unit = 1 if max(map(abs, edge.values())) > 30_000 else 4
        edge = {name: unit * value // 4 * 4 for name, value in edge.items()}
    loops = {"out_w": 20, "pool_w": 3, "kernel_w": 3, "cblocks": 2, "step_window": 28, "column_step": 4}
    program = [descriptor(pad_value=-77, rows_last=rows_last, **loops | {"step_x": 4, "window_step": 4} | edge)]

    async def testbench(ctx):
        await check_layers(ctx, memory, program, 0.0, dice)

    simulate(dut, testbench, background=[memory.serve])


@pytest.mark.parametrize("edge", ROWS, ids=str)
@PACKINGS
def test_rows_outside_of_the_input_are_padding(config, edge, rng, dice):
    dut = WindowFeeder(config)
    memory = Memory(rng, dut, config)
    loops = {"out_h": 20, "pool_h": 3, "kernel_h": 3, "step_y": 4, "step_row": 28, "row_bytes": 4}
    program = [descriptor(pad_value=-77, rows_last=4, **loops | edge)]

    async def testbench(ctx):
        await check_layers(ctx, memory, program, 0.0, dice)

    simulate(dut, testbench, background=[memory.serve])


@pytest.mark.parametrize("sizes", [(64, 1), (1, 64), (8, 8), (63, 1)], ids=str)
@PACKINGS
def test_a_layer_of_as_many_pixels_as_accumulators(config, sizes, rng, dice):
    dut = WindowFeeder(config)
    memory = Memory(rng, dut, config)
    pixels = {"out_w": sizes[0], "out_h": sizes[1], "in_h": 64, "row_bytes": 256, "rows_last": 4}
    program = [descriptor(**pixels, window_step=4, step_window=4, column_step=4, kernel_w=2)]

    async def testbench(ctx):
        await check_layers(ctx, memory, program * 2, 0.0, dice)

    simulate(dut, testbench, background=[memory.serve])


@pytest.mark.parametrize("name", ["out_w", "out_h"])
def test_a_layer_of_more_pixels_than_accumulators_ends(name, rng, dice):
    """A descriptor that is wrong: its pixels count modulo the accumulators, and the next layer is right."""
    dut = WindowFeeder(CONFIG)
    memory = Memory(rng, dut, CONFIG)
    good = descriptor(source=5, rows_last=4, row_bytes=12, out_w=3, step_window=1)

    async def testbench(ctx):
        for asked, counted in ((65, 1), (128, 64), (4095, 63)):
            await start(ctx, dut, descriptor(rows_last=4, **{name: asked}))
            ctx.set(dut.out.ready, 1)
            words, after = 0, 0  # cycles from `done` on
            while after <= read_steps(CONFIG):
                words += ctx.get(dut.out.valid)
                after += bool(after) or ctx.get(dut.layer.done)
                await ctx.tick()
            assert words == counted
            ctx.set(dut.out.ready, 0)
            await check_layers(ctx, memory, [good], 0.0, dice)

    simulate(dut, testbench, background=[memory.serve])


@PACKINGS
def test_first_word_1_and_read_steps_cycles_after_start_then_a_word_a_cycle(config, rng):
    dut = WindowFeeder(config)
    memory = Memory(rng, dut, config)

    async def testbench(ctx):
        ctx.set(dut.out.ready, 1)
        for fields in compile_network(chain(rng, *PADDED), config, rng).program:
            expected = expected_words(fields, memory.data, config)
            await start(ctx, dut, fields)
            for cycle in range(read_steps(config) + len(expected)):
                number = cycle - read_steps(config)
                assert ctx.get(dut.out.valid) == (number >= 0)
                if number >= 0:
                    assert parts(ctx.get(dut.out.payload)) == expected[number]
                assert ctx.get(dut.layer.done) == (cycle == len(expected) - 1), "the last word is asked for"
                await ctx.tick()
            assert not ctx.get(dut.out.valid) and (config.dense or not ctx.get(dut.memory.read))

    simulate(dut, testbench, background=[memory.serve])


@PACKINGS
def test_one_word_and_two_words_are_layers_too(config, rng, dice):
    dut = WindowFeeder(config)
    memory = Memory(rng, dut, config)
    last = 4095 if config.dense else 4092
    program = [
        descriptor(source=20, rows_last=4, row_bytes=4),
        descriptor(source=24, rows_last=1, groups=2),
        descriptor(source=last, rows_last=4, out_w=2, row_bytes=8, window_step=4, step_window=4),  # wraps around
        descriptor(source=last, cblocks=2, rows_last=2, row_bytes=8),  # so does a run
        descriptor(x0=-4, pad_value=-77, rows_last=3),
    ]

    async def testbench(ctx):
        await check_layers(ctx, memory, program, 0.0, dice)
        ctx.set(dut.out.ready, 1)
        for _ in range(5):
            assert not ctx.get(dut.out.valid)
            await ctx.tick()

    simulate(dut, testbench, background=[memory.serve])


@PACKINGS
def test_reset_in_mid_layer_followed_by_a_right_one(config, rng, dice):
    dut = WindowFeeder(config)
    memory = Memory(rng, dut, config)
    reset = Signal()

    async def testbench(ctx):
        for layers in (FOLDED, POOLED):
            for fields in compile_network(chain(rng, *layers), config, rng).program:
                await start(ctx, dut, fields)
                words = expected_words(fields, memory.data, config)
                await receive(ctx, dut.out, dice.randrange(1, len(words)))
                ctx.set(reset, 1)
                await ctx.tick()
                ctx.set(reset, 0)
                for _ in range(read_steps(config)):
                    assert not ctx.get(dut.out.valid) and (config.dense or not ctx.get(dut.memory.read))
                    await ctx.tick()
                await check_layers(ctx, memory, [fields], 0.1, dice)

    simulate(ResetInserter(reset)(dut), testbench, background=[memory.serve])
