from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from random import Random

import pytest
from amaranth.hdl import Fragment, ResetInserter, Signal, Value
from amaranth.sim import SimulatorContext

from deeplock.hw.lock.ciphers.ascon import Ascon
from deeplock.pymodel.lock.ciphers.ascon import open, seal
from tests.hw.refusal import assert_refused
from tests.hw.register_tools import registers_of
from tests.hw.stream_tools import check_stable, simulate
from tests.pymodel.lock.ciphers import ascon_vectors as published

BEATS = [4, 8, 16]


@dataclass(frozen=True)
class Message:
    """What goes in: ciphertext or associated data."""

    key: bytes
    nonce: bytes
    absorb: bool
    data: bytes

    def opened(self) -> tuple[bytes, bytes]:
        """What comes out, and the tag, by the model."""
        if self.absorb:
            return self.data, open(self.key, self.nonce, self.data, b"")[1]
        return open(self.key, self.nonce, b"", self.data)


def draw(dice: Random, size: int, absorb: bool) -> Message:
    """A message that somebody sealed, of `size` bytes."""
    key, nonce, data = (dice.randbytes(count) for count in (16, 16, size))
    return Message(key, nonce, absorb, data if absorb else seal(key, nonce, b"", data)[0])


def number(data: bytes) -> int:
    return int.from_bytes(data, "little")


class Bench:
    """Drives one message at a time and logs every cycle from the one after `start` on: (taken, given, done)."""

    def __init__(self, dut: Ascon, bytes_per_beat: int, dice: Random):
        self.dut, self.size, self.dice = dut, bytes_per_beat, dice

    async def start(self, ctx: SimulatorContext, message: Message) -> None:
        for name in ("key", "nonce"):
            ctx.set(getattr(self.dut, name), number(getattr(message, name)))
        ctx.set(self.dut.absorb, message.absorb)
        ctx.set(self.dut.start, 1)
        await ctx.tick()
        ctx.set(self.dut.start, 0)

    async def words(self, ctx: SimulatorContext, message: Message, pauses=(0.0, 0.0), cycles: int = 5000):
        """Offer the words and take what comes, until `done` or for so many cycles: the bytes that came, and the log."""
        inlet, outlet = self.dut.inlet, self.dut.outlet
        parts = [message.data[i : i + self.size] for i in range(0, len(message.data), self.size)]
        came, log = b"", []
        for _ in range(cycles):
            offers = bool(parts) and (ctx.get(inlet.valid) or self.dice.random() >= pauses[0])
            ctx.set(inlet.valid, offers)
            ctx.set(inlet.payload, {"data": number(parts[0]) if offers else 0, "last": offers and len(parts) == 1})
            ctx.set(outlet.ready, self.dice.random() >= pauses[1])
            taken = ctx.get(inlet.valid & inlet.ready)
            given = ctx.get(outlet.valid & outlet.ready)
            done = ctx.get(self.dut.done)
            log.append((ctx.get(inlet.ready), ctx.get(outlet.valid), done))
            assert taken == given  # a word leaves in the cycle in which it comes
            if taken:
                assert ctx.get(outlet.payload.last) == (len(parts) == 1)
                came += ctx.get(outlet.payload.data).to_bytes(self.size, "little")
                parts.pop(0)
            await ctx.tick()
            if taken:
                ctx.set(inlet.valid, 0)
            if done:
                break
        return came, log

    async def open(self, ctx: SimulatorContext, message: Message, pauses=(0.0, 0.0)) -> tuple[bytes, bytes]:
        """What came, and the tag, which stays."""
        await self.start(ctx, message)
        came, log = await self.words(ctx, message, pauses)
        assert [done for *_, done in log].index(1) == len(log) - 1
        tag = ctx.get(self.dut.tag)
        for _ in range(self.dice.randrange(3)):
            await ctx.tick()
            assert ctx.get(self.dut.tag) == tag and not ctx.get(self.dut.done)
            assert not ctx.get(self.dut.inlet.ready) and not ctx.get(self.dut.outlet.valid)
        return came, tag.to_bytes(16, "little")


@pytest.mark.parametrize("bytes_per_beat", BEATS)
def test_published_vectors(bytes_per_beat, dice):
    """Those of whole words, with associated data alone or a message alone."""
    dut = Ascon(bytes_per_beat)
    bench, count = Bench(dut, bytes_per_beat, dice), 0

    async def testbench(ctx):
        nonlocal count
        for ad_size, size, sealed in published.VECTORS:
            if bool(ad_size) == bool(size) or (ad_size + size) % bytes_per_beat:
                continue
            sealed = bytes.fromhex(sealed)
            data = published.associated(ad_size) if ad_size else sealed[:size]
            message = Message(published.KEY, published.NONCE, bool(ad_size), data)
            plain = data if ad_size else published.plain(size)
            assert await bench.open(ctx, message) == (plain, sealed[size:])
            count += 1

    simulate(dut, testbench)
    assert count == {4: 5, 8: 5, 16: 3}[bytes_per_beat]


@pytest.mark.parametrize("bytes_per_beat", BEATS)
def test_messages_of_1_to_64_words_under_any_pauses(bytes_per_beat, dice):
    """Each length of up to three blocks, and longer ones; what came and the tag are the model's, message after message."""
    dut = Ascon(bytes_per_beat)
    bench = Bench(dut, bytes_per_beat, dice)
    lengths = [*range(1, 48 // bytes_per_beat + 1), *(dice.randrange(1, 65) for _ in range(4)), 64]

    async def testbench(ctx):
        for count, absorb in product(lengths, (False, True)):
            message = draw(dice, bytes_per_beat * count, absorb)
            pauses = dice.choice([0.0, 0.5]), dice.choice([0.0, 0.5])
            assert await bench.open(ctx, message, pauses) == message.opened(), (count, absorb, pauses)

    simulate(dut, testbench, background=[partial(check_stable, stream=dut.outlet)], cycles=60_000)


@pytest.mark.parametrize("absorb", [False, True])
@pytest.mark.parametrize("bytes_per_beat", BEATS)
def test_latency_and_throughput(bytes_per_beat, absorb, dice):
    dut = Ascon(bytes_per_beat)
    bench, words = Bench(dut, bytes_per_beat, dice), 16 // bytes_per_beat

    async def testbench(ctx):
        for count in [1, words, words + 1, 5 * words]:
            message = draw(dice, bytes_per_beat * count, absorb)
            await bench.start(ctx, message)
            _, log = await bench.words(ctx, message)
            taken = [14 + i % words + i // words * (7 + words) for i in range(count)]
            done = taken[-1] + (13 if count % words else 20) + 8 * absorb
            expected = [(cycle in taken, cycle in taken, cycle == done) for cycle in range(1, done + 1)]
            assert [(ready and valid, valid, end) for ready, valid, end in log] == expected

    simulate(dut, testbench)


@pytest.mark.parametrize("bytes_per_beat", BEATS)
def test_any_changed_bit_changes_the_tag(bytes_per_beat, dice):
    dut = Ascon(bytes_per_beat)
    bench = Bench(dut, bytes_per_beat, dice)

    async def testbench(ctx):
        for absorb, name in product((False, True), ("key", "nonce", "data")):
            message = draw(dice, bytes_per_beat * dice.randrange(1, 9), absorb)
            value = getattr(message, name)
            changed = number(value) ^ 1 << dice.randrange(8 * len(value))
            _, tag = await bench.open(ctx, replace(message, **{name: changed.to_bytes(len(value), "little")}))
            assert tag != message.opened()[1], name

    simulate(dut, testbench)


@pytest.mark.parametrize("absorb", [False, True])
@pytest.mark.parametrize("bytes_per_beat", BEATS)
def test_handshakes_depend_on_no_key_and_no_data(bytes_per_beat, absorb, seed):
    """Two keys, nonces and messages of a length, with the same pauses: the same handshakes in every cycle."""
    dut = Ascon(bytes_per_beat)
    logs = []

    async def testbench(ctx):
        for first in (seed, seed + 1):
            message = draw(Random(first), bytes_per_beat * 9, absorb)
            bench = Bench(dut, bytes_per_beat, Random(seed))
            await bench.start(ctx, message)
            logs.append((await bench.words(ctx, message, (0.3, 0.3)))[1])

    simulate(dut, testbench)
    assert logs[0] == logs[1]


@pytest.mark.parametrize("how", ["clear", "reset"])
@pytest.mark.parametrize("bytes_per_beat", BEATS)
def test_clear_and_reset_leave_nothing_of_key_or_data(bytes_per_beat, how, dice):
    """In any cycle, also together with `start`: all registers are 0, nothing comes, and the next message is right."""
    dut, reset = Ascon(bytes_per_beat), Signal()
    fragment = Fragment.get(ResetInserter(reset)(dut), None)
    registers = registers_of(fragment)
    held = 128 - 8 * bytes_per_beat
    assert sum(len(Value.cast(register)) for register in registers) >= 320 + held
    bench = Bench(dut, bytes_per_beat, dice)

    async def testbench(ctx):
        for count in range(40):
            message = draw(dice, bytes_per_beat * dice.randrange(1, 9), dice.random() < 0.5)
            await bench.start(ctx, message)
            await bench.words(ctx, message, (0.2, 0.2), cycles=count + dice.randrange(2))
            stop = dut.clear if how == "clear" else reset
            ctx.set(stop, 1)
            ctx.set(dut.start, dice.random() < 0.5)
            ctx.set(dut.inlet.valid, 1)
            ctx.set(dut.outlet.ready, 1)
            if how == "clear":
                assert not ctx.get(dut.inlet.ready) and not ctx.get(dut.outlet.valid)
            await ctx.tick()
            ctx.set(stop, 0)
            ctx.set(dut.start, 0)
            ctx.set(dut.inlet.payload, {"data": number(word := dice.randbytes(bytes_per_beat)), "last": 1})
            for _ in range(3):
                assert not any(ctx.get(Value.cast(register)) for register in registers)
                assert not ctx.get(dut.outlet.valid) and not ctx.get(dut.inlet.ready) and not ctx.get(dut.done)
                assert ctx.get(dut.outlet.payload.data) == number(word) and ctx.get(dut.tag) == 0
                await ctx.tick()
            ctx.set(dut.inlet.valid, 0)
            if count % 4 == 0:
                message = draw(dice, bytes_per_beat * dice.randrange(1, 9), dice.random() < 0.5)
                assert await bench.open(ctx, message) == message.opened()

    simulate(fragment, testbench)


@pytest.mark.parametrize("bytes_per_beat", BEATS)
def test_start_in_mid_message_begins_anew(bytes_per_beat, dice):
    dut = Ascon(bytes_per_beat)
    bench = Bench(dut, bytes_per_beat, dice)

    async def testbench(ctx):
        for cycles in [*range(0, 60, 3), 200]:
            message = draw(dice, bytes_per_beat * dice.randrange(1, 9), dice.random() < 0.5)
            await bench.start(ctx, message)
            await bench.words(ctx, message, cycles=cycles)
            message = draw(dice, bytes_per_beat * dice.randrange(1, 9), dice.random() < 0.5)
            ctx.set(dut.inlet.valid, 0)
            assert await bench.open(ctx, message) == message.opened()

    simulate(dut, testbench)


def test_faults_of_arguments_are_named():
    assert_refused("bytes_per_beat must be 4, 8 or 16, not 32", lambda: Ascon(32))
