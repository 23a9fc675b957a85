"""The loadable cache between a model of the flash reader and whoever takes the stream."""

import pytest
from amaranth.hdl import ResetInserter, Signal

from deeplock.fpga.gateware.loadable_cache import LoadableCache
from tests.fpga.gateware.cache_tools import Reader, expected, request, take
from tests.hw.refusal import assert_refused
from tests.hw.stream_tools import simulate

BYTES = 4
SIZE = 64


@pytest.mark.parametrize("size", [4, 8, 16])
@pytest.mark.parametrize("pauses", [0.0, 0.5])
def test_a_range_comes_once_from_the_flash_and_then_from_memory(pauses, size, dice):
    whole = 16 * size
    dut = LoadableCache(size, whole)
    reader = Reader(dut, pauses, dice, size)

    async def testbench(ctx):
        for length in (whole, size, 5 * size, whole):
            before, address, beats = reader.beats, dice.randrange(1 << 24), length // size
            await request(ctx, dut, address, length)
            count = beats * 3 + dice.randrange(beats)  # the next request comes in the middle of a range
            found, _ = await take(ctx, dut, count, pauses, dice)
            assert found == expected(address, length, count, size)
            assert reader.beats - before == beats

    simulate(dut, testbench, background=[reader.serve])


def test_a_replay_gives_a_beat_a_cycle_from_the_second_cycle_on(dice):
    dut = LoadableCache(BYTES, SIZE)
    reader = Reader(dut, 0.0, dice)

    async def testbench(ctx):
        await request(ctx, dut, 7, SIZE)
        _, first = await take(ctx, dut, SIZE // BYTES, 0.0, dice)
        assert first == 3 + SIZE // BYTES, "latency, and a beat a cycle"
        found, cycles = await take(ctx, dut, 100, 0.0, dice)
        assert found == expected(7, SIZE, 100)
        assert cycles == 101

    simulate(dut, testbench, background=[reader.serve])


def test_a_range_longer_than_the_cache_always_comes_from_the_flash(dice):
    dut = LoadableCache(BYTES, SIZE)
    reader = Reader(dut, 0.3, dice)

    async def testbench(ctx):
        length = SIZE + BYTES
        await request(ctx, dut, 0, length)
        found, _ = await take(ctx, dut, 60, 0.3, dice)
        assert found == expected(0, length, 60)
        assert 60 <= reader.beats <= 68  # up to eight wait

    simulate(dut, testbench, background=[reader.serve])


@pytest.mark.parametrize("taken", [3, 20])
def test_stop_ends_the_stream_from_the_flash_and_from_memory(taken, dice):
    dut = LoadableCache(BYTES, SIZE)
    reader = Reader(dut, 0.0, dice)

    async def testbench(ctx):
        await request(ctx, dut, 0, SIZE)
        await take(ctx, dut, taken, 0.0, dice)
        ctx.set(dut.stop, 1)
        await ctx.tick()
        ctx.set(dut.stop, 0)
        for _ in range(10):
            assert not ctx.get(dut.loadable.valid)
            await ctx.tick()
        await request(ctx, dut, 9, SIZE)
        found, _ = await take(ctx, dut, 40, 0.0, dice)
        assert found == expected(9, SIZE, 40)

    simulate(dut, testbench, background=[reader.serve])


def test_reset_in_the_middle(dice):
    dut = LoadableCache(BYTES, SIZE)
    reader = Reader(dut, 0.0, dice)
    reset = Signal()

    async def testbench(ctx):
        for taken in (3, 20):
            await request(ctx, dut, 0, SIZE)
            await take(ctx, dut, taken, 0.0, dice)
            ctx.set(dut.stop, 1)  # the system resets the reader together with the cache
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(dut.stop, 0)
            ctx.set(reset, 0)
            await request(ctx, dut, 5, SIZE)
            found, _ = await take(ctx, dut, 40, 0.0, dice)
            assert found == expected(5, SIZE, 40)

    simulate(ResetInserter(reset)(dut), testbench, background=[reader.serve])


@pytest.mark.parametrize("size", [0, 65])
def test_a_size_that_is_no_number_of_beats_is_refused(size):
    assert_refused(f"size must be a multiple of 4 bytes, not {size}", lambda: LoadableCache(BYTES, size))
