"""The sequencer with feeder, post-processor, unfolder and loader played by the test."""

from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from amaranth.hdl import ResetInserter, Signal

from deeplock.hw.control.sequencer import Sequencer
from deeplock.pymodel.spec.config import Config
from tests.hw.layer_tools import descriptor
from tests.hw.sequencer_tools import FEEDER, POST, Bench, random_program
from tests.hw.stream_tools import simulate

CONFIG = Config(rows=4, cols=4, bytes_per_beat=4, program_words=128)
SHORT = replace(CONFIG, pipeline_registers=False)
START_TO_POST = {CONFIG: 6, SHORT: 5}
SETTLED = 45  # more than any drain that a test plays, if not said otherwise
FAR = SETTLED + 3 + 2  # the dense memory's read steps, and two


@pytest.mark.parametrize("config", [CONFIG, SHORT])
@pytest.mark.parametrize("layers", [1, 2, 8])
def test_every_layer_of_every_inference_starts_in_order_with_its_fields(layers, config, rng, dice):
    dut = Sequencer(config, SETTLED)
    bench = Bench(dut, random_program(rng, layers))
    ends = []

    async def testbench(ctx):
        for _ in range(3):
            assert not ctx.get(dut.report.feeding)
            await ctx.tick()
        await bench.run(ctx, 3)
        assert not ctx.get(dut.report.idle)
        for _ in range(3):
            for layer in range(layers):
                if layer == 0:
                    for _ in range(dice.randrange(30)):
                        await ctx.tick()
                    ctx.set(dut.ifmap.ready, 1)
                ends.append(await bench.play_layer(ctx, dice.randrange(2, 30), dice.randrange(8, 40)))
                if layer == 0:
                    ctx.set(dut.ifmap.ready, 0)
                if layer < layers - 1:
                    assert not ctx.get(dut.report.idle)
        for _ in range(20):
            await ctx.tick()
        assert ctx.get(dut.report.idle) and not ctx.get(dut.report.feeding)

    simulate(dut, testbench, background=[bench.watch, bench.memory])
    program = bench.program * 3
    assert bench.fields("start") == [{name: getattr(fields, name) for name in FEEDER} for fields in program]
    assert bench.fields("post") == [{name: getattr(fields, name) for name in POST} for fields in program]
    starts = bench.cycles("start")
    assert bench.cycles("post") == [start + START_TO_POST[config] for start in starts]
    assert bench.cycles("take") == starts[::layers]
    assert bench.cycles("opens") == [start + 1 for start in starts]


@pytest.mark.parametrize("drain", [8, 13, 14, 30])
@pytest.mark.parametrize("feed", [6, 17, 18, 30])
@pytest.mark.parametrize("config", [CONFIG, SHORT])
def test_a_layer_that_needs_all_results_starts_in_the_cycle_after_layer_done(feed, drain, config, rng):
    """If its fields are there: they are read from the start of the layer before on, or from the feeder's done."""
    dut = Sequencer(config, SETTLED)
    bench = Bench(dut, random_program(rng, 3))

    async def testbench(ctx):
        ctx.set(dut.ifmap.ready, 1)
        await bench.run(ctx, 2)
        layers = [await bench.play_layer(ctx, feed, drain) for _ in range(6)]
        for (start, done, left), (following, *_) in pairwise(layers):
            fetched = max(start + 20, done + 2) if config is CONFIG else done + 14
            assert following == max(left + 1, fetched)

    simulate(dut, testbench, background=[bench.watch, bench.memory])


@pytest.mark.parametrize("config", [CONFIG, SHORT])
@pytest.mark.parametrize("slack", [0, 1, 20, SETTLED - 3, SETTLED, FAR - 1, FAR, 255])
@pytest.mark.parametrize("on_their_way", [1, 5])
def test_a_layer_starts_before_the_results_that_it_needs_later(on_their_way, slack, config, rng):
    """`slack` cycles before they are all in memory, or as soon as the feeder is free if words on their way cost no more."""
    read_steps = 3 if config.dense else 1
    assert read_steps + 2 == FAR - SETTLED
    dut = Sequencer(config, SETTLED)
    bench = Bench(dut, random_program(rng, 2))
    bench.program[1] = replace(bench.program[1], slack=slack)

    async def testbench(ctx):
        ctx.set(dut.ifmap.ready, 1)
        await bench.run(ctx, 1)
        while not bench.cycles("start"):
            await ctx.tick()
        await ctx.tick().repeat(29)
        done = await bench.pulse(ctx, dut.feeder.done)
        for _ in range(on_their_way - 1):
            await ctx.tick()
        ends = await bench.pulse(ctx, dut.words_end)
        await ctx.tick().repeat(SETTLED + 20)
        free = done + (2 if config is CONFIG else 14)
        settled = 0 if slack >= FAR else max(ends + SETTLED - slack, ends + 2)
        assert bench.cycles("start")[1:] == [max(free, settled)]
        # its post-processing fields wait for the layer before
        assert len(bench.cycles("post")) == len(bench.cycles("opens")) == 1
        left = await bench.pulse(ctx, dut.post.done)
        await ctx.tick().repeat(10)
        assert bench.cycles("post")[1:] == [left + START_TO_POST[config]]
        assert bench.cycles("opens")[1:] == [left + 1]

    simulate(dut, testbench, background=[bench.watch, bench.memory])


def test_no_third_layer_starts_behind_two(rng):
    """Whatever its slack: the results of the first could be missing."""
    dut = Sequencer(CONFIG, SETTLED)
    bench = Bench(dut, [replace(layer, slack=255) for layer in random_program(rng, 3)])

    async def testbench(ctx):
        ctx.set(dut.ifmap.ready, 1)
        await bench.run(ctx, 1)
        for layers in (1, 2):
            while len(bench.cycles("start")) < layers:
                await ctx.tick()
            await bench.pulse(ctx, dut.feeder.done)
            await bench.pulse(ctx, dut.words_end)
        await ctx.tick().repeat(3 * SETTLED)
        assert len(bench.cycles("start")) == 2
        left = await bench.pulse(ctx, dut.post.done)
        await ctx.tick().repeat(2)
        assert bench.cycles("start")[2:] == [left + 1]

    simulate(dut, testbench, background=[bench.watch, bench.memory])


def test_a_layer_that_waits_for_the_ifmap_says_so(rng):
    """Only once the layer before has left: until then it is not the ifmap that it waits for."""
    dut = Sequencer(CONFIG, SETTLED)
    bench = Bench(dut, random_program(rng, 1))

    async def testbench(ctx):
        await bench.run(ctx, 2)
        for _ in range(20):
            await ctx.tick()
        for inference in range(2):
            for _ in range(10):
                assert ctx.get(dut.report.waits_for_ifmap) and not ctx.get(dut.feeder.start)
                await ctx.tick()
            ctx.set(dut.ifmap.ready, 1)
            await ctx.tick()
            assert not ctx.get(dut.report.waits_for_ifmap)
            ctx.set(dut.ifmap.ready, 0)
            if inference:
                break
            for _ in range(10):
                await ctx.tick()
            await bench.pulse(ctx, dut.feeder.done)
            for _ in range(30):
                assert not ctx.get(dut.report.waits_for_ifmap)
                await ctx.tick()
            await bench.pulse(ctx, dut.words_end)
            await bench.pulse(ctx, dut.post.done)

    simulate(dut, testbench, background=[bench.watch, bench.memory])
    assert len(bench.cycles("take")) == 2


@pytest.mark.parametrize("profile", range(5))
def test_a_layers_cycles_are_those_from_last_word_to_last_word(profile, rng, dice):
    """The wait for the ifmap is the first layer's, what comes after the run's last word the last layer's; layer 4 has none."""
    dut = Sequencer(CONFIG, SETTLED)
    bench = Bench(dut, random_program(rng, 3))
    counted: list[int] = []
    ends: list[int] = []

    async def watch(ctx):
        async for *_, run, high, last_word in ctx.tick().sample(dut.run.active, dut.profiling.counted, dut.words_end):
            if run:
                counted.append(high)
            if last_word:
                ends.append(len(counted))

    async def testbench(ctx):
        ctx.set(dut.profiling.profile, profile)
        await ctx.tick().repeat(3)
        await bench.run(ctx, 3)
        for _ in range(3):
            ctx.set(dut.ifmap.ready, 0)
            for _ in range(dice.randrange(60)):
                await ctx.tick()
            ctx.set(dut.ifmap.ready, 1)
            for _ in range(3):
                await bench.play_layer(ctx, dice.randrange(2, 30), dice.randrange(START_TO_POST[CONFIG] + 2, 40))
        await ctx.tick().repeat(20)
        assert ctx.get(dut.report.idle)

    simulate(dut, testbench, background=[bench.watch, bench.memory, watch])
    assert len(ends) == 9
    lengths = [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
    lengths[-1] += len(counted) - ends[-1]
    layers = [1 + index % 3 for index, length in enumerate(lengths) for _ in range(length)]
    assert counted == [profile in (0, layer) for layer in layers]


def test_a_profile_counts_from_the_cycle_in_which_it_is_written(rng):
    dut = Sequencer(CONFIG, SETTLED)
    bench = Bench(dut, random_program(rng, 2))

    async def testbench(ctx):
        ctx.set(dut.ifmap.ready, 1)
        await bench.run(ctx, 1)
        for layer in (1, 2):
            for profile in range(4):
                ctx.set(dut.profiling.profile, profile)
                assert ctx.get(dut.profiling.counted) == (profile in (0, layer))
            await bench.play_layer(ctx, 5, 20)

    simulate(dut, testbench, background=[bench.watch, bench.memory])


def test_nothing_happens_without_run():
    dut = Sequencer(CONFIG, SETTLED)
    bench = Bench(dut, [descriptor()])

    async def testbench(ctx):
        ctx.set(dut.layers, 1)
        ctx.set(dut.run.count, 1)
        for _ in range(30):
            await ctx.tick()

    simulate(dut, testbench, background=[bench.watch, bench.memory])
    assert bench.seen == []


def test_reset_at_any_time_followed_by_a_right_run(rng, dice: Random):
    dut = Sequencer(CONFIG, SETTLED)
    bench = Bench(dut, random_program(rng, 2))
    reset = Signal()

    async def testbench(ctx):
        for _ in range(6):
            ctx.set(dut.ifmap.ready, 1)
            await bench.run(ctx, 1)
            for _ in range(dice.randrange(1, 30)):
                await ctx.tick()
            if dice.random() < 0.5:
                await bench.pulse(ctx, dut.feeder.done)
            ctx.set(dut.run.active, 0)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
        bench.seen.clear()
        await bench.run(ctx, 1)
        for _ in range(2):
            await bench.play_layer(ctx, dice.randrange(2, 9), dice.randrange(8, 20))
        for _ in range(10):
            await ctx.tick()
        assert ctx.get(dut.report.idle)

    simulate(ResetInserter(reset)(dut), testbench, background=[bench.watch, bench.memory])
    assert bench.fields("start") == [{name: getattr(fields, name) for name in FEEDER} for fields in bench.program]
    assert bench.fields("post") == [{name: getattr(fields, name) for name in POST} for fields in bench.program]
