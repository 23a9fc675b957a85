from dataclasses import replace
from functools import partial
from random import Random

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from deeplock.hw.post.ofmap_buffer import OfmapBuffer, buffer_beats
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.licence import CLASSES, Terms
from tests.hw.stream_tools import check_stable, receive, simulate

CONFIG = Config(rows=8, cols=8, bytes_per_beat=8, lanes=2)
SEALED = Config(rows=8, cols=8, bytes_per_beat=8, lanes=2, ofmap_bytes=64, suite="ascon")
PERMITTING = replace(SEALED, licences=True, permissions=True)
DEPTH = 32  # of all
every_sealed = pytest.mark.parametrize("config", [SEALED, PERMITTING], ids=["sealed", "permitting"])


def random_result(dice: Random) -> dict:
    return {
        "data": [dice.randrange(-128, 128) for _ in range(CONFIG.lanes)],
        "address": dice.randrange(CONFIG.activation_words * CONFIG.rows),
        "keep": dice.randrange(1, 4),
        "last": dice.randrange(2),
    }


async def offer(ctx, dut: OfmapBuffer, result: dict) -> None:
    ctx.set(dut.results.payload, result)
    ctx.set(dut.results.valid, 1)


def test_a_result_goes_to_its_bytes_of_the_activation_memory_in_the_same_cycle(dice):
    dut = OfmapBuffer(CONFIG)

    async def testbench(ctx):
        for _ in range(20):
            result = random_result(dice)
            await offer(ctx, dut, result)
            write = ctx.get(dut.words.payload)
            assert ctx.get(dut.words.valid)
            assert (write.address, write.keep) == (result["address"], result["keep"])
            assert list(write.data) == [value & 0xFF for value in result["data"]]
            await ctx.tick()
        ctx.set(dut.results.valid, 0)
        assert not ctx.get(dut.words.valid) and ctx.get(dut.level) == 0 and not ctx.get(dut.ofmap.valid)

    simulate(dut, testbench)


class Watch:
    """Says for every cycle what the buffer must show: a beat `latency` cycles after its result, in order, and if the suite
    seals, 1 cycle after its packet's release at the earliest."""

    def __init__(self, dut: OfmapBuffer, seals: bool):
        self.dut, self.seals = dut, seals
        self.forget()

    def forget(self) -> None:
        self.now = self.released = self.left = 0
        self.inside: list[tuple[int, tuple]] = []  # cycle and beat
        self.most, self.gone = 0, False

    async def run(self, ctx) -> None:
        dut = self.dut
        came = (dut.results.valid & dut.to_stream, dut.results.payload, dut.last_layer, dut.release)
        async for *_, stored, result, last_layer, release, valid, ready, beat, level, delivering in ctx.tick().sample(
            *came, dut.ofmap.valid, dut.ofmap.ready, dut.ofmap.payload, dut.level, dut.delivering
        ):
            may_leave = (self.released > self.left and not self.gone) or not self.seals
            assert level == len(self.inside) and delivering == (may_leave and level > 0)
            assert valid == (may_leave and level > 0 and self.inside[0][0] <= self.now - dut.latency)
            if valid:
                assert (beat.data, beat.keep, beat.last) == self.inside[0][1]
            self.gone = bool(valid and ready and beat.last)  # the next packet waits for a cycle
            if valid and ready:
                self.inside.pop(0)
                self.left += beat.last
            self.released += release
            if stored:
                data = int.from_bytes(bytes(value & 0xFF for value in result.data), "little")
                self.inside.append((self.now, (data, result.keep, result.last & last_layer)))
            self.most = max(self.most, level)
            self.now += 1


async def write(ctx, dut: OfmapBuffer, results: list[dict], last_layer: int, pauses: float, dice: Random) -> None:
    """There is room, as the issue stage ensures."""
    ctx.set(dut.to_stream, 1)
    ctx.set(dut.last_layer, last_layer)
    ctx.set(dut.classes, (1 << CLASSES) - 1)
    for result in results:
        while ctx.get(dut.level) == DEPTH or dice.random() < pauses:
            await ctx.tick()
        await offer(ctx, dut, result)
        assert not ctx.get(dut.words.valid)
        await ctx.tick()
        ctx.set(dut.results.valid, 0)


def test_the_depth_is_the_configurations():
    assert buffer_beats(CONFIG) == buffer_beats(SEALED) == DEPTH
    assert buffer_beats(CONFIG.with_suite("ascon")) == 256


@pytest.mark.parametrize("pauses", [0.0, 0.6])
@pytest.mark.parametrize("last_layer", [0, 1])
def test_results_of_an_ofmap_leave_in_order_and_the_last_layers_last_ends_the_packet(last_layer, pauses, dice):
    """2 cycles later. No release is needed; it does nothing."""
    dut = OfmapBuffer(CONFIG)
    watch = Watch(dut, seals=False)
    results = [random_result(dice) for _ in range(3 * DEPTH)]

    async def read(ctx):
        await ctx.tick().repeat(2 * DEPTH)
        await receive(ctx, dut.ofmap, len(results), pauses, dice)
        assert ctx.get(dut.level) == 0 and watch.most == DEPTH

    async def release(ctx):
        for _ in range(DEPTH):
            ctx.set(dut.release, dice.randrange(2))
            await ctx.tick()
        ctx.set(dut.release, 0)

    simulate(
        dut,
        partial(write, dut=dut, results=results, last_layer=last_layer, pauses=0.0, dice=dice),
        read,
        release,
        background=[watch.run, partial(check_stable, stream=dut.ofmap)],
    )


def packets_of(dice: Random, lengths: list[int]) -> list[dict]:
    return [{**random_result(dice), "last": int(at == length - 1)} for length in lengths for at in range(length)]


@every_sealed
@pytest.mark.parametrize("pauses", [0.0, 0.6])
def test_a_sealed_packet_leaves_when_it_is_released(pauses, config, dice):
    """Released before it comes, while it comes, or after, in the cycle in which the one before leaves too; several may wait. As
    long as it takes, what follows is stored."""
    dut = OfmapBuffer(config)
    watch = Watch(dut, seals=True)
    lengths = [dice.choice((1, 1, 2, dice.randint(3, DEPTH // 2))) for _ in range(40)]
    results = packets_of(dice, lengths)

    async def release(ctx):
        for length in lengths:
            # so that the buffer cannot fill with packets that are not released, the issue stage must wait for them
            for _ in range(dice.choice((0, 0, 1, 2, length, 3 * length))):
                await ctx.tick()
            ctx.set(dut.release, 1)
            await ctx.tick()
            ctx.set(dut.release, 0)

    async def read(ctx):
        await receive(ctx, dut.ofmap, len(results), pauses, Random(dice.random()))
        assert ctx.get(dut.level) == 0 and watch.left == len(lengths)

    simulate(
        dut,
        partial(write, dut=dut, results=results, last_layer=1, pauses=pauses / 2, dice=Random(dice.random())),
        release,
        read,
        background=[watch.run, partial(check_stable, stream=dut.ofmap)],
    )


@every_sealed
def test_nothing_sealed_leaves_without_a_release_and_a_reset_leaves_nothing(config, dice):
    """Neither beats nor releases."""
    dut = OfmapBuffer(config)
    assert dut.latency == 2 + config.permissions
    watch = Watch(dut, seals=True)
    reset = Signal()

    async def testbench(ctx):
        ctx.set(dut.ofmap.ready, 1)
        for releases in (0, 1, 2, 5, 0):
            await write(ctx, dut, packets_of(dice, [3, DEPTH // 2, DEPTH // 2 - 3]), 1, 0.0, dice)
            assert ctx.get(dut.level) == DEPTH and not ctx.get(dut.ofmap.valid)
            for _ in range(releases):
                ctx.set(dut.release, 1)
                await ctx.tick()
                ctx.set(dut.release, 0)
            await ctx.tick().repeat(dice.randint(1, DEPTH))
            ctx.set(dut.to_stream, 0)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            watch.forget()

    simulate(ResetInserter(reset)(dut), testbench, background=[watch.run])


def permitting(lanes: int, activation_words: int) -> Config:
    rows = max(lanes, 4)
    return Config(
        rows=rows, cols=16, bytes_per_beat=8, lanes=lanes, dense=lanes > 1, activation_words=activation_words,
        suite="ascon", licences=True, permissions=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    "config",
    [permitting(*each) for each in ((1, 16), (2, 64), (4, 1024), (8, 64), (16, 16))],
    ids=lambda c: f"{c.lanes}",
)
def test_outputs_that_the_licence_does_not_show_read_minus_128(config, dice):
    """By their place: near 63 and 64, from where on all share a bit, and at the end of the memory, behind which comes place 0.
    What goes to the activation memory stays as it is."""
    dut = OfmapBuffer(config)
    end, lanes = config.activation_words * config.rows, config.lanes
    step = lanes if config.dense else 1

    def any_address() -> int:
        corner = dice.choice((0, CLASSES - lanes, CLASSES - 1, CLASSES, end - lanes, end - 1, dice.randrange(end)))
        return (corner + dice.choice((0, 0, -1, 1, -step, step))) % end

    async def testbench(ctx):
        ctx.set(dut.ofmap.ready, 1)
        ctx.set(dut.last_layer, 1)
        for mask in (0, (1 << CLASSES) - 1, 1 << CLASSES - 1, 1, *(dice.getrandbits(CLASSES) for _ in range(6))):
            terms = Terms(
                bytes_per_beat=8, suite=4, device_low=0, device_high=0, model_low=0, model_high=0, least_version=0,
                classes_low=mask & 0xFFFF_FFFF, classes_high=mask >> 32,
            )  # fmt: skip
            ctx.set(dut.classes, mask)
            for _ in range(12):
                values = np.array([dice.randrange(-128, 128) for _ in range(lanes)], np.int8)
                address = any_address()
                result = {"data": values.tolist(), "address": address, "keep": dice.randrange(1, 1 << lanes), "last": 1}
                await offer(ctx, dut, result)
                ctx.set(dut.to_stream, 0)
                assert list(ctx.get(dut.words.payload).data) == [value & 0xFF for value in values.tolist()]
                ctx.set(dut.to_stream, 1)
                ctx.set(dut.release, 1)
                await ctx.tick()
                ctx.set(dut.release, 0)
                ctx.set(dut.results.valid, 0)
                (beat,) = await receive(ctx, dut.ofmap, 1)
                shown = terms.shown(values, (address + np.arange(lanes)) % end)
                assert (beat.data, beat.keep) == (int.from_bytes(shown.tobytes(), "little"), result["keep"])

    simulate(dut, testbench)
