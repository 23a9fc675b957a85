"""The window feeder against the interpreter's `gather_words`, for descriptors that the compiler makes."""

from dataclasses import replace
from functools import partial
from random import Random

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from deeplock.hw.basics.layouts import feeder_fields
from deeplock.hw.feed.feeder import WindowFeeder
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.compiler.interpreter import gather_words
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Descriptor
from tests.features import LEAN
from tests.hw.layer_tools import chain, conv, dense, descriptor, random_chain, to_word
from tests.hw.stream_tools import check_stable, receive, simulate

CONFIG = Config(rows=4, cols=8, bytes_per_beat=4, activation_words=1024, accumulators=64)
SIMPLE = replace(CONFIG, lanes=1, **LEAN)
NAMES = {name for name, _ in feeder_fields}

LAYERS = {
    "stride": [(6, 7, 5), (conv, 9, (3, 3), 2, (1, 1, 1, 1)), (conv, 2, (2, 2), 2)],
    "padding": [(5, 5, 3), (conv, 5, (3, 3), 1, (1, 1, 1, 1)), (conv, 8, (3, 3), 1, (0, 1, 2, 1))],
    "fused pool": [(6, 6, 4), (conv, 3, (1, 1)), (2, 2), (conv, 6, (2, 2))],
    "gap between pools": [(8, 8, 4), (conv, 3, (1, 1)), (2, 3), (dense, 3)],
    "overlapping pool": [(7, 7, 4), (conv, 9, (1, 1)), (3, 2), (conv, 1, (2, 2))],
    "folded": [(4, 4, 6), (conv, 4, (1, 1)), (conv, 10, (3, 3)), (dense, 1)],
    "strips": [(9, 9, 2), (conv, 3, (1, 1)), (conv, 3, (3, 3), 1, (1, 1, 1, 1)), (dense, 9)],
}
LEAN_LAYERS = {
    "stride": [(9, 9, 5), (conv, 9, (3, 3), 2), (conv, 2, (2, 2), 2)],
    "pools": [(11, 11, 3), (conv, 6, (2, 2)), (3, 3), (conv, 9, (2, 2)), (2, 2), (dense, 3)],
    "narrow groups": [(4, 4, 6), (conv, 4, (1, 1)), (conv, 10, (3, 3)), (dense, 1)],
    "strips": [(9, 9, 2), (conv, 3, (1, 1)), (conv, 3, (3, 3)), (dense, 9)],
}


def descriptors(rng, layers: list, config: Config = CONFIG) -> list[Descriptor]:
    return list(compile_network(chain(rng, *layers), config, rng).program)


def expected_words(fields: Descriptor, memory: np.ndarray) -> list[tuple]:
    """(data, swap, first, last, final, window_last, pixel_last, shift) of every word of a layer, in order."""
    words, pixels, window = [], fields.pixels, fields.window
    groups, kblocks = fields.groups, fields.kernel_w * fields.kernel_h * fields.cblocks
    for group in range(groups):
        blocks = gather_words(memory[None], fields, group)[0].reshape(pixels, kblocks, CONFIG.rows)
        sides = fields.sides(group)
        for kblock in range(kblocks):
            side = kblock % sides
            for pixel in range(pixels):
                words.append(
                    (
                        to_word(blocks[pixel, kblock]),
                        int(pixel == 0 and side == 0),
                        int(kblock == 0),
                        int(kblock == kblocks - 1),
                        int(group == groups - 1),
                        int(pixel % window == window - 1),
                        int(pixel == pixels - 1),
                        side * (CONFIG.cols // sides),
                    )
                )
    return words


def parts(word) -> tuple:
    tag = word.tag
    return (word.data, word.swap, tag.first, tag.last, tag.final, tag.window_last, tag.pixel_last, tag.shift)


class Memory:
    """The activation memory's read port: `word` changes after a cycle with `read` and `granted`, and only then.

    refusals   probability that a cycle is not granted
    """

    def __init__(self, rng, dut: WindowFeeder, refusals: float = 0.0):
        self.rng, self.dut, self.refusals = rng, dut, refusals
        self.data = rng.integers(-128, 128, (CONFIG.activation_words, CONFIG.rows), dtype=np.int8)

    async def serve(self, ctx) -> None:
        dut, port = self.dut, self.dut.memory
        async for *_, read, granted, addresses in ctx.tick().sample(port.read, port.granted, port.addresses):
            if read and granted:
                assert len(set(addresses)) == 1
                ctx.set(dut.memory.word, to_word(self.data[addresses[0]]))
            if self.refusals:
                ctx.set(dut.memory.granted, self.rng.random() >= self.refusals)


async def start(ctx, dut: WindowFeeder, fields: Descriptor) -> None:
    ctx.set(dut.layer.fields, {name: getattr(fields, name) for name in NAMES})
    await ctx.tick()
    ctx.set(dut.layer.start, 1)
    await ctx.tick()
    ctx.set(dut.layer.start, 0)


async def check_layers(ctx, dut: WindowFeeder, memory: Memory, program: list, pauses: float, dice: Random) -> None:
    """Layer after layer, the fields of each in the cycle after the `done` of the one before."""
    for fields in program:
        expected = expected_words(fields, memory.data)
        await start(ctx, dut, fields)
        got = []
        while len(got) < len(expected):
            ready = dice.random() >= pauses
            ctx.set(dut.out.ready, ready)
            taken = ready and ctx.get(dut.out.valid)
            assert ctx.get(dut.layer.done) == (taken and len(got) == len(expected) - 1)
            if taken:
                got.append(parts(ctx.get(dut.out.payload)))
            await ctx.tick()
        ctx.set(dut.out.ready, 0)
        assert got == expected, fields


@pytest.mark.parametrize("pauses", [0.0, 0.5])
@pytest.mark.parametrize("name", LAYERS)
def test_words_and_tags_of_every_kind_of_layer(name, pauses, rng, dice):
    dut = WindowFeeder(CONFIG)
    memory = Memory(rng, dut)
    program = descriptors(rng, LAYERS[name])

    async def testbench(ctx):
        await check_layers(ctx, dut, memory, program, pauses, dice)

    simulate(dut, testbench, background=[memory.serve, partial(check_stable, stream=dut.out)])


@pytest.mark.parametrize("pauses", [0.0, 0.5])
@pytest.mark.parametrize("name", LEAN_LAYERS)
def test_words_and_tags_of_lean_layers(name, pauses, rng, dice):
    """The same words as the full feeder has, and the interpreter, without padding and folding."""
    dut = WindowFeeder(SIMPLE)
    memory = Memory(rng, dut, refusals=pauses / 2)
    program = descriptors(rng, LEAN_LAYERS[name], SIMPLE)
    assert not any(fields.features for fields in program)

    async def testbench(ctx):
        await check_layers(ctx, dut, memory, program, pauses, dice)

    simulate(dut, testbench, background=[memory.serve, partial(check_stable, stream=dut.out)], cycles=60_000)


def test_the_kinds_of_layers_are_what_their_names_say(rng):
    """Else the test above would be empty: the compiler might fuse, unfold or fold otherwise one day."""
    programs = {name: descriptors(rng, layers) for name, layers in LAYERS.items()}
    assert any(f.stride == 2 for f in programs["stride"])
    assert any(f.x0 == -1 and f.y0 == 0 for f in programs["padding"])
    assert any(f.pool_w == 2 and f.window_stride == 2 and not f.diagonal for f in programs["fused pool"])
    assert any(f.pool_w == 2 and f.window_stride == 3 and not f.diagonal for f in programs["gap between pools"])
    assert any(f.diagonal and f.pool_w == 3 and f.groups == 2 for f in programs["overlapping pool"])
    assert {f.fold for f in programs["folded"]} == {1, 2, 3}
    assert any(f.groups == 2 and f.fold for f in programs["folded"])
    assert len(programs["strips"]) > 3
    assert any(f.rows_last < CONFIG.rows and f.cblocks > 1 for f in programs["stride"])


@pytest.mark.parametrize("attempt", range(6))
def test_random_networks(attempt, rng, dice):
    dut = WindowFeeder(CONFIG)
    memory = Memory(rng, dut)
    program = compile_network(random_chain(rng, CONFIG, 3), CONFIG, rng).program

    async def testbench(ctx):
        await check_layers(ctx, dut, memory, program, dice.choice([0.0, 0.3]), dice)

    simulate(dut, testbench, background=[memory.serve, partial(check_stable, stream=dut.out)], cycles=60_000)


def random_descriptor(rng) -> Descriptor:
    """Any loops and steps, also such as the compiler never makes; coordinates inside and outside of the input."""
    counts = dict(zip(("groups", "kernel_w", "kernel_h", "cblocks", "out_w", "out_h", "pool_w", "pool_h"),
                      rng.integers(1, (4, 4, 4, 4, 4, 4, 4, 4)).tolist(), strict=True))  # fmt: skip
    steps = ("source", "kernel_step", "column_step", "step_x", "step_y", "step_window", "step_row")
    return descriptor(
        **counts,
        **{name: int(rng.integers(0, 1 << 16)) for name in steps},
        fold=int(rng.integers(0, 4)),
        group_step=int(rng.integers(0, 16)),
        rows_last=int(rng.integers(1, CONFIG.rows + 1)),
        stride=int(rng.integers(1, 16)),
        window_stride=int(rng.integers(1, 256)),
        pad_value=int(rng.integers(-128, 128)),
        in_w=int(rng.integers(1, 100)),
        in_h=int(rng.integers(1, 100)),
        x0=int(rng.integers(-20, 20)),
        y0=int(rng.integers(-20, 20)),
    )


@pytest.mark.parametrize("refusals", [0.0, 0.4])
@pytest.mark.parametrize("pauses", [0.0, 0.3])
def test_random_descriptors(pauses, refusals, rng, dice):
    dut = WindowFeeder(CONFIG)
    memory = Memory(rng, dut, refusals)
    program = [random_descriptor(rng) for _ in range(8)]

    async def testbench(ctx):
        await check_layers(ctx, dut, memory, program, pauses, dice)

    simulate(dut, testbench, background=[memory.serve, partial(check_stable, stream=dut.out)], cycles=200_000)


EDGES = [
    {"x0": -2048, "window_stride": 255, "stride": 15, "in_w": 4095},
    {"x0": 2047, "window_stride": 255, "stride": 15, "in_w": 4095},
    {"x0": -9, "window_stride": 3, "in_w": 1},
    {"x0": -1, "in_w": 4},
]


@pytest.mark.parametrize("edge", EDGES, ids=str)
def test_the_edges_of_the_input_are_where_they_are(edge, rng, dice):
    """Columns, and rows likewise, from far before the input to far behind it, in steps that hit and miss its edges."""
    dut = WindowFeeder(CONFIG)
    memory = Memory(rng, dut)
    other = {"x0": "y0", "in_w": "in_h"}
    columns = {"out_w": 20, "pool_w": 3, "kernel_w": 3, "step_x": 1, "step_window": 7}
    rows = {"out_h": 20, "pool_h": 3, "kernel_h": 3, "step_y": 1, "step_row": 7}
    program = [
        descriptor(pad_value=-77, rows_last=4, **columns | edge),
        descriptor(pad_value=-77, rows_last=4, **rows | {other.get(name, name): value for name, value in edge.items()}),
    ]

    async def testbench(ctx):
        await check_layers(ctx, dut, memory, program, 0.0, dice)

    simulate(dut, testbench, background=[memory.serve])


@pytest.mark.parametrize("sizes", [(64, 1), (1, 64), (8, 8), (63, 1)], ids=str)
def test_a_layer_of_as_many_pixels_as_accumulators(sizes, rng, dice):
    dut = WindowFeeder(CONFIG)
    memory = Memory(rng, dut)
    program = [descriptor(out_w=sizes[0], out_h=sizes[1], in_w=64, in_h=64, rows_last=4, step_window=1, kernel_w=2)]

    async def testbench(ctx):
        await check_layers(ctx, dut, memory, program * 2, 0.0, dice)

    simulate(dut, testbench, background=[memory.serve])


@pytest.mark.parametrize("name", ["out_w", "out_h"])
def test_a_layer_of_more_pixels_than_accumulators_ends(name, rng, dice):
    """A descriptor that is wrong: its pixels count modulo the accumulators, and the next layer is right."""
    dut = WindowFeeder(CONFIG)
    memory = Memory(rng, dut)
    good = descriptor(source=5, rows_last=4, out_w=3, step_window=1)

    async def testbench(ctx):
        for asked, counted in ((65, 1), (128, 64), (4095, 63)):
            await start(ctx, dut, descriptor(rows_last=4, **{name: asked}))
            ctx.set(dut.out.ready, 1)
            words = 0
            while not ctx.get(dut.layer.done):
                words += ctx.get(dut.out.valid)
                await ctx.tick()
            assert words + 1 == counted
            await ctx.tick()
            ctx.set(dut.out.ready, 0)
            await check_layers(ctx, dut, memory, [good], 0.0, dice)

    simulate(dut, testbench, background=[memory.serve])


def test_first_word_2_cycles_after_start_then_a_word_a_cycle(rng):
    dut = WindowFeeder(CONFIG)
    memory = Memory(rng, dut)

    async def testbench(ctx):
        ctx.set(dut.out.ready, 1)
        for fields in descriptors(rng, LAYERS["padding"]):
            expected = expected_words(fields, memory.data)
            await start(ctx, dut, fields)
            assert not ctx.get(dut.out.valid)
            await ctx.tick()
            for number, word in enumerate(expected):
                assert ctx.get(dut.out.valid) and parts(ctx.get(dut.out.payload)) == word
                assert ctx.get(dut.layer.done) == (number == len(expected) - 1)
                await ctx.tick()
            assert not ctx.get(dut.out.valid) and not ctx.get(dut.memory.read)

    simulate(dut, testbench, background=[memory.serve])


def test_one_word_and_two_words_are_layers_too(rng, dice):
    dut = WindowFeeder(CONFIG)
    memory = Memory(rng, dut)
    program = [
        descriptor(source=5, rows_last=4),
        descriptor(source=6, rows_last=1, groups=2),
        descriptor(source=1023, rows_last=4, out_w=2, in_w=2, step_window=1),  # wraps around the memory
        descriptor(x0=-1, pad_value=-77, rows_last=3),
    ]

    async def testbench(ctx):
        await check_layers(ctx, dut, memory, program, 0.0, dice)
        ctx.set(dut.out.ready, 1)
        for _ in range(3):
            assert not ctx.get(dut.out.valid)
            await ctx.tick()

    simulate(dut, testbench, background=[memory.serve])


def test_reset_in_mid_layer_followed_by_a_right_one(rng, dice):
    dut = WindowFeeder(CONFIG)
    memory = Memory(rng, dut)
    reset = Signal()

    async def testbench(ctx):
        for name in ("folded", "overlapping pool"):
            program = descriptors(rng, LAYERS[name])
            for fields in program:
                await start(ctx, dut, fields)
                await receive(ctx, dut.out, dice.randrange(1, len(expected_words(fields, memory.data))))
                ctx.set(reset, 1)
                await ctx.tick()
                ctx.set(reset, 0)
                assert not ctx.get(dut.out.valid) and not ctx.get(dut.memory.read)
                await check_layers(ctx, dut, memory, [fields], 0.1, dice)

    simulate(ResetInserter(reset)(dut), testbench, background=[memory.serve])
