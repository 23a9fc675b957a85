import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from hw.pe import ProcessingElement
from tests.hw.stream_tools import simulate

INPUTS = ("activation", "load", "weight_in", "swap", "sum_in")


def random_inputs(rng, count: int) -> list[tuple[int, ...]]:
    """Half of the bytes are the extremes of int8."""
    bytes_ = [
        np.where(rng.random(count) < 0.5, rng.choice([-128, 127], count), rng.integers(-128, 128, count)) for _ in "ab"
    ]
    flags = [rng.integers(0, 2, count) for _ in "ab"]
    sums = rng.integers(-(1 << 17), 1 << 17, count)
    columns = (bytes_[0], flags[0], bytes_[1], flags[1], sums)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def wrapped(value: int, width: int) -> int:
    return (value + (1 << width - 1)) % (1 << width) - (1 << width - 1)


@pytest.mark.parametrize("width", [18, 20])
def test_products_with_the_weight_before_the_swap_one_cycle_later(width, rng):
    """load and swap in every order and in the same cycle: then the old shadow becomes the weight."""
    dut = ProcessingElement(width)
    reset = Signal()

    async def testbench(ctx):
        shadow = weight = 0
        for number, inputs in enumerate(random_inputs(rng, 600)):
            for name, value in zip(INPUTS, inputs, strict=True):
                ctx.set(getattr(dut, name), value)
            ctx.set(reset, number == 300)
            await ctx.tick()
            activation, load, weight_in, swap, sum_in = inputs
            if number == 300:
                assert ctx.get(dut.sum_out) == 0
                shadow = weight = 0
                continue
            assert ctx.get(dut.sum_out) == wrapped(sum_in + activation * weight, width)
            weight = shadow if swap else weight
            shadow = weight_in if load else shadow

    simulate(ResetInserter(reset)(dut), testbench)


def test_the_weight_stays_while_the_next_one_waits():
    dut = ProcessingElement(20)

    async def testbench(ctx):
        ctx.set(dut.activation, 3)
        steps = [(7, 1, 0, 0), (-5, 0, 1, 0), (-5, 1, 0, 21), (9, 0, 0, 21), (9, 0, 1, 21), (9, 0, 0, -15)]
        for weight_in, load, swap, product in steps:
            ctx.set(dut.weight_in, weight_in)
            ctx.set(dut.load, load)
            ctx.set(dut.swap, swap)
            await ctx.tick()
            assert ctx.get(dut.sum_out) == product

    simulate(dut, testbench)
