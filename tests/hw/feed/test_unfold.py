"""The unfolder against the interpreter's `unfold_ifmaps`: every byte, and when it comes."""

from functools import partial
from random import Random

import pytest

from deeplock.hw.feed.unfold import Unfolder
from deeplock.pymodel.spec.config import Config
from tests.features import left_out
from tests.hw.stream_tools import check_stable, send, simulate
from tests.hw.unfold_tools import (
    begin,
    bytes_of,
    case_of,
    config_of,
    copy,
    pulse,
    receive_bytes,
    stacked,
    until,
    windows,
)

CONFIGS = [
    config_of(4),
    config_of(8),
    config_of(16),
    config_of(4, dense=False),
    config_of(8, dense=False),
    config_of(4, dense=False, single_port=True),
]


def name(config: Config) -> str:
    return f"{config.rows}{left_out(config)}{'-single_port' * config.single_port}"


def random_windows(rng, config: Config) -> dict[str, int]:
    while True:
        height, width, depth = (int(size) for size in rng.integers(1, (11, 11, 2 * config.rows)))
        kernel = int(rng.integers(1, min(height, 5) + 1)), int(rng.integers(1, min(width, 5) + 1))
        if rng.integers(0, 2):
            fields = windows((height, width, depth), kernel, int(rng.integers(1, 3)), int(rng.integers(0, 3000)))
        else:
            fields = stacked((height, width, depth), kernel[0], int(rng.integers(1, 4)))
        if fields["ifmap_bytes"] <= config.ifmap_bytes and bytes_of(fields) < 1000:
            return fields


@pytest.mark.parametrize("pauses", [0.0, 0.4])
@pytest.mark.parametrize("config", CONFIGS, ids=name)
@pytest.mark.parametrize("attempt", range(2))
def test_random_windows_become_the_interpreters_bytes(attempt, config, pauses, rng, dice):
    """Four ifmaps in two batches; the layer takes each and releases it later, before the next one's words may come."""
    dut = Unfolder(config)
    case = case_of(rng, config, random_windows(rng, config), 4, batch=2)
    print(case.header)

    async def write(ctx):
        await begin(ctx, dut, case)
        beats = [beat for ifmap in case.beats for beat in ifmap]
        await send(ctx, dut.ifmap, beats, pauses, Random(dice.random()))

    async def read(ctx):
        for writes in case.writes:
            await receive_bytes(ctx, dut, writes, pauses, Random(dice.random()))
            await until(ctx, dut.unfolded.ready)
            for _ in range(dice.randrange(3)):
                await ctx.tick()
            await pulse(ctx, dut.unfolded.take)
            assert not ctx.get(dut.unfolded.ready)
            ctx.set(dut.out.ready, 1)
            for _ in range(dice.randrange(10)):
                assert not ctx.get(dut.out.valid)
                await ctx.tick()
            ctx.set(dut.out.ready, 0)
            await pulse(ctx, dut.release)

    simulate(dut, write, read, background=[partial(check_stable, stream=dut.out)])


FULL = [
    ((31, 16, 1), (31, 1)),  # runs
    ((1, 512, 1), (1, 1)),  # windows in a row
    ((512, 1, 1), (1, 1)),  # rows of windows
    ((1, 1, 512), (1, 1)),  # bytes of a run
    ((2, 1, 256), (2, 1)),
    ((1, 511, 1), (1, 2)),
    ((1, 1, 511), (1, 1)),
]


@pytest.mark.parametrize("config", CONFIGS, ids=name)
@pytest.mark.parametrize(("shape", "kernel"), FULL, ids=str)
def test_every_count_may_be_as_large_as_the_buffer(config, shape, kernel, rng):
    """512 bytes, and 31 runs: counts and addresses have just as many bits as that takes."""
    dut = Unfolder(config)
    case = case_of(rng, config, windows(shape, kernel, 1), 2)

    async def write(ctx):
        await begin(ctx, dut, case)
        await send(ctx, dut.ifmap, [beat for ifmap in case.beats for beat in ifmap])

    async def read(ctx):
        for writes in case.writes:
            await receive_bytes(ctx, dut, writes)
            await until(ctx, dut.unfolded.ready)
            await pulse(ctx, dut.unfolded.take)
            await pulse(ctx, dut.release)

    simulate(dut, write, read)


@pytest.mark.parametrize("name", ["run_bytes", "runs", "windows_x", "windows_y", "run_pitch", "x_pitch", "y_pitch"])
@pytest.mark.parametrize("value", [513, 1024, 0xFFFF])
def test_a_header_that_asks_for_more_than_the_buffer_ends(name, value, rng):
    """What it unfolds does not matter, but it becomes ready, and the ifmap after it is taken."""
    config = config_of(4)
    dut = Unfolder(config)
    case = case_of(rng, config, copy((2, 2, 3)), 2)
    case.header[name] = value

    async def testbench(ctx):
        await begin(ctx, dut, case)
        for beats in case.beats:
            await send(ctx, dut.ifmap, beats)
            ctx.set(dut.out.ready, 1)
            await until(ctx, dut.unfolded.ready)
            await pulse(ctx, dut.unfolded.take)
            await pulse(ctx, dut.release)

    simulate(dut, testbench)


@pytest.mark.parametrize("config", CONFIGS, ids=name)
@pytest.mark.parametrize(
    "fields",
    [
        windows((9, 9, 1), (3, 3), 1),
        windows((7, 8, 3), (3, 3), 2),
        windows((5, 5, 1), (5, 5), 1),
        windows((3, 5, 19), (2, 1), 1),
        stacked((9, 8, 3), 3, 2),
        copy((4, 4, 16)),
        windows((1, 1, 255), (1, 1), 1),
    ],
    ids=lambda fields: f"{fields['windows_y']}x{fields['windows_x']}x{fields['runs']}x{fields['run_bytes']}",
)
def test_cycles_are_ifmap_beats_and_bytes_and_3(config, fields, rng):
    """With a single port twice the bytes, if nothing is in their way."""
    dut = Unfolder(config)
    case = case_of(rng, config, fields, 1)
    cycles = bytes_of(fields) * (1 + config.single_port) + 3
    taken = []

    async def watch(ctx):
        async for *_, valid, write in ctx.tick().sample(dut.out.valid, dut.out.payload):
            if valid:
                taken.append((write.address, write.data[0]))

    async def testbench(ctx):
        await begin(ctx, dut, case)
        ctx.set(dut.out.ready, 1)
        ctx.set(dut.ifmap.valid, 1)
        for beat in case.beats[0]:
            ctx.set(dut.ifmap.payload, beat)
            assert ctx.get(dut.ifmap.ready)
            await ctx.tick()
        ctx.set(dut.ifmap.valid, 0)
        for _ in range(cycles):
            assert not ctx.get(dut.unfolded.ready)
            await ctx.tick()
        assert ctx.get(dut.unfolded.ready)

    simulate(dut, testbench, background=[watch])
    assert taken == case.writes[0]
