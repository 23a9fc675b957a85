import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from deeplock.hw.post.requantise import Requantiser
from deeplock.pymodel.network.golden import requantise
from tests.hw.stream_tools import simulate

CYCLES = [1, 2, 4, 8, 16]
WIDTHS = [(24, 24), (32, 24), (32, 32)]
"""Of accumulators and biases, and of their sum."""
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
    """int64 [count, 4] of accumulator, bias, multiplier, shift; many results are near int8, with ties.

    Accumulators and biases of 32 bits: of 24 bits the component sees the low ones, and the sum is the same modulo 2**24.
    """
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


def edge_cases() -> np.ndarray:
    """Every shift with extreme accumulators, biases and multipliers, and where a result is one bit too large, or just not."""
    cases = [
        (accumulator, bias, multiplier, shift)
        for shift in range(1, 65)
        for accumulator in EDGES
        for bias in (-(1 << 31), -1, 0, (1 << 31) - 1)
        for multiplier in (1 << 15, (1 << 16) - 1)
    ]
    for shift in range(16, 47):
        power = 1 << (shift - 16)  # times 2**15 it gives a half
        for halves in (-514, -513, -512, -511, -257, -256, 255, 256, 510, 511, 512, 513):
            cases += [(halves * power + off, 0, 1 << 15, shift) for off in (-1, 0) if abs(halves * power) < 1 << 31]
    return np.array(cases)


async def play(
    ctx,
    dut: Requantiser,
    cases: np.ndarray,
    zero_point: int,
    lo: int,
    hi: int,
    bits: int,
    cycles: int,
    pauses=0.0,
    rng=None,
    expected: np.ndarray | None = None,
):
    """One case a step; each result exactly `steps` steps later, through all of that step."""
    expected = requantise(*cases.T, zero_point, lo, hi, bits) if expected is None else expected
    ctx.set(dut.narrow, bits == 24)
    ctx.set(dut.zero_point, zero_point)
    ctx.set(dut.lo, lo)
    ctx.set(dut.hi, hi)
    waiting, due, step = list(zip(cases.tolist(), expected.tolist(), strict=True)), {}, 0
    while waiting or due:
        case, result = due.pop(step, (None, None))
        for cycle in range(cycles):
            last = cycle == cycles - 1
            if last and waiting and not (pauses and rng.random() < pauses):
                due[step + dut.steps] = waiting.pop(0)
                accumulator, bias, multiplier, shift = due[step + dut.steps][0]
            else:
                accumulator, bias, multiplier, shift = 77, 7, (1 << 15) + 0x5555, 3
            ctx.set(dut.advance, last)
            ctx.set(dut.accumulator, accumulator)
            ctx.set(dut.entry, {"bias": bias, "multiplier": multiplier - (1 << 15), "shift_1": shift - 1})
            if case:
                assert ctx.get(dut.out) == result, (case, zero_point, lo, hi, bits)
            await ctx.tick()
        step += 1


@pytest.mark.parametrize("products", [False, True], ids=["sums", "products"])
@pytest.mark.parametrize(("cycles", "steps"), [(1, 7), (2, 3), (4, 3), (8, 3), (16, 3)])
def test_latency_is_what_others_build_on(cycles, steps, products, rng):
    dut = Requantiser(cycles, products=products)
    assert dut.steps == steps + 2 * products

    async def testbench(ctx):
        await play(ctx, dut, random_cases(rng, 20), 0, -128, 127, 32, cycles)

    simulate(dut, testbench)


@pytest.mark.parametrize("cycles", CYCLES)
@pytest.mark.parametrize(("sum_bits", "bits"), WIDTHS)
@pytest.mark.parametrize(("zero_point", "lo", "hi"), LIMITS)
def test_random_values_equal_the_golden_model(zero_point, lo, hi, sum_bits, bits, cycles, rng):
    """With steps in between that bring something else."""
    dut = Requantiser(cycles, sum_bits)

    async def testbench(ctx):
        await play(ctx, dut, random_cases(rng, 1200 // (1 + cycles)), zero_point, lo, hi, bits, cycles, 0.1, rng)

    simulate(dut, testbench)


@pytest.mark.parametrize("cycles", CYCLES)
@pytest.mark.parametrize(("sum_bits", "bits"), WIDTHS)
@pytest.mark.parametrize("zeros", [(0, 0), (-128, 127), (127, 127), (-128, -128), (-37, 90)], ids=str)
def test_sums_of_two_bytes_become_products(zeros, sum_bits, bits, cycles, rng):
    """Extreme factors and random ones; bits above the two bytes have no effect. In a layer that is no product, sums as ever."""
    dut = Requantiser(cycles, sum_bits, products=True)
    edges = [-128, -127, -1, 0, 1, 126, 127]
    pairs = np.array([(a, b) for a in edges for b in edges] + rng.integers(-128, 128, (600 // cycles, 2)).tolist())
    above, bias = rng.integers(-(1 << 15), 1 << 15, len(pairs)) << 16, rng.integers(-(1 << 20), 1 << 20, len(pairs))
    sums = (127 - pairs[:, 0]) + 256 * (127 - pairs[:, 1]) + above - bias
    multiplier, shift = rng.integers(1 << 15, 1 << 16, len(pairs)), rng.integers(16, 26, len(pairs))
    cases = np.stack([sums, bias, multiplier, shift], axis=1)
    products = (pairs - zeros).prod(axis=1)

    async def testbench(ctx):
        for lane, zero in enumerate(zeros):
            ctx.set(dut.zeros[lane], zero)
        for multiplies in (1, 0):
            ctx.set(dut.multiplies, multiplies)
            expected = requantise(products, 0, multiplier, shift, 5, -128, 127) if multiplies else None
            await play(ctx, dut, cases, 5, -128, 127, bits, cycles, 0.1, rng, expected)

    simulate(dut, testbench)


@pytest.mark.parametrize("cycles", CYCLES)
@pytest.mark.parametrize(("sum_bits", "bits"), WIDTHS)
def test_every_shift_with_extreme_accumulators_biases_and_multipliers(sum_bits, bits, cycles, rng):
    """The bias wraps the sum in both widths; shifts up to 64 leave only the rounded sign. One value a step."""
    dut = Requantiser(cycles, sum_bits)
    cases = edge_cases()
    cases = cases if cycles == 1 else rng.permutation(cases)[: 12_000 // cycles]

    async def testbench(ctx):
        await play(ctx, dut, cases, 3, -128, 127, bits, cycles)

    simulate(dut, testbench)


@pytest.mark.parametrize("cycles", CYCLES)
@pytest.mark.parametrize("sum_bits", [24, 32])
def test_ties_round_up_by_hand(sum_bits, cycles):
    """m = 2**15, shift 16: half of the accumulator, rounded to the nearest, ties towards plus infinity."""
    dut = Requantiser(cycles, sum_bits)
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
            for cycle in range((dut.steps + 1) * cycles):
                ctx.set(dut.advance, cycle % cycles == cycles - 1)
                await ctx.tick()
            assert ctx.get(dut.out) == result

    simulate(dut, testbench)


@pytest.mark.parametrize("cycles", CYCLES)
def test_reset_between_values_does_not_disturb_the_next_ones(cycles, rng):
    """Reset in any cycle of a step; steps begin with the cycle after it."""
    dut = Requantiser(cycles)
    reset = Signal()

    async def testbench(ctx):
        for number in range(3 * cycles, 4 * cycles):
            ctx.set(dut.accumulator, 1 << 30)
            for cycle in range(number):
                ctx.set(dut.advance, cycle % cycles == cycles - 1)
                await ctx.tick()
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            await play(ctx, dut, random_cases(rng, 20), -9, -128, 127, 32, cycles)

    simulate(ResetInserter(reset)(dut), testbench)
