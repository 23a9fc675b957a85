import numpy as np
from amaranth.hdl import ResetInserter, Signal

from hw.counters import Counters
from pymodel.registers import COUNTERS
from tests.hw.stream_tools import simulate


def test_every_counter_counts_its_own_event_from_the_last_clear_on(rng):
    dut = Counters()
    events = rng.integers(0, 2, (300, len(COUNTERS)))
    clears = rng.random(300) < 0.03

    async def testbench(ctx):
        counts = np.zeros(len(COUNTERS), int)
        for row, clear in zip(events, clears, strict=True):
            ctx.set(dut.events, int(row @ (1 << np.arange(len(COUNTERS)))))
            ctx.set(dut.clear, bool(clear))
            await ctx.tick()
            counts = np.zeros_like(counts) if clear else counts + row
            assert [ctx.get(dut.counts[index]) for index in range(len(COUNTERS))] == counts.tolist()

    simulate(dut, testbench)


def test_counts_return_to_0_at_2_to_the_32():
    dut = Counters()

    async def testbench(ctx):
        ctx.set(dut.counts.as_value(), (1 << 32) - 1)
        ctx.set(dut.events, 1)
        await ctx.tick()
        assert ctx.get(dut.counts.as_value()) == 0

    simulate(dut, testbench)


def test_reset_clears():
    dut = Counters()
    reset = Signal()

    async def testbench(ctx):
        ctx.set(dut.events, (1 << len(COUNTERS)) - 1)
        await ctx.tick().repeat(3)
        assert ctx.get(dut.counts[0]) == 3
        ctx.set(reset, 1)
        await ctx.tick()
        assert ctx.get(dut.counts.as_value()) == 0

    simulate(ResetInserter(reset)(dut), testbench)
