"""The unfolder beside its neighbours: when it takes ifmaps and gives them on, wrong lengths, reset."""

from random import Random

import pytest
from amaranth.hdl import ResetInserter, Signal

from deeplock.hw.feed.unfold import Unfolder
from tests.hw.stream_tools import receive, send, simulate
from tests.hw.unfold_tools import begin, case_of, config_of, copy, pulse, receive_bytes, until, windows


def test_the_next_ifmap_is_buffered_while_the_words_are_in_use(rng):
    """Its words come as soon as the others are released, and not before."""
    config = config_of(4)
    dut = Unfolder(config)
    case = case_of(rng, config, copy((3, 3, 5)), 3)

    async def testbench(ctx):
        await begin(ctx, dut, case)
        for number, writes in enumerate(case.writes):
            await send(ctx, dut.ifmap, case.beats[number])
            assert not ctx.get(dut.ifmap.ready)
            if number:
                ctx.set(dut.out.ready, 1)
                for _ in range(20):
                    assert not ctx.get(dut.out.valid)
                    await ctx.tick()
                ctx.set(dut.out.ready, 0)
                if number == 1:
                    await pulse(ctx, dut.unfolded.take)
                await pulse(ctx, dut.release)
            await receive_bytes(ctx, dut, writes)
            await until(ctx, dut.unfolded.ready)
            if number == 1:
                await pulse(ctx, dut.unfolded.take)

    simulate(dut, testbench)


@pytest.mark.parametrize("pauses", [0.0, 0.4])
@pytest.mark.parametrize("attempt", range(3))
def test_with_two_places_an_ifmap_comes_while_the_one_before_is_read(attempt, pauses, rng, dice):
    """It waits until the one before is taken, and the one before that released, whichever is later."""
    config = config_of(4)
    dut = Unfolder(config)

    async def nothing_comes(ctx) -> None:
        ctx.set(dut.out.ready, 1)
        for _ in range(dice.randrange(10)):
            assert not ctx.get(dut.out.valid)
            await ctx.tick()
        ctx.set(dut.out.ready, 0)

    async def testbench(ctx):
        shape = tuple(int(size) for size in rng.integers(1, (5, 5, 9)))  # mostly ends within a word
        case = case_of(rng, config, copy(shape) | {"destination": int(rng.integers(0, 3000))}, 7, alternate=True)
        await begin(ctx, dut, case)
        await ctx.tick()  # an ifmap of one beat ends in its first cycle
        for number, writes in enumerate(case.writes):
            await send(ctx, dut.ifmap, case.beats[number], pauses, Random(dice.random()))
            awaited = [dut.unfolded.take] * (number > 0) + [dut.release] * (number > 1)
            for signal in dice.sample(awaited, len(awaited)):
                await nothing_comes(ctx)
                await pulse(ctx, signal)
            await receive_bytes(ctx, dut, writes, pauses, Random(dice.random()))
            await until(ctx, dut.unfolded.ready)
        await pulse(ctx, dut.unfolded.take)
        assert not ctx.get(dut.unfolded.ready)

    simulate(dut, testbench)


def test_a_release_before_the_take_loses_no_ifmap(rng):
    """Of a program that is wrong: the second ifmap's words must not come before the first is taken."""
    config = config_of(4)
    dut = Unfolder(config)
    case = case_of(rng, config, copy((2, 2, 4)), 2)

    async def testbench(ctx):
        await begin(ctx, dut, case)
        await send(ctx, dut.ifmap, case.beats[0])
        await receive_bytes(ctx, dut, case.writes[0])
        await until(ctx, dut.unfolded.ready)
        await pulse(ctx, dut.release)
        await send(ctx, dut.ifmap, case.beats[1])
        ctx.set(dut.out.ready, 1)
        for _ in range(10):
            assert ctx.get(dut.unfolded.ready) and not ctx.get(dut.out.valid)
            await ctx.tick()
        ctx.set(dut.out.ready, 0)
        await pulse(ctx, dut.unfolded.take)
        await receive_bytes(ctx, dut, case.writes[1])

    simulate(dut, testbench)


def test_nothing_is_taken_before_run_and_after_the_last_ifmap(rng):
    config = config_of(4)
    dut = Unfolder(config)
    case = case_of(rng, config, copy((2, 2, 4)), 1)

    async def testbench(ctx):
        ctx.set(dut.run.count, 1)
        ctx.set(dut.ifmap.valid, 1)
        ctx.set(dut.out.ready, 1)
        await ctx.tick()
        assert not ctx.get(dut.ifmap.ready)
        await begin(ctx, dut, case)
        await send(ctx, dut.ifmap, case.beats[0])
        await until(ctx, dut.unfolded.ready)
        ctx.set(dut.ifmap.valid, 1)
        for _ in range(3):
            assert not ctx.get(dut.ifmap.ready)
            await ctx.tick()

    simulate(dut, testbench)


@pytest.mark.parametrize("last_at", [0, 5, None])
def test_a_wrong_length_is_told_in_the_cycle_after_it_shows(last_at, rng):
    config = config_of(4)
    dut = Unfolder(config)
    case = case_of(rng, config, copy((2, 4, 4)), 1)
    told = []

    async def watch(ctx):
        taken = False
        async for *_, bad, valid, ready in ctx.tick().sample(dut.report.bad_length, dut.ifmap.valid, dut.ifmap.ready):
            if taken:
                told.append(bad)
            else:
                assert not bad
            taken = valid and ready

    async def testbench(ctx):
        await begin(ctx, dut, case)
        beats = [{**beat, "last": number == last_at} for number, beat in enumerate(case.beats[0])]
        await send(ctx, dut.ifmap, beats)
        await ctx.tick()

    simulate(dut, testbench, background=[watch])
    wrong = {7} if last_at is None else {7, last_at}
    assert told == [int(number in wrong) for number in range(8)]


def test_reset_while_filling_and_while_unfolding(rng):
    config = config_of(4)
    dut = Unfolder(config)
    reset = Signal()

    async def testbench(ctx):
        for taken in (0, 3, 5):
            case = case_of(rng, config, windows((5, 5, 2), (3, 3), 1, 40), 1)
            await begin(ctx, dut, case)
            await send(ctx, dut.ifmap, case.beats[0] if taken else case.beats[0][:4])
            await receive(ctx, dut.out, taken)
            ctx.set(reset, 1)
            ctx.set(dut.run.active, 0)
            await ctx.tick()
            ctx.set(reset, 0)
            assert not ctx.get(dut.out.valid) and not ctx.get(dut.unfolded.ready)
            await begin(ctx, dut, case)
            await send(ctx, dut.ifmap, case.beats[0])
            await receive_bytes(ctx, dut, case.writes[0])
            ctx.set(dut.run.active, 0)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)

    simulate(ResetInserter(reset)(dut), testbench)


@pytest.mark.parametrize("dense", [True, False])
def test_what_a_longer_ifmap_left_in_the_buffer_reads_as_zero(dense, rng):
    """A program may unfold more bytes than its ifmap has; those of an ifmap before are not among them."""
    config = config_of(4, dense=dense, lanes=0 if dense else 1)
    dut = Unfolder(config)
    reset = Signal()
    before = case_of(rng, config, copy((4, 8, 4)), 1)
    case = case_of(rng, config, copy((4, 8, 4)), 1)
    case.header["ifmap_beats"] = 3
    beats = [{**beat, "last": number == 2} for number, beat in enumerate(case.beats[0][:3])]

    async def testbench(ctx):
        await begin(ctx, dut, before)
        await send(ctx, dut.ifmap, before.beats[0])
        await receive_bytes(ctx, dut, before.writes[0])
        ctx.set(dut.run.active, 0)
        await pulse(ctx, reset)
        await begin(ctx, dut, case)
        await send(ctx, dut.ifmap, beats)
        await receive_bytes(ctx, dut, [(at, byte * (number < 12)) for number, (at, byte) in enumerate(case.writes[0])])

    simulate(ResetInserter(reset)(dut), testbench)
