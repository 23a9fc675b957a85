from functools import partial
from random import Random

import pytest
from amaranth.hdl import ResetInserter, Signal

from deeplock.hw.basics.stream_buffers import SkidBuffer, StreamRegister
from tests.hw.stream_tools import check_stable, receive, send, simulate


@pytest.mark.parametrize("out_pauses", [0.0, 0.5])
@pytest.mark.parametrize("in_pauses", [0.0, 0.5])
@pytest.mark.parametrize("buffer", [SkidBuffer, StreamRegister])
def test_every_item_in_order(buffer, in_pauses, out_pauses, dice):
    dut = buffer(16)
    items = [dice.randrange(1 << 16) for _ in range(300)]

    async def read(ctx):
        assert await receive(ctx, dut.outlet, len(items), out_pauses, Random(dice.random())) == items

    simulate(
        dut,
        partial(send, stream=dut.inlet, items=items, pauses=in_pauses, rng=Random(dice.random())),
        read,
        background=[partial(check_stable, stream=dut.outlet)],
    )


def test_no_latency_an_item_a_cycle_and_ready_from_a_register(dice):
    """Whether `inlet` is ready does not change with what `outlet` and `inlet` do in the same cycle."""
    dut = SkidBuffer(8)

    async def testbench(ctx):
        waiting, stopped = [], False  # items inside; the last cycle ended with one
        for number in range(300):
            offered = dice.random() < 0.6
            ctx.set(dut.inlet.payload, number % 256)
            for valid in (not offered, offered):
                for ready in (1, 0):
                    ctx.set(dut.inlet.valid, valid)
                    ctx.set(dut.outlet.ready, ready)
                    assert ctx.get(dut.inlet.ready) == (not stopped)
            if offered and not stopped:
                waiting.append(number % 256)
            assert ctx.get(dut.outlet.valid) == bool(waiting)
            if waiting:
                assert ctx.get(dut.outlet.payload) == waiting[0]
            ready = dice.random() < 0.6
            ctx.set(dut.outlet.ready, ready)
            if ready and waiting:
                waiting.pop(0)
            stopped = bool(waiting)
            await ctx.tick()

    simulate(dut, testbench)


def test_a_cycle_later_an_item_a_cycle_whatever_the_inlet_shows_meanwhile():
    dut = StreamRegister(16)

    async def testbench(ctx):
        ctx.set(dut.outlet.ready, 1)
        ctx.set(dut.inlet.valid, 1)
        for number in range(100):
            ctx.set(dut.inlet.payload, number)
            assert ctx.get(dut.inlet.ready)
            assert ctx.get(dut.outlet.valid) == (number > 0)
            assert number == 0 or ctx.get(dut.outlet.payload) == number - 1
            await ctx.tick()
        ctx.set(dut.inlet.valid, 0)
        ctx.set(dut.inlet.payload, 0)
        assert ctx.get(dut.outlet.valid) and ctx.get(dut.outlet.payload) == 99
        await ctx.tick()
        assert not ctx.get(dut.outlet.valid)

    simulate(dut, testbench)


@pytest.mark.parametrize("buffer", [SkidBuffer, StreamRegister])
def test_reset_drops_what_is_inside(buffer):
    dut = buffer(8)
    reset = Signal()

    async def testbench(ctx):
        for item in range(20):
            await send(ctx, dut.inlet, [item])
            assert ctx.get(dut.outlet.valid)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            assert not ctx.get(dut.outlet.valid) and ctx.get(dut.inlet.ready)

    simulate(ResetInserter(reset)(dut), testbench)
