from functools import partial
from random import Random

import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.lib import data

from deeplock.hw.basics.packet_gate import PacketGate
from tests.hw.stream_tools import check_stable, receive, send, simulate

BEAT = data.StructLayout({"data": 32, "last": 1})


def packets(dice: Random, count: int) -> list[dict[str, int]]:
    """Beats of `count` packets of 1..6 beats, numbered."""
    ends = [last for _ in range(count) for last in [0] * dice.randrange(6) + [1]]
    return [{"data": number, "last": last} for number, last in enumerate(ends)]


def fields(beats) -> list[tuple[int, int]]:
    return [(beat.data, beat.last) for beat in beats]


@pytest.mark.parametrize("out_pauses", [0.0, 0.5])
@pytest.mark.parametrize("in_pauses", [0.0, 0.5])
def test_without_stop_every_beat_passes_in_the_same_cycle(in_pauses, out_pauses, dice):
    dut = PacketGate(BEAT)
    beats = packets(dice, 30)

    async def read(ctx):
        got = await receive(ctx, dut.outlet, len(beats), out_pauses, Random(dice.random()))
        assert fields(got) == [(beat["data"], beat["last"]) for beat in beats]

    async def watch(ctx):
        async for *_, valid, passed, ready, gives, flushing in ctx.tick().sample(
            dut.inlet.valid, dut.outlet.valid, dut.outlet.ready, dut.inlet.ready, dut.flushing
        ):
            assert (passed, gives, flushing) == (valid, ready, 0)

    simulate(
        dut,
        partial(send, stream=dut.inlet, items=beats, pauses=in_pauses, rng=Random(dice.random())),
        read,
        background=[watch, partial(check_stable, stream=dut.outlet)],
    )


@pytest.mark.parametrize("pauses", [0.0, 0.5])
def test_stop_drops_the_rest_of_the_packet_it_meets_and_nothing_else(pauses, dice):
    """At random times. What a stop drops follows from the beat that was taken last, or is taken in its cycle."""
    dut = PacketGate(BEAT)
    beats = packets(dice, 150)
    ends = [number for number, beat in enumerate(beats) if beat["last"]]

    async def testbench(ctx):
        number, offered, dropping, passed = 0, False, -1, 0  # beats up to `dropping` are to be dropped
        stops = 0
        while number < len(beats):
            flushing = number <= dropping
            assert ctx.get(dut.flushing) == flushing
            offered = offered or dice.random() >= pauses
            ready, stop = dice.random() >= pauses, dropping < number and dice.random() < 0.15
            ctx.set(dut.inlet.valid, offered)
            ctx.set(dut.inlet.payload, beats[number])
            ctx.set(dut.outlet.ready, ready)
            ctx.set(dut.stop, stop)
            assert ctx.get(dut.outlet.valid) == (offered and not flushing)
            assert ctx.get(dut.inlet.ready) == (ready or flushing)
            if offered and not flushing:
                assert fields([ctx.get(dut.outlet.payload)]) == [(number, beats[number]["last"])]
            await ctx.tick()
            if offered and (ready or flushing):
                number, offered, passed = number + 1, False, passed + (not flushing)
            inside = number > 0 and not beats[number - 1]["last"]
            if stop and inside:
                dropping = next(end for end in ends if end >= number)
                stops += 1
        assert stops > 5 and passed < len(beats)

    simulate(dut, testbench)


def test_a_second_stop_ends_the_dropping():
    """The sender has given its packet up: what comes is the first beat of a new one."""
    dut = PacketGate(BEAT)

    async def testbench(ctx):
        ctx.set(dut.outlet.ready, 1)
        await send(ctx, dut.inlet, [{"data": 1, "last": 0}])
        for flushing in (1, 0):
            ctx.set(dut.stop, 1)
            await ctx.tick()
            ctx.set(dut.stop, 0)
            assert ctx.get(dut.flushing) == flushing
            await ctx.tick()
            assert ctx.get(dut.flushing) == flushing
        ctx.set(dut.inlet.valid, 1)
        ctx.set(dut.inlet.payload, {"data": 2, "last": 1})
        assert ctx.get(dut.outlet.valid) and ctx.get(dut.inlet.ready)
        await ctx.tick()
        ctx.set(dut.inlet.valid, 0)
        ctx.set(dut.stop, 1)
        await ctx.tick()
        assert not ctx.get(dut.flushing)

    simulate(dut, testbench)


def test_a_packet_that_begins_after_the_second_stop_is_dropped_whole_by_a_third():
    """A stop while dropping must forget the packet it was in, else the next packet's end would go wrong."""
    dut = PacketGate(BEAT)

    async def testbench(ctx):
        ctx.set(dut.outlet.ready, 1)
        await send(ctx, dut.inlet, [{"data": 1, "last": 0}])
        ctx.set(dut.stop, 1)
        await ctx.tick().repeat(2)
        ctx.set(dut.stop, 0)
        await send(ctx, dut.inlet, [{"data": 2, "last": 0}])
        ctx.set(dut.stop, 1)
        await ctx.tick()
        ctx.set(dut.stop, 0)
        ctx.set(dut.outlet.ready, 0)
        for last in (0, 0, 1):
            assert ctx.get(dut.flushing)
            await send(ctx, dut.inlet, [{"data": 3, "last": last}])
        assert not ctx.get(dut.flushing)

    simulate(dut, testbench)


def test_a_third_stop_right_after_finds_no_packet_to_drop():
    dut = PacketGate(BEAT)

    async def testbench(ctx):
        ctx.set(dut.outlet.ready, 1)
        await send(ctx, dut.inlet, [{"data": 1, "last": 0}])
        ctx.set(dut.stop, 1)
        for flushing in (1, 0, 0, 0):
            await ctx.tick()
            assert ctx.get(dut.flushing) == flushing

    simulate(dut, testbench)


def test_a_stop_in_the_cycle_of_the_last_beat_drops_nothing():
    dut = PacketGate(BEAT)

    async def testbench(ctx):
        ctx.set(dut.outlet.ready, 1)
        for last in (0, 1):
            ctx.set(dut.inlet.valid, 1)
            ctx.set(dut.inlet.payload, {"data": 0, "last": last})
            ctx.set(dut.stop, last)
            await ctx.tick()
        assert not ctx.get(dut.flushing)

    simulate(dut, testbench)


def test_reset_in_mid_packet_forgets_the_packet():
    dut = PacketGate(BEAT)
    reset = Signal()

    async def testbench(ctx):
        ctx.set(dut.outlet.ready, 1)
        await send(ctx, dut.inlet, [{"data": 1, "last": 0}])
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        ctx.set(dut.stop, 1)
        await ctx.tick()
        assert not ctx.get(dut.flushing)

    simulate(ResetInserter(reset)(dut), testbench)
