"""The SDRAM controller against a model of the chip, which raises an error where a data sheet's rule is broken."""

from functools import partial

import pytest
from amaranth.hdl import ResetInserter, Signal

from deeplock.fpga.gateware.sdram import SDRAM_BYTES, WORD_BYTES, Sdram
from deeplock.sim.sdram_model import SdramChip, SdramError
from tests.fpga.gateware.sdram_tools import SdramBoard
from tests.hw.refusal import assert_refused
from tests.hw.stream_tools import simulate

WORDS = SDRAM_BYTES // WORD_BYTES
SOON = 2e-6
"""Seconds of power-up, in place of 200 us, which take long to simulate."""
START = 50e-6
"""Seconds from power-up to the first access, at most, on top."""


def soon(clock_hz: int) -> Sdram:
    return Sdram(clock_hz, SOON)


def chip_soon(dead: bool = False) -> SdramChip:
    return SdramChip(dead, 1e9 * SOON)


async def begin(ctx, dut: Sdram, clock_hz: int, power_up: float = SOON) -> None:
    for _ in range(int((power_up + START) * clock_hz)):
        if ctx.get(dut.ready):
            return
        assert not ctx.get(dut.accesses.ready)
        await ctx.tick()
    raise AssertionError("no chip was found")


async def access(ctx, dut: Sdram, writes: int, address: int, word: int) -> None:
    ctx.set(dut.accesses.payload, {"write": writes, "address": address, "data": word})
    ctx.set(dut.accesses.valid, 1)
    await ctx.tick().until(dut.accesses.ready)
    ctx.set(dut.accesses.valid, 0)


async def collect(ctx, dut: Sdram, into: list[int]) -> None:
    async for *_, valid, word in ctx.tick().sample(dut.read.valid, dut.read.payload):
        if valid:
            into.append(word)


@pytest.mark.parametrize(
    ("clock_hz", "out", "back"), [(20e6, 1, 1), (50e6, 1, 2), (80e6, 3, 2), (100e6, 2, 1), (133e6, 5, 5)]
)
def test_words_come_back_whatever_the_pins_take_and_no_rule_of_the_chip_is_broken(clock_hz, out, back, dice):
    """Random accesses: near each other, at the ends of rows and of the memory, with pauses, for longer than refreshes may
    wait."""
    dut, read, expected, content = soon(int(clock_hz)), [], [], {}

    async def testbench(ctx):
        await begin(ctx, dut, int(clock_hz))
        for _ in range(60):
            at = dice.choice((0, WORDS - 40, 512 * dice.randrange(1 << 15) - dice.randrange(20), dice.randrange(WORDS)))
            writes, pauses = dice.randrange(2), dice.choice((0.0, 0.0, 0.5))
            for address in range(at, at + dice.randint(1, 40)):
                address %= WORDS
                if writes or address not in content:
                    content[address] = dice.randrange(1 << 16)
                    await access(ctx, dut, 1, address, content[address])
                else:
                    expected.append(content[address])
                    await access(ctx, dut, 0, address, 0)
                while dice.random() < pauses:
                    await ctx.tick()
            if dice.random() < 0.2:
                await ctx.tick().repeat(int(20e-6 * clock_hz))
        await ctx.tick().repeat(20)
        assert read == expected and len(read) > 50

    board = SdramBoard(chip_soon(), dut.pins, int(clock_hz), out, back)
    simulate(dut, testbench, background=[board.run, partial(collect, dut=dut, into=read)], cycles=200_000)


def test_a_row_is_read_and_written_at_a_word_a_cycle(dice):
    """Less than 5 % are lost to rows and refreshes, in either direction."""
    clock_hz, count = 80_000_000, 3000
    dut, read = soon(clock_hz), []
    words = [dice.randrange(1 << 16) for _ in range(count)]

    async def testbench(ctx):
        await begin(ctx, dut, clock_hz)
        for writes in (1, 0):
            cycles = 0
            ctx.set(dut.accesses.valid, 1)
            for address, word in enumerate(words):
                ctx.set(dut.accesses.payload, {"write": writes, "address": address, "data": word})
                taken = False
                while not taken:
                    taken = ctx.get(dut.accesses.ready)
                    await ctx.tick()
                    cycles += 1
            ctx.set(dut.accesses.valid, 0)
            assert cycles < 1.05 * count, cycles
        await ctx.tick().repeat(20)
        assert read == words

    board = SdramBoard(chip_soon(), dut.pins, clock_hz)
    simulate(dut, testbench, background=[board.run, partial(collect, dut=dut, into=read)], cycles=200_000)


def test_without_a_chip_nothing_is_taken():
    clock_hz = 50_000_000
    dut = soon(clock_hz)

    async def testbench(ctx):
        ctx.set(dut.accesses.valid, 1)
        for _ in range(int((SOON + START) * clock_hz)):
            assert not ctx.get(dut.accesses.ready) and not ctx.get(dut.ready)
            await ctx.tick()

    board = SdramBoard(chip_soon(dead=True), dut.pins, clock_hz)
    simulate(dut, testbench, background=[board.run], cycles=200_000)


def test_after_a_reset_the_chip_is_started_anew(dice):
    """In mid-access, with the time that a chip takes after power-up."""
    clock_hz = 20_000_000
    dut, read, reset = Sdram(clock_hz), [], Signal()
    board = SdramBoard(SdramChip(), dut.pins, clock_hz)

    async def testbench(ctx):
        for _ in range(3):
            await begin(ctx, dut, clock_hz, 200e-6)
            words = [dice.randrange(1 << 16) for _ in range(20)]
            for address, word in enumerate(words):
                await access(ctx, dut, 1, address, word)
            read.clear()
            for address in range(len(words)):
                await access(ctx, dut, 0, address, 0)
            await ctx.tick().repeat(20)
            assert read == words
            await access(ctx, dut, 0, 512, 0)
            await ctx.tick().repeat(dice.randint(1, 12))
            ctx.set(reset, 1)
            board.power_up(SdramChip())
            await ctx.tick()
            ctx.set(reset, 0)

    background = [board.run, partial(collect, dut=dut, into=read)]
    simulate(ResetInserter(reset)(dut), testbench, background=background, cycles=200_000)


def started() -> tuple[SdramChip, float]:
    """A chip that takes commands, and the time."""
    chip, now = SdramChip(), 200_000.0
    for command, a, wait in (((0, 1, 0), 1 << 10, 30), *(((0, 0, 1), 0, 70),) * 8, ((0, 0, 0), 0x30, 40)):
        chip.rise(now, *command, 0, a, None)
        now += wait
        for _ in range(3):
            chip.rise(now, 1, 1, 1, 0, 0, None)
    return chip, now


READ, WRITE, OPEN, CLOSE, REFRESH = (1, 0, 1), (1, 0, 0), (0, 1, 1), (0, 1, 0), (0, 0, 1)


@pytest.mark.parametrize(
    ("commands", "says"),
    [
        ([(READ, 0, None)], "no open row"),
        ([(OPEN, 0, None), (READ, 10, None)], "after it was opened"),
        ([(OPEN, 0, None), (WRITE, 30, None)], "without data"),
        ([(OPEN, 0, None), (READ, 30, 1)], "drives"),
        ([(OPEN, 0, None), (CLOSE, 30, None)], "after it was opened"),
        ([(OPEN, 0, None), (WRITE, 50, 7), (CLOSE, 60, None)], "after a write"),
        ([(OPEN, 0, None), (OPEN, 100, None)], "has an open row"),
        ([(OPEN, 0, None), (REFRESH, 100, None)], "while a row is open"),
        ([(OPEN, 0, None), (CLOSE, 200_000, None)], "open for"),
        ([(OPEN, 0, None), (CLOSE, 60, None), (OPEN, 70, None)], "too early"),
        ([(REFRESH, 0, None), (OPEN, 50, None)], "too early"),
        ([(OPEN, 10_000_000, None)], "are due"),
    ],
)
def test_the_model_reports_what_the_controller_must_not_do(commands, says):
    chip, now = started()
    *right, (wrong, late, data) = commands
    for command, at, dq in right:
        chip.rise(now + at, *command, 0, 0, dq)
    with pytest.raises(SdramError, match=says):
        chip.rise(now + late, *wrong, 0, 0, data)


@pytest.mark.parametrize("clock_hz", [10_000_000, 150_000_000])
def test_a_clock_that_the_chips_do_not_allow_is_refused(clock_hz):
    assert_refused(f"clock_hz must be 20 to 133 MHz for a SDRAM, not {clock_hz}", lambda: Sdram(clock_hz))
