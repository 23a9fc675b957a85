"""The weight loader against the layers whose parameters pymodel.compiler.parameters encodes."""

from dataclasses import replace
from functools import partial
from random import Random

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from deeplock.hw.feed.weight_loader import WeightLoader
from deeplock.pymodel.compiler.parameters import encode_groups
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Opcode
from tests.features import LEAN, left_out
from tests.hw.layer_tools import ProgramMemory, descriptor, layer_of
from tests.hw.loader_tools import DEPTHWISE, DIAGONAL, Array, Program, groups_of, program_of, random_program
from tests.hw.stream_tools import send, simulate

CONFIGS = [
    Config(rows=4, cols=4, bytes_per_beat=4),
    Config(rows=4, cols=8, bytes_per_beat=4, lanes=2),
    Config(rows=8, cols=8, bytes_per_beat=8),
    Config(rows=4, cols=8, bytes_per_beat=8, lanes=1),
    Config(rows=4, cols=16, bytes_per_beat=16),
    Config(rows=8, cols=16, bytes_per_beat=4, lanes=4),
    Config(rows=4, cols=4, bytes_per_beat=4, lanes=1, sum_bits=24),
    Config(rows=4, cols=8, bytes_per_beat=8, lanes=2, sum_bits=24),
    Config(rows=4, cols=16, bytes_per_beat=16, lanes=4, sum_bits=24),
    Config(rows=4, cols=8, bytes_per_beat=4, **LEAN),
    Config(rows=4, cols=8, bytes_per_beat=4, pipeline_registers=False),
    Config(rows=4, cols=8, bytes_per_beat=8, folding=False, diagonal=False),
]
TABLES = [
    Config(rows=4, cols=4, bytes_per_beat=4, tables=True, products=True),
    Config(rows=4, cols=8, bytes_per_beat=8, lanes=2, pipeline_registers=False, tables=True),
]


def name(config: Config) -> str:
    return f"{config.rows}x{config.cols}-{config.bytes_per_beat}-{config.lanes}-{config.sum_bits}{left_out(config)}"


async def begin(ctx, dut: WeightLoader, layers: int, count: int) -> None:
    ctx.set(dut.layers, layers)
    ctx.set(dut.run.count, count)
    ctx.set(dut.run.active, 1)


def play(config: Config, program: Program, in_pauses: float, swap_pauses: float, dice) -> None:
    """Two inferences; what arrives is right, and nothing is taken behind them."""
    dut = WeightLoader(config)
    array = Array(dut, config)

    async def testbench(ctx):
        await begin(ctx, dut, len(program.descriptors), 2)
        await array.take(ctx, program.groups * 2, swap_pauses, dice)
        for _ in range(3):
            await ctx.tick()
        assert not ctx.get(dut.tiles.full)
        ctx.set(dut.parameters.valid, 1)
        assert not ctx.get(dut.parameters.ready)

    simulate(
        dut,
        testbench,
        partial(
            send, stream=dut.parameters, items=program.beats(config) * 2, pauses=in_pauses, rng=Random(dice.random())
        ),
        background=[array.watch, ProgramMemory(dut, program.data).serve],
    )
    assert array.short == array.long == []


@pytest.mark.parametrize(
    ("in_pauses", "swap_pauses"),
    [(0.0, 0.0), (0.3, 0.3), *(pytest.param(*pauses, marks=pytest.mark.slow) for pauses in ((0.4, 0.0), (0.0, 0.7)))],
)
@pytest.mark.parametrize("config", CONFIGS, ids=name)
def test_random_layers_reach_their_rows_columns_and_channels(config, in_pauses, swap_pauses, rng, dice):
    """Two inferences of partial, folded, diagonal and depthwise layers."""
    play(config, random_program(rng, config), in_pauses, swap_pauses, dice)


@pytest.mark.parametrize("config", TABLES, ids=name)
def test_tables_come_in_front_of_their_layers(config, rng, dice):
    play(config, program_of(rng, config, (9, 2, 5), DIAGONAL, (1, 3, 4)), 0.2, 0.3, dice)


@pytest.mark.parametrize("config", CONFIGS, ids=name)
def test_a_beat_a_cycle_and_6_cycles_between_layers(config, rng, dice):
    """If each tile is taken as soon as it is full, no cycle is lost within a layer, but one before each tile without
    pipeline_registers, and where a layer has tiles of one beat."""
    dut = WeightLoader(config)
    program = program_of(rng, config, (2 * config.cols, 3, config.rows), (config.cols, 2, config.rows + 1))
    array = Array(dut, config)
    beats = program.beats(config)

    async def testbench(ctx):
        await begin(ctx, dut, 2, 1)
        await array.take(ctx, program.groups, 0.0, dice)

    simulate(
        dut,
        testbench,
        partial(send, stream=dut.parameters, items=beats),
        background=[array.watch, ProgramMemory(dut, program.data).serve],
    )
    assert array.short == array.long == []
    entries = 8 * config.cols // config.bytes_per_beat
    row = config.cols // config.bytes_per_beat
    at, expected, ends = array.beats[0], [], []
    for heights, groups in (([config.rows] * 3, 2), ([config.rows, 1] * 2, 1)):
        for _ in range(groups):
            expected += range(at, at + entries)
            at += entries
            for number, height in enumerate(heights):
                at += (not config.pipeline_registers and number > 0) or min(heights) * row == 1
                expected += range(at, at + height * row)
                at += height * row
                ends.append(at)
        at += 6
    assert array.beats == expected
    assert array.full_at[:6] == ends[:6], "full in the cycle after a tile's last beat"


@pytest.mark.parametrize("config", TABLES, ids=name)
def test_a_table_takes_a_cycle_for_each_byte_and_waits_for_its_bank(config, rng, dice):
    """That of a third layer waits until the first one has left, even if the second one's entries have a free bank."""
    dut = WeightLoader(config)
    program = Program()
    for _ in range(3):
        layer, fields = layer_of(rng, config, config.cols, 1, config.rows, bits=24)
        table = rng.integers(0, 256, 256, np.uint8)
        fields = replace(fields, opcode=Opcode.TABLE)
        group = replace(groups_of(layer, fields, config)[0], table=table, first=True)
        program.descriptors.append(fields)
        program.groups.append(group)
        program.stream += [table, encode_groups(layer, fields, config, rng)]
    array = Array(dut, config)

    async def testbench(ctx):
        await begin(ctx, dut, 3, 1)
        for number in range(2):
            await ctx.tick().until(dut.tiles.full)
            array.taken += 1
            array.check_entries(number, program.groups[number])
            array.expected.append(program.groups[number].tiles[0])
            ctx.set(dut.tiles.swap, 1)
            await ctx.tick()
            ctx.set(dut.tiles.swap, 0)
        for _ in range(300):
            assert not ctx.get(dut.parameters.ready)
            await ctx.tick()
        array.taken = 1
        array.check_entries(0, program.groups[0])
        ctx.set(dut.entries.done, 1)
        await ctx.tick()
        ctx.set(dut.entries.done, 0)
        await ctx.tick().until(dut.tiles.full)
        array.taken = 3
        array.check_entries(2, program.groups[2])

    simulate(
        dut,
        testbench,
        partial(send, stream=dut.parameters, items=program.beats(config)),
        background=[array.watch, ProgramMemory(dut, program.data).serve],
    )
    size = config.bytes_per_beat
    first = array.beats[: 256 // size]
    assert np.array_equal(np.diff(first), [size] * (len(first) - 1)) and array.beats[len(first)] == first[-1] + 1


@pytest.mark.parametrize("config", [config for config in CONFIGS if config.diagonal], ids=name)
def test_a_depthwise_tile_takes_a_cycle_for_each_row_and_part(config, rng, dice):
    """And a group one cycle more; its beats are no more than its channels need."""
    dut = WeightLoader(config)
    program = program_of(rng, config, DEPTHWISE)
    array = Array(dut, config)

    async def testbench(ctx):
        await begin(ctx, dut, 1, 1)
        await array.take(ctx, program.groups, 0.0, dice)

    simulate(
        dut,
        testbench,
        partial(send, stream=dut.parameters, items=program.beats(config)),
        background=[array.watch, ProgramMemory(dut, program.data).serve],
    )
    slices, entries = config.cols // config.bytes_per_beat, 8 * config.cols // config.bytes_per_beat
    at, expected = array.beats[0], []
    for group in program.groups[:2]:  # entries of a third one wait for the first
        at += entries + 1
        for number in range(len(group.tiles)):
            at += config.rows * slices + (not config.pipeline_registers and number > 0)
            expected.append(at)
    assert array.full_at[: len(expected)] == expected
    positions = len(program.groups[0].tiles) // (config.cols // config.rows)
    assert len(array.beats) == len(program.groups) * (entries + positions * slices)


@pytest.mark.parametrize(
    ("fold", "kblocks", "tiles"),
    [
        (3, 65_535, 8192),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in ((3, 65_529, 8192), (3, 65_528, 8191))),
    ],
)
def test_the_largest_number_of_k_blocks(fold, kblocks, tiles):
    """A layer of one group: so many tiles, of one row each, then the next layer's entries."""
    config = CONFIGS[1]
    dut = WeightLoader(config)
    fields = descriptor(kblocks=kblocks, fold=fold)
    program = [fields.pack()] * 2
    full = []

    async def testbench(ctx):
        await begin(ctx, dut, 2, 1)
        ctx.set(dut.parameters.valid, 1)
        ctx.set(dut.tiles.swap, 1)
        async for *_, tile, lanes in ctx.tick().sample(dut.tiles.full, dut.entries.biases):
            full.append(tile)
            if any(full) and lanes:
                break

    simulate(dut, testbench, background=[ProgramMemory(dut, b"".join(program)).serve])
    assert sum(full) == tiles


def test_entries_of_a_third_group_wait_until_the_first_is_done(rng, dice):
    config = CONFIGS[0]
    dut = WeightLoader(config)
    program = program_of(rng, config, (12, 1, 4))
    array = Array(dut, config)

    async def testbench(ctx):
        await begin(ctx, dut, 1, 1)
        for number in range(2):
            await ctx.tick().until(dut.tiles.full)
            array.expected.append(program.groups[number].tiles[0])
            ctx.set(dut.tiles.swap, 1)
            await ctx.tick()
            ctx.set(dut.tiles.swap, 0)
        for _ in range(20):
            assert not ctx.get(dut.parameters.ready)
            await ctx.tick()
        array.check_entries(0, program.groups[0])
        array.check_entries(1, program.groups[1])
        ctx.set(dut.entries.done, 1)
        await ctx.tick()
        ctx.set(dut.entries.done, 0)
        assert ctx.get(dut.parameters.ready)
        await ctx.tick().until(dut.tiles.full)
        array.check_entries(1, program.groups[1])
        array.check_entries(2, program.groups[2])
        array.expected.append(program.groups[2].tiles[0])
        ctx.set(dut.tiles.swap, 1)
        await ctx.tick()
        ctx.set(dut.tiles.swap, 0)
        await array.settle(ctx)

    simulate(
        dut,
        testbench,
        partial(send, stream=dut.parameters, items=program.beats(config)),
        background=[array.watch, ProgramMemory(dut, program.data).serve],
    )
    assert array.short == array.long == []


@pytest.mark.parametrize("wrong", ["early", "late"])
def test_a_parameter_section_that_ends_elsewhere_than_the_program_is_bad(wrong, rng):
    """Early: the beat after `last` would be needed. Late: the last layer is loaded without it."""
    config = CONFIGS[0]
    dut = WeightLoader(config)
    program = program_of(rng, config, (4, 2, 4))
    array = Array(dut, config)
    beats = program.beats(config)
    for number, beat in enumerate(beats):
        beat["last"] = int(wrong == "early" and number == len(beats) - 3)

    async def testbench(ctx):
        await begin(ctx, dut, 1, 1)
        ctx.set(dut.tiles.swap, 1)
        await send(ctx, dut.parameters, beats)
        await ctx.tick().repeat(2)

    simulate(dut, testbench, background=[array.watch, ProgramMemory(dut, program.data).serve])
    short, long = ([array.beats[-2] + 1], []) if wrong == "early" else ([], [array.beats[-1] + 2])
    assert (array.short[:1], array.long) == (short, long)


@pytest.mark.parametrize("config", [CONFIGS[0], CONFIGS[3], CONFIGS[4], CONFIGS[-2], TABLES[0]], ids=name)
def test_a_depthwise_layer_that_ends_early_is_told_wherever_it_ends(config, rng, dice):
    """Also in a table, and between two rows of a tile, where the loader needs a beat long before it takes it."""
    for _ in range(5):
        dut = WeightLoader(config)
        program = program_of(rng, config, DEPTHWISE)
        array = Array(dut, config)
        beats = program.beats(config)
        cut = dice.randrange(1, len(beats))
        beats = [beat | {"last": int(number == cut - 1)} for number, beat in enumerate(beats[:cut])]

        async def testbench(ctx, dut=dut, beats=beats):
            await begin(ctx, dut, 1, 1)
            ctx.set(dut.tiles.swap, 1)
            ctx.set(dut.entries.done, 1)
            await send(ctx, dut.parameters, beats)
            await ctx.tick().repeat(4 * config.rows * config.cols // config.bytes_per_beat + config.bytes_per_beat)

        simulate(dut, testbench, background=[array.watch, ProgramMemory(dut, program.data).serve])
        assert array.short and array.long == [], cut


@pytest.mark.parametrize("config", [CONFIGS[1], CONFIGS[-1], TABLES[0]], ids=name)
def test_reset_at_any_time_clears_the_shadow_registers_and_is_followed_by_a_right_run(config, rng, dice):
    dut = WeightLoader(config)
    program = program_of(rng, config, (9, 2, 5), DIAGONAL, (3, 3, 4), DEPTHWISE)
    reset = Signal()
    array = Array(dut, config)

    async def testbench(ctx):
        for _ in range(6):
            await begin(ctx, dut, len(program.descriptors), 1)
            ctx.set(dut.parameters.valid, 1)
            for _ in range(dice.randrange(1, 600 if config.tables else 120)):
                ctx.set(dut.tiles.swap, ctx.get(dut.tiles.full))
                await ctx.tick()
            ctx.set(dut.tiles.swap, 0)
            ctx.set(dut.parameters.valid, 0)
            ctx.set(dut.run.active, 0)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            assert not ctx.get(dut.tiles.full)
            await ctx.tick()
        go.append(True)
        await begin(ctx, dut, len(program.descriptors), 1)
        await array.take(ctx, program.groups, 0.2, dice)

    go: list[bool] = []

    async def write(ctx):
        while not go:
            await ctx.tick()
        await send(ctx, dut.parameters, program.beats(config), 0.2, Random(dice.random()))

    simulate(
        ResetInserter(reset)(dut), testbench, write, background=[array.watch, ProgramMemory(dut, program.data).serve]
    )
    assert array.zeroed == 1 + 6
