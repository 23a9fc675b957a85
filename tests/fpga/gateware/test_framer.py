from functools import partial
from random import Random

import pytest
from amaranth.hdl import ResetInserter, Signal

from deeplock.fpga.frames import ANSWER_SYNC, REQUEST_SYNC, Frame
from deeplock.fpga.gateware.framer import Framer
from tests.hw.stream_tools import check_stable, receive, simulate

CLOCK = 5_000
TIMEOUT = 64
"""Cycles: 0.01 s, up to a power of two."""


async def wait(ctx, cycles: int) -> None:
    for _ in range(cycles):
        await ctx.tick()


async def put(ctx, dut: Framer, data: bytes, gap: int = 3) -> None:
    """Bytes from the UART with `gap` idle cycles behind each."""
    for byte in data:
        ctx.set(dut.rx.valid, 1)
        ctx.set(dut.rx.payload, byte)
        await ctx.tick()
        ctx.set(dut.rx.valid, 0)
        await wait(ctx, gap)


async def get(ctx, dut: Framer, frame: Frame, pauses: float = 0.0, dice: Random | None = None) -> None:
    """The next bytes to the UART are this answer."""
    expected = frame.encode(ANSWER_SYNC)
    assert bytes(await receive(ctx, dut.tx, len(expected), pauses, dice)) == expected


class Board:
    """Answers a request with its payload, `copies` times and cut to 255 bytes; the state is the command turned over."""

    def __init__(self, dut: Framer, dice: Random, pauses: float = 0.0, copies: int = 1):
        self.dut, self.dice, self.pauses, self.copies = dut, dice, pauses, copies
        self.requests: list[tuple[int, bytes]] = []

    def answer(self, request: Frame) -> Frame:
        return Frame(request.sequence, request.code ^ 15, (request.payload * self.copies)[:255])

    async def work(self, ctx) -> None:
        """Run in the background."""
        dut = self.dut
        while True:
            while not ctx.get(dut.run):
                await ctx.tick()
            payload = b""
            while not ctx.get(dut.at_end):
                ctx.set(dut.payload.ready, self.dice.random() >= self.pauses)
                ready = ctx.get(dut.payload.ready)
                *_, byte, valid = await ctx.tick().sample(dut.payload.payload, dut.payload.valid)
                ctx.set(dut.payload.ready, 0)
                payload += bytes([byte]) * (valid and ready)
            command = ctx.get(dut.command)
            self.requests.append((command, payload))
            for number, byte in enumerate((payload * self.copies)[:255]):
                while self.dice.random() < self.pauses:
                    await ctx.tick()
                assert ctx.get(dut.room) == (number < 240)
                ctx.set(dut.data.payload, byte)
                ctx.set(dut.data.valid, 1)
                await ctx.tick()
                ctx.set(dut.data.valid, 0)
            ctx.set(dut.state, command ^ 15)
            ctx.set(dut.done, 1)
            await ctx.tick()
            ctx.set(dut.done, 0)
            ctx.set(dut.state, self.dice.randrange(16))


def run(board: Board, *testbenches, design=None, cycles: int = 100_000) -> None:
    background = [
        board.work,
        partial(check_stable, stream=board.dut.tx),
        partial(check_stable, stream=board.dut.payload),
    ]
    simulate(design or board.dut, *testbenches, background=background, cycles=cycles)


def random_frame(dice: Random, sequence: int, size: int = 20) -> Frame:
    return Frame(sequence, dice.randrange(16), dice.randbytes(dice.randrange(size)))


@pytest.mark.parametrize("pauses", [0.0, 0.6])
def test_requests_are_given_away_and_answered(pauses, dice):
    """Payloads and answers of 0 to 255 bytes; noise between frames, even sync bytes, is not one."""
    dut = Framer(CLOCK)
    board = Board(dut, dice, pauses, copies=2)
    frames = [
        Frame(index % 15 + 1, index % 16, dice.randbytes(size))
        for index, size in enumerate((0, 1, 2, 127, 128, 254, 255))
    ]

    async def testbench(ctx):
        for frame in frames:
            await put(ctx, dut, bytes(byte for byte in dice.randbytes(5) if byte != REQUEST_SYNC))
            await put(ctx, dut, frame.encode(REQUEST_SYNC), gap=3 + int(20 * pauses))
            await get(ctx, dut, board.answer(frame), pauses, dice)

    run(board, testbench)
    assert board.requests == [(frame.code, frame.payload) for frame in frames]


def test_latency_and_throughput(dice):
    dut = Framer(CLOCK)
    request = Frame(1, 5, dice.randbytes(20))
    data = request.encode(REQUEST_SYNC)

    async def testbench(ctx):
        await put(ctx, dut, data[:-1])
        await put(ctx, dut, data[-1:], gap=0)
        assert not ctx.get(dut.run)
        await ctx.tick()
        assert ctx.get(dut.run)
        ctx.set(dut.payload.ready, 1)
        cycles = 0
        while not ctx.get(dut.at_end):
            await ctx.tick()
            cycles += 1
        assert cycles == 2 * 20
        ctx.set(dut.data.valid, 1)
        await wait(ctx, 30)
        ctx.set(dut.data.valid, 0)
        ctx.set(dut.done, 1)
        await ctx.tick()
        ctx.set(dut.done, 0)
        assert ctx.get(dut.tx.valid)
        ctx.set(dut.tx.ready, 1)
        answer, cycles = b"", 0
        while len(answer) < 3 + 30 + 2:
            *_, valid, byte = await ctx.tick().sample(dut.tx.valid, dut.tx.payload)
            answer += bytes([byte]) * valid
            cycles += 1
        assert cycles == 3 + 2 * 30 + 2 + 2
        assert Frame.decode(answer, ANSWER_SYNC) == Frame(1, 0, bytes(30))

    simulate(dut, testbench)


@pytest.mark.parametrize("sequence", [0, 7])
def test_a_damaged_request_does_nothing_and_gets_no_answer(sequence, dice):
    """One bit anywhere is wrong. The next request is right, once the time for the rest of the damaged one is over."""
    dut = Framer(CLOCK)
    board = Board(dut, dice)
    size = len(Frame(0, 0, bytes(4)).encode(REQUEST_SYNC))

    async def testbench(ctx):
        for bit in range(8 * size):
            frame = Frame(sequence, dice.randrange(16), dice.randbytes(4))
            damaged = bytearray(frame.encode(REQUEST_SYNC))
            damaged[bit // 8] ^= 1 << bit % 8
            await put(ctx, dut, bytes(damaged))
            for _ in range(2 * TIMEOUT):
                assert not ctx.get(dut.run) and not ctx.get(dut.tx.valid)
                await ctx.tick()
            assert board.requests == []
            after = Frame(1 + bit % 2, 3, b"after")
            await put(ctx, dut, after.encode(REQUEST_SYNC))
            await get(ctx, dut, board.answer(after))
            assert board.requests.pop() == (3, b"after")

    run(board, testbench)


def test_a_request_that_stops_is_forgotten_after_the_timeout_and_not_before(dice):
    dut = Framer(CLOCK)
    board = Board(dut, dice)
    frame = Frame(3, 9, b"abc")
    data = frame.encode(REQUEST_SYNC)

    async def testbench(ctx):
        for size in range(1, len(data)):
            await put(ctx, dut, data[:size], gap=3)
            await wait(ctx, TIMEOUT - 5)
            await put(ctx, dut, data[size:])  # in time
            await get(ctx, dut, board.answer(frame))
            await put(ctx, dut, data[:size])
            await wait(ctx, 2 * TIMEOUT)
            other = Frame(4, 1, b"other")
            await put(ctx, dut, other.encode(REQUEST_SYNC))
            await get(ctx, dut, board.answer(other))

    run(board, testbench)
    assert set(board.requests) == {(9, b"abc"), (1, b"other")} and len(board.requests) == 2 * (len(data) - 1)


def test_a_repeated_request_is_not_given_away_but_gets_the_same_answer(dice):
    """Whatever damaged requests come between; and as often as it is repeated. Sequence number 0 is never a repetition."""
    dut = Framer(CLOCK)
    board = Board(dut, dice, copies=3)
    expected = []

    async def testbench(ctx):
        sequence = 0
        for _ in range(40):
            sequence = dice.choice([number for number in range(16) if number != sequence or not number])
            frame = random_frame(dice, sequence)
            answer = board.answer(frame)
            for repetition in range(dice.randrange(1, 4)):
                if repetition == 0 or sequence == 0:
                    expected.append((frame.code, frame.payload))
                if dice.random() < 0.3:
                    damaged = bytearray(random_frame(dice, dice.randrange(16)).encode(REQUEST_SYNC))
                    damaged[dice.randrange(3, len(damaged))] ^= 1 << dice.randrange(8)
                    await put(ctx, dut, bytes(damaged))
                await put(ctx, dut, frame.encode(REQUEST_SYNC))
                await get(ctx, dut, answer)
            assert board.requests == expected

    run(board, testbench)


def test_what_comes_while_an_answer_is_on_its_way_is_lost(dice):
    dut = Framer(CLOCK)
    board = Board(dut, dice)
    first, second = Frame(1, 2, b"first"), Frame(2, 3, b"second")

    async def testbench(ctx):
        await put(ctx, dut, first.encode(REQUEST_SYNC))
        await wait(ctx, 30)
        assert ctx.get(dut.tx.valid)
        await put(ctx, dut, second.encode(REQUEST_SYNC))
        await wait(ctx, 3 * TIMEOUT)  # the UART may be slow
        await get(ctx, dut, board.answer(first))
        await put(ctx, dut, second.encode(REQUEST_SYNC))
        await get(ctx, dut, board.answer(second))

    run(board, testbench)
    assert board.requests == [(2, b"first"), (3, b"second")]


def test_reset_in_mid_frame_and_mid_answer(dice):
    """The last sequence number is forgotten with it: a request that is sent again is a new one."""
    dut, reset = Framer(CLOCK), Signal()
    board = Board(dut, dice)
    frame = Frame(5, 6, b"again")

    async def testbench(ctx):
        for _ in range(10):
            data = frame.encode(REQUEST_SYNC)
            await put(ctx, dut, data[: dice.randrange(len(data))])
            await pulse(ctx)
            await put(ctx, dut, data)
            await receive(ctx, dut.tx, dice.randrange(1, len(data)))
            await pulse(ctx)
            assert not ctx.get(dut.tx.valid)
            await put(ctx, dut, data)
            await get(ctx, dut, board.answer(frame))
        assert len(board.requests) == 20

    async def pulse(ctx):
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)

    simulate(ResetInserter(reset)(dut), testbench, background=[board.work])
