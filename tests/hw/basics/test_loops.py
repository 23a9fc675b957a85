import pytest
from amaranth.hdl import Cat, Module, ResetInserter, Signal
from amaranth.sim import Simulator

from deeplock.hw.basics.loops import NestedLoops, counted
from tests.hw.stream_tools import simulate

NAMES = ("inner", "middle", "outer")
BITS = dict.fromkeys(NAMES, 3)


def flags_of(rounds: tuple, number: int) -> tuple[list, list, list, list]:
    """last, ends, goes and stays by loop, in the innermost loop's round `number` of all."""
    at = number % rounds[0], number // rounds[0] % rounds[1], number // (rounds[0] * rounds[1])
    last = [int(round + 1 == count) for round, count in zip(at, rounds, strict=True)]
    ends = [int(all(last[: loop + 1])) for loop in range(3)]
    goes = [int(all(last[:loop]) and not last[loop]) for loop in range(3)]
    stays = [int(not end) for end in ends]
    return last, ends, goes, stays


async def begin(ctx, dut: NestedLoops, rounds: tuple) -> None:
    ctx.set(dut.rounds, dict(zip(NAMES, rounds, strict=True)))
    await ctx.tick()
    ctx.set(dut.begin, 1)
    assert not ctx.get(dut.active) and not ctx.get(Cat(dut.goes.as_value(), dut.stays.as_value()))
    await ctx.tick()
    ctx.set(dut.begin, 0)


async def check(ctx, dut: NestedLoops, rounds: tuple, pauses: float, dice, count: int | None = None) -> None:
    """The first `count` rounds of the innermost loop, or all of them."""
    total = rounds[0] * rounds[1] * rounds[2]
    for number in range(total if count is None else count):
        expected = flags_of(rounds, number)
        advance = False
        while not advance:
            advance = dice.random() >= pauses
            ctx.set(dut.advance, advance)
            assert ctx.get(dut.active)
            for flag, values in zip((dut.last, dut.ends, dut.goes, dut.stays), expected, strict=True):
                assert [ctx.get(flag[name]) for name in NAMES] == values, number
            await ctx.tick()
    ctx.set(dut.advance, 0)


ROUNDS = [(1, 1, 1), (3, 2, 4), (1, 7, 1), (2, 1, 8), (8, 8, 2), (5, 8, 1), (1, 1, 2), (2, 1, 1)]


@pytest.mark.parametrize("pauses", [0.0, 0.4])
def test_every_round_of_every_loop_comes_once_in_order(pauses, dice):
    """The first one in the cycle after `begin`, then one a cycle; 8 rounds are as many as 3 bits count."""
    dut = NestedLoops(**BITS)

    async def testbench(ctx):
        for rounds in ROUNDS:
            await begin(ctx, dut, rounds)
            await check(ctx, dut, rounds, pauses, dice)
            for _ in range(dice.randrange(3)):
                assert not ctx.get(dut.active) and not ctx.get(Cat(dut.goes.as_value(), dut.stays.as_value()))
                await ctx.tick()

    simulate(dut, testbench)


@pytest.mark.parametrize("loop", range(3))
def test_0_rounds_are_as_many_as_the_bits_can_count(loop, dice):
    """So that what a descriptor or header that is wrong asks for ends too."""
    dut = NestedLoops(**BITS)
    asked, counted = [2, 2, 2], [2, 2, 2]
    asked[loop], counted[loop] = 0, 8

    async def testbench(ctx):
        await begin(ctx, dut, tuple(asked))
        await check(ctx, dut, tuple(counted), 0.0, dice)
        assert not ctx.get(dut.active)

    simulate(dut, testbench)


def test_reset_in_the_middle(dice):
    dut = NestedLoops(**BITS)
    reset = Signal()

    async def testbench(ctx):
        for count in range(12):
            await begin(ctx, dut, (2, 3, 2))
            await check(ctx, dut, (2, 3, 2), 0.2, dice, count)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            await begin(ctx, dut, (3, 1, 2))
            await check(ctx, dut, (3, 1, 2), 0.2, dice)

    simulate(ResetInserter(reset)(dut), testbench)


def test_a_loaded_counter_adds_its_step_or_takes_its_value():
    m = Module()
    number, load, value, step, result, by_one = (Signal(bits) for bits in (5, 1, 5, 2, 5, 5))
    m.d.comb += [result.eq(counted(number, load, value, step)), by_one.eq(counted(number, load, value))]

    async def testbench(ctx):
        for at in range(32):
            ctx.set(number, at)
            ctx.set(value, at ^ 21)
            for width in range(4):
                ctx.set(step, width)
                ctx.set(load, 0)
                assert (ctx.get(result), ctx.get(by_one)) == ((at + width) % 32, (at + 1) % 32)
                ctx.set(load, 1)
                assert (ctx.get(result), ctx.get(by_one)) == (at ^ 21, at ^ 21)

    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()
