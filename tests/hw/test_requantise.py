import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from hw.requantise import Requantiser
from pymodel.golden import requantise
from tests.hw.stream_tools import simulate

LIMITS = [
    (-128, -128, 127),
    (127, -128, 127),
    (0, 0, 127),
    (-128, -128, -128),
    (127, 127, 127),
    (-5, -20, 30),
    (0, -128, 127),
]
EDGES = [-(1 << 31), -(1 << 31) + 1, -(1 << 23) - 1, -(1 << 23), -1, 0, 1, (1 << 23) - 1, 1 << 23, (1 << 31) - 1]


def random_cases(rng, count: int) -> np.ndarray:
    """int64 [count, 4] of accumulator, bias, multiplier, shift; many results are near int8, with ties."""
    accumulator = rng.integers(-(1 << 31), 1 << 31, count) >> rng.integers(0, 32, count)
    bias = rng.integers(-(1 << 31), 1 << 31, count) >> rng.integers(0, 32, count)
    multiplier = rng.choice([1 << 15, (1 << 16) - 1, 3 << 14, *rng.integers(1 << 15, 1 << 16, 3)], count)
    shift = rng.integers(1, 65, count)
    near = rng.random(count) < 0.4
    shift[near] = rng.integers(1, 40, near.sum())
    target = 2 * rng.integers(-150, 150, near.sum()) + 1  # halves: (2 n + 1) / 2
    accumulator[near] = np.clip((target << shift[near] - 1) // multiplier[near], -(1 << 30), 1 << 30)
    bias[near] = rng.integers(-1, 2, near.sum())
    return np.stack([accumulator, bias, multiplier, shift], axis=1)


async def play(
    ctx, dut: Requantiser, cases: np.ndarray, zero_point: int, lo: int, hi: int, bits: int, pauses=0.0, rng=None
):
    """One case a cycle; each result exactly LATENCY cycles later."""
    expected = requantise(*cases.T, zero_point, lo, hi, bits).tolist()
    ctx.set(dut.narrow, bits == 24)
    ctx.set(dut.zero_point, zero_point)
    ctx.set(dut.lo, lo)
    ctx.set(dut.hi, hi)
    waiting, due = cases.tolist(), {}
    results, cycle = iter(expected), 0
    while waiting or max(due) >= cycle:
        if cycle in due:
            assert ctx.get(dut.out) == due[cycle][0], due[cycle]
        if waiting and not (pauses and rng.random() < pauses):
            accumulator, bias, multiplier, shift = case = waiting.pop(0)
            due[cycle + 5] = (next(results), case, zero_point, lo, hi, bits)
        else:
            accumulator, bias, multiplier, shift = 77, 7, 1 << 15, 3
        ctx.set(dut.accumulator, accumulator)
        ctx.set(dut.entry, {"bias": bias, "multiplier": multiplier - (1 << 15), "shift_1": shift - 1})
        await ctx.tick()
        cycle += 1
    assert next(results, None) is None


def test_latency_is_what_others_build_on():
    assert Requantiser.LATENCY == 5


@pytest.mark.parametrize("bits", [24, 32])
@pytest.mark.parametrize(("zero_point", "lo", "hi"), LIMITS)
def test_random_values_equal_the_golden_model(zero_point, lo, hi, bits, rng):
    dut = Requantiser()

    async def testbench(ctx):
        await play(ctx, dut, random_cases(rng, 1000), zero_point, lo, hi, bits, 0.1, rng)

    simulate(dut, testbench)


@pytest.mark.parametrize("bits", [24, 32])
def test_every_shift_with_extreme_accumulators_biases_and_multipliers(bits):
    """The bias wraps the sum in both widths; shifts up to 64 leave only the rounded sign."""
    dut = Requantiser()
    grid = np.array(
        [
            (accumulator, bias, multiplier, shift)
            for shift in range(1, 65)
            for accumulator in EDGES
            for bias in (-(1 << 31), -1, 0, (1 << 31) - 1)
            for multiplier in (1 << 15, (1 << 16) - 1)
        ]
    )

    async def testbench(ctx):
        await play(ctx, dut, grid, 3, -128, 127, bits)

    simulate(dut, testbench)


def test_ties_round_up_by_hand():
    """m = 2**15, shift 16: half of the accumulator, rounded to the nearest, ties towards plus infinity."""
    dut = Requantiser()
    cases = {
        -5: -2,
        -4: -2,
        -3: -1,
        -1: 0,
        0: 0,
        1: 1,
        2: 1,
        3: 2,
        253: 127,
        254: 127,
        255: 127,
        -255: -127,
        -257: -128,
    }

    async def testbench(ctx):
        ctx.set(dut.lo, -128)
        ctx.set(dut.hi, 127)
        ctx.set(dut.entry, {"multiplier": 0, "shift_1": 15})
        for accumulator, result in cases.items():
            ctx.set(dut.accumulator, accumulator)
            await ctx.tick().repeat(5)
            assert ctx.get(dut.out) == result

    simulate(dut, testbench)


def test_reset_between_values_does_not_disturb_the_next_ones(rng):
    dut = Requantiser()
    reset = Signal()

    async def testbench(ctx):
        ctx.set(dut.accumulator, 1 << 30)
        await ctx.tick().repeat(3)
        ctx.set(reset, 1)
        await ctx.tick()
        assert ctx.get(dut.out) == 0
        ctx.set(reset, 0)
        await play(ctx, dut, random_cases(rng, 100), -9, -128, 127, 32)

    simulate(ResetInserter(reset)(dut), testbench)
