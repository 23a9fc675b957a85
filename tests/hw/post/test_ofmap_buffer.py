from random import Random

import pytest

from deeplock.hw.post.ofmap_buffer import OFMAP_BEATS, OfmapBuffer
from deeplock.pymodel.spec.config import Config
from tests.hw.stream_tools import receive, simulate

CONFIG = Config(rows=8, cols=8, bytes_per_beat=8, lanes=2)


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


@pytest.mark.parametrize("pauses", [0.0, 0.6])
@pytest.mark.parametrize("last_layer", [0, 1])
def test_results_of_an_ofmap_leave_in_order_and_the_last_layers_last_ends_the_packet(last_layer, pauses, dice):
    dut = OfmapBuffer(CONFIG)
    results = [random_result(dice) for _ in range(3 * OFMAP_BEATS)]

    async def write(ctx):
        ctx.set(dut.to_stream, 1)
        ctx.set(dut.last_layer, last_layer)
        for result in results:
            while ctx.get(dut.level) == OFMAP_BEATS:
                await ctx.tick()
            await offer(ctx, dut, result)
            assert not ctx.get(dut.words.valid)
            await ctx.tick()
            ctx.set(dut.results.valid, 0)

    async def read(ctx):
        for result in results:
            (beat,) = await receive(ctx, dut.ofmap, 1, pauses, dice)
            data = bytes(value & 0xFF for value in result["data"])
            assert beat.data.to_bytes(CONFIG.lanes, "little") == data
            assert (beat.keep, beat.last) == (result["keep"], result["last"] & last_layer)
        assert ctx.get(dut.level) == 0

    simulate(dut, write, read)
