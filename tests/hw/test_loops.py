import pytest
from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.loops import chosen, nest
from tests.hw.stream_tools import simulate

NAMES = ("inner", "middle", "outer")


class Loops(wiring.Component):
    """Three loops, of which the middle one counts from 0."""

    def __init__(self):
        super().__init__(
            {"advance": In(1), "begin": In(1)}
            | {f"{name}_rounds": In(8) for name in NAMES}
            | {flag: Out(len(NAMES)) for flag in ("last", "ends", "goes")}
            | {f"{name}_round": Out(3) for name in NAMES}
            | {"first": Out(8)}
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        counters = {name: Signal(3, init=name != "middle", name=name) for name in NAMES}
        loops = {name: (counters[name], getattr(self, f"{name}_rounds")) for name in NAMES}
        flags = nest(m, self.advance, self.begin, **loops)
        for flag, values in zip(("last", "ends", "goes"), flags, strict=True):
            for bit, name in enumerate(NAMES):
                m.d.comb += getattr(self, flag)[bit].eq(values[name])
        m.d.comb += [getattr(self, f"{name}_round").eq(counters[name] - counters[name].init) for name in NAMES]
        m.d.comb += self.first.eq(chosen(*((flags[2][name], 1 + bit) for bit, name in enumerate(NAMES))))
        return m


def of(flags: int) -> list[int]:
    return [flags >> bit & 1 for bit in range(len(NAMES))]


@pytest.mark.parametrize("rounds", [(1, 1, 1), (3, 2, 4), (1, 7, 1), (2, 1, 8), (8, 8, 2), (5, 8, 1)], ids=str)
def test_every_round_of_every_loop_comes_once_in_order(rounds, dice):
    """Twice, with pauses; 8 rounds are as many as 3 bits count."""
    dut = Loops()

    async def testbench(ctx):
        for name, count in zip(NAMES, rounds, strict=True):
            ctx.set(getattr(dut, f"{name}_rounds"), count)
        for number in range(2 * rounds[0] * rounds[1] * rounds[2]):
            at = (
                number % rounds[0],
                number // rounds[0] % rounds[1],
                number // (rounds[0] * rounds[1]) % rounds[2],
            )
            last = [int(round + 1 == count) for round, count in zip(at, rounds, strict=True)]
            ends = [int(all(last[: loop + 1])) for loop in range(3)]
            goes = [int(all(last[:loop]) and not last[loop]) for loop in range(3)]
            advance = False
            while not advance:
                advance = dice.random() < 0.7
                ctx.set(dut.advance, advance)
                assert tuple(ctx.get(getattr(dut, f"{name}_round")) for name in NAMES) == at
                assert [of(ctx.get(flag)) for flag in (dut.last, dut.ends, dut.goes)] == [last, ends, goes]
                assert ctx.get(dut.first) == (goes.index(1) + 1 if any(goes) else 0)
                await ctx.tick()

    simulate(dut, testbench)


def test_nothing_goes_on_at_the_beginning():
    dut = Loops()

    async def testbench(ctx):
        ctx.set(dut.begin, 1)
        for rounds in (1, 2):
            for name in NAMES:
                ctx.set(getattr(dut, f"{name}_rounds"), rounds)
            assert ctx.get(dut.goes) == 0

    simulate(dut, testbench)


def test_rounds_count_modulo_the_counter(dice):
    """What a descriptor or header that is wrong asks for ends too: 9 rounds are 1 of a 3-bit counter, 16 are 8."""
    dut = Loops()

    async def testbench(ctx):
        ctx.set(dut.advance, 1)
        for asked, counted in ((9, 1), (16, 8), (250, 2), (0, 8)):
            for name in NAMES:
                ctx.set(getattr(dut, f"{name}_rounds"), asked if name == "inner" else 1)
            for number in range(counted):
                assert of(ctx.get(dut.ends))[2] == (number == counted - 1)
                await ctx.tick()

    simulate(dut, testbench)
