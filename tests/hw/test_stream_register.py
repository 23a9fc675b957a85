from functools import partial
from random import Random

import pytest
from amaranth.hdl import ResetInserter, Signal

from hw.stream_register import StreamRegister
from tests.hw.stream_tools import check_stable, receive, send, simulate


@pytest.mark.parametrize("out_pauses", [0.0, 0.5])
@pytest.mark.parametrize("in_pauses", [0.0, 0.5])
def test_every_item_in_order(in_pauses, out_pauses, dice):
    dut = StreamRegister(16)
    items = [dice.randrange(1 << 16) for _ in range(300)]

    async def read(ctx):
        assert await receive(ctx, dut.outlet, len(items), out_pauses, Random(dice.random())) == items

    simulate(
        dut,
        partial(send, stream=dut.inlet, items=items, pauses=in_pauses, rng=Random(dice.random())),
        read,
        background=[partial(check_stable, stream=dut.outlet)],
    )


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


def test_reset_drops_what_is_inside():
    dut = StreamRegister(8)
    reset = Signal()

    async def testbench(ctx):
        for item in range(20):
            await send(ctx, dut.inlet, [item])
            assert ctx.get(dut.outlet.valid) and not ctx.get(dut.inlet.ready)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            assert not ctx.get(dut.outlet.valid) and ctx.get(dut.inlet.ready)

    simulate(ResetInserter(reset)(dut), testbench)
