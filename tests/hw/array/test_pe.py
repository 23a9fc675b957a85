import numpy as np
import pytest

from deeplock.hw.array.pe import ProcessingPair
from tests.hw.stream_tools import simulate


def random_bytes(rng, shape: tuple[int, ...]) -> np.ndarray:
    """Half of them are the extremes of int8."""
    return np.where(rng.random(shape) < 0.5, rng.choice([-128, 127], shape), rng.integers(-128, 128, shape))


def wrapped(value: int, width: int) -> int:
    return (value + (1 << width - 1)) % (1 << width) - (1 << width - 1)


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("width", [18, 20])
def test_sums_follow_their_activation_by_three_cycles_and_their_sum_by_one(width, first, rng):
    """load and swap in every order and in the same cycle: then the old shadow becomes the weight. The first of a column have
    no sums to wait for."""
    dut = ProcessingPair(width, first)
    count = 600
    activations, weights = random_bytes(rng, (count,)).tolist(), random_bytes(rng, (count, 2)).tolist()
    loads, swaps = rng.integers(0, 2, (2, count)).tolist()
    sums = rng.integers(-(1 << width - 1), 1 << width - 1, (count, 2)).tolist()

    async def testbench(ctx):
        shadow, weight, activation, product = [0, 0], [0, 0], 0, [0, 0]
        for number in range(count):
            ctx.set(dut.activation, activations[number])
            ctx.set(dut.load, loads[number])
            ctx.set(dut.swap, swaps[number])
            for i in range(2):
                ctx.set(dut.weights_in[i], weights[number][i])
                ctx.set(dut.sums_in[i], sums[number][i])
            await ctx.tick()
            found = [ctx.get(dut.sums_out[i]) for i in range(2)]
            expected = [wrapped(sums[number][i] + product[i], width) for i in range(2)]
            product = [activation * weight[i] for i in range(2)]
            assert found == (product if first else expected)
            activation = activations[number]
            weight = shadow if swaps[number] else weight
            shadow = weights[number] if loads[number] else shadow

    simulate(dut, testbench)


def test_the_weights_stay_while_the_next_ones_wait():
    dut = ProcessingPair(20)

    async def testbench(ctx):
        ctx.set(dut.activation, 3)
        steps = [
            ((7, -1), 1, 0, None),
            ((-5, 2), 0, 1, (0, 0)),
            ((-5, 2), 1, 0, (0, 0)),
            ((9, 9), 0, 0, (21, -3)),
            ((9, 9), 0, 1, (21, -3)),
            ((9, 9), 0, 0, (21, -3)),
            ((9, 9), 0, 0, (-15, 6)),
        ]
        for weights, load, swap, products in steps:
            for i in range(2):
                ctx.set(dut.weights_in[i], weights[i])
            ctx.set(dut.load, load)
            ctx.set(dut.swap, swap)
            await ctx.tick()
            if products:
                assert tuple(ctx.get(dut.sums_out[i]) for i in range(2)) == products

    simulate(dut, testbench)
