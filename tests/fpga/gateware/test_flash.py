from functools import partial
from itertools import pairwise
from random import Random

import pytest
from amaranth.hdl import ResetInserter, Signal

from deeplock.fpga.gateware.flash import FlashReader
from deeplock.sim.flash_model import Flash
from tests.fpga.flash_tools import connect_flash
from tests.hw.refusal import assert_refused
from tests.hw.stream_tools import simulate

CLOCK = 1e6  # slow, so that the waits of the power-up sequence are short


def run(dut: FlashReader, flash: Flash, divider: int, *testbenches, reset: Signal | None = None, **arguments) -> None:
    connect = partial(connect_flash, dut=dut, flash=flash, divider=divider, period_ns=1e9 / CLOCK)
    design = dut if reset is None else ResetInserter(reset)(dut)
    simulate(design, *testbenches, background=[connect, partial(check_stable, dut=dut, reset=reset)], **arguments)


async def wait(ctx, cycles: int) -> None:
    for _ in range(cycles):
        await ctx.tick()


async def ask(ctx, dut: FlashReader, address: int, length: int) -> None:
    ctx.set(dut.request.payload, {"address": address, "length": length})
    ctx.set(dut.request.valid, 1)
    await ctx.tick().until(dut.request.ready)
    ctx.set(dut.request.valid, 0)


async def take(
    ctx, dut: FlashReader, beats: int, pauses: float = 0.0, dice: Random | None = None
) -> list[tuple[bytes, int]]:
    """The next beats: their bytes and `last`."""
    got, dice = [], dice or Random(0)
    while len(got) < beats:
        while dice.random() < pauses:
            await ctx.tick()
        ctx.set(dut.loadable.ready, 1)
        data, last = (
            await ctx.tick().sample(dut.loadable.payload.data, dut.loadable.payload.last).until(dut.loadable.valid)
        )
        ctx.set(dut.loadable.ready, 0)
        got.append((data.to_bytes(len(dut.loadable.payload.data) // 8, "little"), last))
    return got


def beats_of(content: bytes, address: int, length: int, size: int) -> list[tuple[bytes, int]]:
    return [
        (content[at : at + size], int(at + size == address + length)) for at in range(address, address + length, size)
    ]


async def check_stable(ctx, dut: FlashReader, reset: Signal | None) -> None:
    """Run in the background: an offered beat stays until it is taken, or dropped by a request, `stop` or reset."""
    waiting = None
    async for *_, valid, ready, data, last, accept, stop in ctx.tick().sample(
        dut.loadable.valid, dut.loadable.ready, dut.loadable.payload.data, dut.loadable.payload.last,
        dut.request.valid & dut.request.ready, dut.stop | (0 if reset is None else reset),
    ):  # fmt: skip
        assert waiting is None or (valid and waiting == (data, last))
        waiting = (data, last) if valid and not ready and not accept and not stop else None


@pytest.mark.parametrize("pauses", [0.0, 0.5, 0.98])
@pytest.mark.parametrize("divider, lines", [(1, 4), (2, 4), (1, 2), (2, 2)])
@pytest.mark.parametrize("bytes_per_beat", [4, 8, 16])
def test_ranges_come_over_and_over_with_last_at_their_ends(bytes_per_beat, divider, lines, pauses, rng, dice):
    """Any request takes the place of the one before, whatever that is doing."""
    dut = FlashReader(CLOCK, bytes_per_beat, divider, lines)
    content = rng.bytes(4096)
    flash = Flash(content)

    async def testbench(ctx):
        for _ in range(4):
            address, length = dice.randrange(2048), dice.randrange(1, 5) * bytes_per_beat
            await ask(ctx, dut, address, length)
            expected = (beats_of(content, address, length, bytes_per_beat) * 3)[: dice.randrange(1, 13)]
            assert await take(ctx, dut, len(expected), pauses, dice) == expected
            assert flash.reads[-1] == address
            await wait(ctx, dice.randrange(100))

    run(dut, flash, divider, testbench)


@pytest.mark.parametrize("lines", [4, 2])
def test_the_address_has_24_bits(lines, dice):
    dut = FlashReader(CLOCK, 4, 1, lines)
    flash = Flash(b"")

    async def testbench(ctx):
        for address in (0xFFFFFC, 0xABCDEF, dice.randrange(1 << 24)):
            await ask(ctx, dut, address, 4)
            assert await take(ctx, dut, 1) == [(b"\xff" * 4, 1)]
            assert flash.reads.pop() == address

    run(dut, flash, 1, testbench)


@pytest.mark.parametrize("divider", [1, 2])
@pytest.mark.parametrize("bytes_per_beat, lines", [(4, 4), (16, 4), (4, 2)])
def test_latency_and_throughput(bytes_per_beat, lines, divider, rng):
    """Also when each beat waits as long as it may; and whatever the phases of clock and pause are."""
    dut = FlashReader(CLOCK, bytes_per_beat, divider, lines)
    beats, period = 8, 8 // lines * divider * bytes_per_beat
    before_data = {4: 20, 2: 40}[lines]

    async def testbench(ctx):
        for pause in (0, period - 4):
            for delay in range(9):
                await wait(ctx, delay)
                await ask(ctx, dut, 0, beats * bytes_per_beat)
                now, offered = 0, []
                for _ in range(beats + 1):
                    while not ctx.get(dut.loadable.valid):
                        await ctx.tick()
                        now += 1
                    offered.append(now)
                    await wait(ctx, pause)
                    await take(ctx, dut, 1)
                    now += pause + 1
                steps = [after - before for before, after in pairwise(offered)]
                assert offered[0] <= period + before_data * divider + 9
                assert steps[:-1] == [period] * (beats - 1)
                assert pause or steps[-1] <= period + before_data * divider + 6

    run(dut, Flash(rng.bytes(1024)), divider, testbench)


def test_stop_drops_all_and_the_next_request_is_right(rng, dice):
    dut = FlashReader(CLOCK, 4, 1)
    content = rng.bytes(1024)

    async def testbench(ctx):
        for _ in range(60):
            await ask(ctx, dut, 0, 64)
            await take(ctx, dut, dice.randrange(3))
            await wait(ctx, dice.randrange(40))
            ctx.set(dut.stop, 1)
            await ctx.tick()
            ctx.set(dut.stop, 0)
            for _ in range(dice.randrange(50)):
                assert not ctx.get(dut.loadable.valid) and not ctx.get(dut.spi.cs)
                await ctx.tick()
            address = dice.randrange(900)
            await ask(ctx, dut, address, 8)
            assert await take(ctx, dut, 3) == (beats_of(content, address, 8, 4) * 2)[:3]

    run(dut, Flash(content), 1, testbench)


def test_reset_in_mid_operation_begins_anew_with_the_power_up_sequence(rng, dice):
    dut = FlashReader(CLOCK, 4, 1)
    content, reset = rng.bytes(256), Signal()

    async def testbench(ctx):
        for _ in range(3):
            await ask(ctx, dut, 0, 64)
            await wait(ctx, dice.randrange(60))
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            assert not ctx.get(dut.loadable.valid) and not ctx.get(dut.request.ready)
            await ask(ctx, dut, 4, 8)
            assert await take(ctx, dut, 2) == beats_of(content, 4, 8, 4)

    run(dut, Flash(content), 1, testbench, reset=reset)


@pytest.mark.parametrize("divider", [1, 2])
@pytest.mark.parametrize(
    "fault", [{"dead": True}, {"jedec_id": bytes(3)}, {"jedec_id": b"\xff" * 3}], ids=["dead", "00", "FF"]
)
def test_a_flash_without_identification_is_never_asked(fault, divider):
    dut = FlashReader(CLOCK, 8, divider)

    async def testbench(ctx):
        ctx.set(dut.request.valid, 1)
        for _ in range(1500):
            await ctx.tick()
            assert not ctx.get(dut.request.ready) and not ctx.get(dut.loadable.valid)
        assert not ctx.get(dut.spi.cs)

    run(dut, Flash(b"", **fault), divider, testbench)


@pytest.mark.parametrize("clock", [1e6, 4e6])
def test_the_flash_is_found_after_the_stated_time(clock):
    dut = FlashReader(clock, 4, 2)
    now = 0

    async def testbench(ctx):
        nonlocal now
        while not ctx.get(dut.request.ready):
            await ctx.tick()
            now += 1
        commands = 2 * 8 * 10  # cycles
        assert 6 * 30e-6 < (now - commands) / clock < 6 * 2 * 30e-6

    connect = partial(connect_flash, dut=dut, flash=Flash(b""), divider=2, period_ns=1e9 / clock)
    simulate(dut, testbench, background=[connect])


def test_quad_mode_is_enabled_as_the_flash_wants_it(rng):
    dut = FlashReader(CLOCK, 4, 1, quad_enable=b"\x01\x40")
    content = rng.bytes(64)

    async def testbench(ctx):
        await ask(ctx, dut, 0, 64)
        assert await take(ctx, dut, 16) == beats_of(content, 0, 64, 4)

    run(dut, Flash(content, quad_enable=b"\x01\x40"), 1, testbench)


def test_faults_of_arguments_are_named():
    assert_refused("divider must be 1 or 2, not 3", lambda: FlashReader(CLOCK, 4, 3))
    assert_refused("lines must be 4 or 2, not 1", lambda: FlashReader(CLOCK, 4, lines=1))
    assert_refused(
        "quad_enable must be opcode and status, 2 bytes, not 3", lambda: FlashReader(CLOCK, 4, quad_enable=b"abc")
    )
