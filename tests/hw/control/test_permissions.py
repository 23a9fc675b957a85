"""What a licence allows, against pymodel.spec.licence.Terms."""

from random import Random

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from deeplock.hw.control.permissions import Permissions
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.header import Header
from deeplock.pymodel.spec.licence import Terms
from deeplock.pymodel.spec.registers import Error
from tests.hw.layer_tools import to_word
from tests.hw.loadable_tools import header_of
from tests.hw.stream_tools import send, simulate

WORD = (1 << 32) - 1
EDGES = (0, 1, WORD >> 1, 1 << 31, WORD - 1, WORD)
every_beat = pytest.mark.parametrize("beat", [4, 8, 16])


def config_of(beat: int = 8) -> Config:
    return Config(rows=4, cols=16, bytes_per_beat=beat, suite="ascon", licences=True, permissions=True)


def any_word(dice: Random) -> int:
    return dice.choice((*EDGES, dice.getrandbits(32)))


def terms_of(config: Config, dice: Random, **fields: int) -> Terms:
    names = ("device_low", "device_high", "model_low", "model_high", "least_version", "most_version")
    words = {name: any_word(dice) for name in (*names, "inferences", "classes_low", "classes_high")}
    return Terms(bytes_per_beat=config.bytes_per_beat, suite=4, **words | fields)


def beats_of(config: Config, terms: Terms) -> list[dict[str, int]]:
    rows = np.frombuffer(terms.pack(), np.uint8).reshape(-1, config.bytes_per_beat)
    return [{"data": to_word(row), "last": int(number == len(rows) - 1)} for number, row in enumerate(rows)]


def set_header(ctx, dut: Permissions, header: Header) -> None:
    for name in Header.layout.fields:
        ctx.set(dut.header[name], getattr(header, name))


async def pulse(ctx, signal: Signal) -> None:
    ctx.set(signal, 1)
    await ctx.tick()
    ctx.set(signal, 0)


def near(dice: Random, word: int) -> int:
    """It, one more or less, or any other."""
    return min(max(word + dice.choice((-1, 0, 0, 1)), 0), WORD) if dice.random() < 0.8 else any_word(dice)


@pytest.mark.parametrize("pauses", [0.0, 0.5])
@every_beat
def test_terms_refuse_what_the_model_refuses_a_cycle_later(beat, pauses, dice):
    """A beat of terms a cycle, with another licence behind it, or after pauses; then any header."""
    config = config_of(beat)
    dut = Permissions(config)
    seen = set()

    async def testbench(ctx):
        for _ in range(40):
            terms = terms_of(config, dice)
            await send(ctx, dut.terms, beats_of(config, terms), pauses, dice)
            assert ctx.get(dut.classes) == terms.classes
            for _ in range(6):
                model = [terms.model_low, terms.model_high]
                if dice.random() < 0.3:
                    half = dice.randrange(2)
                    model[half] ^= 1 << dice.randrange(32)
                version = near(dice, dice.choice((terms.least_version, terms.most_version)))
                header = header_of(config, model_low=model[0], model_high=model[1], model_version=version)
                before = ctx.get(dut.refusal)
                set_header(ctx, dut, header)
                assert ctx.get(dut.refusal) == before
                await ctx.tick()
                assert Error(ctx.get(dut.refusal)) == terms.refusal(header)
                seen.add(terms.refusal(header))

    simulate(dut, testbench)
    assert seen == {Error.NONE, Error.OTHER_MODEL, Error.OTHER_VERSION}


@pytest.mark.parametrize("how", ["forget", "reset"])
@every_beat
def test_terms_that_are_given_up_do_not_shift_the_next_ones(beat, how, dice):
    """Wherever they end. A load that is given up is forgotten before the next one begins."""
    config = config_of(beat)
    dut = Permissions(config)
    reset = Signal()

    async def testbench(ctx):
        for end in range(1, 64 // beat):
            await send(ctx, dut.terms, beats_of(config, terms_of(config, dice))[:end])
            await pulse(ctx, dut.forget if how == "forget" else reset)
            terms = terms_of(config, dice)
            await send(ctx, dut.terms, beats_of(config, terms), 0.3, dice)
            header = header_of(
                config, model_low=terms.model_low, model_high=terms.model_high, model_version=terms.most_version
            )
            set_header(ctx, dut, header)
            await ctx.tick()
            assert (Error(ctx.get(dut.refusal)), ctx.get(dut.classes)) == (terms.refusal(header), terms.classes)

    simulate(ResetInserter(reset)(dut), testbench)


async def take(ctx, dut: Permissions, config: Config, inferences: int, dice: Random) -> None:
    await send(ctx, dut.terms, beats_of(config, terms_of(config, dice, inferences=inferences)))


async def spent(ctx, dut: Permissions, count: int) -> bool:
    """Whether so many may not run; it follows `count` by a cycle."""
    before = ctx.get(dut.spent)
    ctx.set(dut.count, count)
    assert ctx.get(dut.spent) == before
    await ctx.tick()
    return bool(ctx.get(dut.spent))


def test_only_runs_count_and_neither_a_reset_nor_another_licence_gives_any_back(dice):
    """The device counts for all licences together, from power-up on. Without a limit it counts, too."""
    config = config_of()
    dut = Permissions(config)
    reset = Signal()

    async def testbench(ctx):
        used = 0
        for _ in range(60):
            match dice.choice(("reset", "forget", "run", "run")):
                case "reset":
                    await pulse(ctx, reset)
                case "forget":
                    await pulse(ctx, dut.forget)
                case _:
                    count = dice.choice((1, 2, 65535, dice.randint(1, 65535)))
                    ctx.set(dut.count, count)
                    await pulse(ctx, dut.begin)
                    used += count
            left = dice.choice((0, 1, 2, 65535, dice.randint(1, 65535)))
            await take(ctx, dut, config, used + left, dice)
            for count in (1, 65535, *(count for count in (left - 1, left, left + 1) if 1 <= count < 65536)):
                assert await spent(ctx, dut, count) == (used + left != 0 and count > left)
            await take(ctx, dut, config, 0, dice)
            assert not await spent(ctx, dut, 65535)

    simulate(ResetInserter(reset)(dut), testbench)


def test_spent_follows_a_run_by_a_cycle(dice):
    config = config_of()
    dut = Permissions(config)

    async def testbench(ctx):
        await take(ctx, dut, config, 5, dice)
        assert not await spent(ctx, dut, 3)
        await pulse(ctx, dut.begin)
        assert not ctx.get(dut.spent)
        await ctx.tick()
        assert ctx.get(dut.spent)
        assert not await spent(ctx, dut, 2)
        await pulse(ctx, dut.begin)
        await ctx.tick()
        assert await spent(ctx, dut, 1)

    simulate(dut, testbench)


def test_the_count_stays_at_its_end(dice):
    """After 2 to the 32 inferences none is left of any limit, for good."""
    config = config_of()
    dut = Permissions(config)
    reset = Signal()

    async def testbench(ctx):
        await take(ctx, dut, config, WORD, dice)
        ctx.set(dut.count, 65535)
        ctx.set(dut.begin, 1)
        await ctx.tick().repeat(65537)  # all of WORD
        ctx.set(dut.begin, 0)
        for times in (1, 1, 3):
            assert await spent(ctx, dut, 1)
            ctx.set(dut.count, dice.randint(1, 65535))
            ctx.set(dut.begin, 1)
            await ctx.tick().repeat(times)
            ctx.set(dut.begin, 0)
        await pulse(ctx, reset)
        await take(ctx, dut, config, WORD, dice)
        assert await spent(ctx, dut, 1)

    simulate(ResetInserter(reset)(dut), testbench, cycles=70_000)
