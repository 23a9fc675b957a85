"""The SDRAM cache between a model of the flash reader, a model of the chip, and whoever takes the stream."""

from random import Random

import pytest
from amaranth.hdl import ResetInserter, Signal

from deeplock.fpga.gateware.sdram import Sdram
from deeplock.fpga.gateware.sdram_cache import SdramCache
from deeplock.sim.sdram_model import SdramChip
from tests.fpga.gateware.cache_tools import Reader, expected, request, take
from tests.fpga.gateware.sdram_tools import SdramBoard
from tests.hw.stream_tools import simulate

CLOCK_HZ = 50_000_000
SOON = 1e-6
"""Seconds of power-up, in place of 200 us, which take long to simulate."""
FOUND = 10e-6
"""Seconds from power-up until the chip is found, on top, at most."""


class Bench:
    def __init__(self, size: int, pauses: float, dice: Random, dead: bool = False) -> None:
        self.dut, self.size = SdramCache(size, Sdram(CLOCK_HZ, SOON)), size
        self.reader = Reader(self.dut, pauses, dice, size)
        self.board = SdramBoard(SdramChip(dead, 1e9 * SOON), self.dut.pins, CLOCK_HZ, 2, 1)
        self.reset = Signal()

    def run(self, testbench) -> None:
        async def found(ctx):
            await ctx.tick().repeat(int((SOON + FOUND) * CLOCK_HZ))
            await testbench(ctx)

        dut = ResetInserter(self.reset)(self.dut)
        simulate(dut, found, background=[self.reader.serve, self.board.run], cycles=100_000)


@pytest.mark.parametrize("size", [4, 8, 16])
@pytest.mark.parametrize("pauses", [0.0, 0.5])
def test_a_range_comes_once_from_the_flash_and_then_from_the_sdram(pauses, size, dice):
    """Of a beat, of a row's end and more; the next request comes in the middle of a range."""
    bench = Bench(size, pauses, dice)
    dut, reader = bench.dut, bench.reader

    async def testbench(ctx):
        for beats in (5, 1, 1100 // (size // 2), 2):
            before, address = reader.beats, dice.randrange(1 << 24)
            await request(ctx, dut, address, beats * size)
            count = beats * 2 + 2 + dice.randrange(beats)
            found, _ = await take(ctx, dut, count, pauses, dice)
            assert found == expected(address, beats * size, count, size)
            assert reader.beats - before == beats

    bench.run(testbench)


@pytest.mark.parametrize("size", [4, 8, 16])
def test_a_replay_gives_a_word_a_cycle_less_5_percent(size, dice):
    bench = Bench(size, 0.0, dice)
    beats = 2000 // size

    async def testbench(ctx):
        await request(ctx, bench.dut, 7, beats * size)
        _, first = await take(ctx, bench.dut, beats, 0.0, dice)
        assert first <= 1.05 * beats * (size // 2 + 3), "latency, and the words of a beat and 3 cycles"
        await take(ctx, bench.dut, 1, 0.0, dice)
        _, cycles = await take(ctx, bench.dut, 2 * beats, 0.0, dice)
        assert cycles <= 1.05 * beats * size, cycles

    bench.run(testbench)


def test_without_a_chip_all_comes_from_the_flash(dice):
    bench = Bench(8, 0.3, dice, dead=True)

    async def testbench(ctx):
        await request(ctx, bench.dut, 3, 40)
        found, _ = await take(ctx, bench.dut, 60, 0.3, dice)
        assert found == expected(3, 40, 60, 8)
        assert 60 <= bench.reader.beats <= 62

    bench.run(testbench)


@pytest.mark.parametrize("how", ["stop", "reset"])
def test_stop_and_reset_end_the_stream_at_any_time(how, dice):
    """From the flash and from the SDRAM; nothing of it is in the next one, not even what was on its way. After a reset the chip
    is found again."""
    bench = Bench(8, 0.0, dice)
    dut = bench.dut

    async def testbench(ctx):
        for beats in (40, 1, 2, 40, 3):
            address = dice.randrange(1 << 24)
            await request(ctx, dut, address, beats * 8)
            count = dice.choice((1, beats, beats + 1, 2 * beats, 3 * beats))
            found, _ = await take(ctx, dut, count, dice.choice((0.0, 0.5)), dice)
            assert found == expected(address, beats * 8, count, 8)
            await ctx.tick().repeat(dice.randint(1, 20))
            ctx.set(dut.stop, 1)  # the system resets the reader together with the cache
            if how == "reset":
                ctx.set(bench.reset, 1)
                bench.board.power_up(SdramChip(power_up=1e9 * SOON))
            await ctx.tick()
            ctx.set(dut.stop, 0)
            ctx.set(bench.reset, 0)
            for _ in range(int((SOON + FOUND) * CLOCK_HZ) if how == "reset" else 10):
                assert not ctx.get(dut.loadable.valid)
                await ctx.tick()

    bench.run(testbench)
