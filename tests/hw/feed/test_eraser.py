"""The eraser in front of the memory that it erases."""

import numpy as np
import pytest
from amaranth import Module
from amaranth.hdl import ResetInserter, Signal
from amaranth.lib.wiring import connect

from deeplock.hw.feed.activation_memory import ActivationMemory, read_steps
from deeplock.hw.feed.eraser import Eraser, erased_words
from deeplock.pymodel.spec.config import Config
from tests.hw.stream_tools import simulate

DENSE = Config(rows=4, cols=4, bytes_per_beat=4, activation_words=16)
WORDS = Config(rows=4, cols=4, bytes_per_beat=4, activation_words=16, dense=False)
SINGLE_PORT = Config(rows=4, cols=4, bytes_per_beat=4, activation_words=16, dense=False, single_port=True)
CONFIGS = pytest.mark.parametrize("config", [DENSE, WORDS, SINGLE_PORT], ids=["dense", "words", "single port"])


class Bench:
    """Eraser and memory; `clear` clears the memory's registers, as a command does, `reset` resets both."""

    def __init__(self, config: Config):
        self.config = config
        self.eraser, self.memory = Eraser(config), ActivationMemory(config)
        self.clear, self.reset = Signal(), Signal()
        m = Module()
        m.submodules.eraser = self.eraser
        m.submodules.memory = ResetInserter(self.clear)(self.memory)
        connect(m, self.eraser.erase, self.memory.erase)
        m.d.comb += self.eraser.cleared.eq(self.clear)
        self.design = ResetInserter(self.reset)(m)

    async def fill(self, ctx, value: int) -> None:
        """A run that writes `value` to every byte."""
        ctx.set(self.eraser.used, 1)
        ctx.set(self.memory.ifmap.payload.keep, 1)
        ctx.set(self.memory.ifmap.valid, 1)
        for address in range(self.config.activation_words * self.config.rows):
            ctx.set(self.memory.ifmap.payload.address, address)
            ctx.set(self.memory.ifmap.payload.data, [value])
            assert ctx.get(self.memory.ifmap.ready)
            await ctx.tick()
        ctx.set(self.memory.ifmap.valid, 0)
        ctx.set(self.eraser.used, 0)
        await ctx.tick().repeat(2)

    async def words(self, ctx) -> list[int]:
        """All words of the memory."""
        found, rows = [], self.config.rows
        ctx.set(self.memory.words.read, 1)
        for word in range(self.config.activation_words + read_steps(self.config) - 1):
            ctx.set(self.memory.words.address, word * rows % (self.config.activation_words * rows))
            await ctx.tick()
            found.append(ctx.get(self.memory.words.word))
        ctx.set(self.memory.words.read, 0)
        return found[read_steps(self.config) - 1 :]

    async def erased(self, ctx) -> int:
        """Wait until the walk ends; the cycles it took from now on. The ifmap waits."""
        cycles = 0
        ctx.set(self.memory.ifmap.valid, 1)
        while ctx.get(self.eraser.erase.active):
            assert not ctx.get(self.memory.ifmap.ready)
            await ctx.tick()
            cycles += 1
        ctx.set(self.memory.ifmap.valid, 0)
        return cycles


async def pulse(ctx, signal) -> None:
    ctx.set(signal, 1)
    await ctx.tick()
    ctx.set(signal, 0)


@CONFIGS
@pytest.mark.parametrize("by", ["start", "reset"])
def test_nothing_is_left_and_the_walk_takes_a_cycle_a_word(by, config):
    bench = Bench(config)
    words = config.activation_words

    async def testbench(ctx):
        await ctx.tick()
        await bench.erased(ctx)
        await bench.fill(ctx, 0xA5)
        assert await bench.words(ctx) == [0xA5A5A5A5] * words
        await pulse(ctx, bench.eraser.start if by == "start" else bench.reset)
        if by == "reset":
            await ctx.tick()
        assert await bench.erased(ctx) == erased_words(config) + 2
        assert await bench.words(ctx) == [0] * words

    simulate(bench.design, testbench)


@CONFIGS
def test_what_no_run_has_used_is_not_erased_but_spram_after_power_up(config):
    """SPRAM's bytes are not the configuration's."""
    bench = Bench(config)

    async def testbench(ctx):
        await ctx.tick()
        assert ctx.get(bench.eraser.erase.active) == config.single_port
        await bench.erased(ctx)
        for signal in (bench.eraser.start, bench.reset):
            await pulse(ctx, signal)
            await ctx.tick()
            assert not ctx.get(bench.eraser.erase.active)

    simulate(bench.design, testbench)


@CONFIGS
def test_clear_reset_and_start_in_mid_walk_begin_it_anew(config, dice):
    """In whichever cycle: a write on its way is lost, and nothing else notices."""
    bench = Bench(config)
    longest = erased_words(config) + 2

    async def testbench(ctx):
        await ctx.tick()
        await bench.erased(ctx)
        for cycle in range(longest):
            await bench.fill(ctx, dice.randrange(1, 256))
            await pulse(ctx, bench.eraser.start)
            for _ in range(cycle):
                await ctx.tick()
            signal = dice.choice((bench.clear, bench.reset, bench.eraser.start))
            await pulse(ctx, signal)
            if signal is bench.reset:
                await ctx.tick()
            over = cycle == longest - 1 and signal is bench.reset
            assert await bench.erased(ctx) == (0 if over else longest)
            assert not np.any(await bench.words(ctx))

    simulate(bench.design, testbench, cycles=100_000)
