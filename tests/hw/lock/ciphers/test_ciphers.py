"""All ciphers have one interface, and the same must hold of each."""

from dataclasses import replace
from functools import partial
from itertools import product
from random import Random

import pytest
from amaranth.hdl import Fragment, ResetInserter, Signal, Value

from tests.hw.lock.ciphers.cipher_tools import CIPHERS, Message, begin, until_done
from tests.hw.register_tools import registers_of
from tests.hw.stream_tools import check_stable, receive, send, simulate

OPEN, ABSORB = 0, 1
every_cipher = pytest.mark.parametrize("cipher", CIPHERS, ids=str)


def fields(beats: list) -> list[tuple[int, int]]:
    return [(beat.data, beat.last) for beat in beats]


async def run(ctx, dut, message: Message) -> tuple[list[tuple[int, int]], bytes]:
    """A whole message without pauses: what comes out, and the tag."""
    await begin(ctx, dut, message)
    ctx.set(dut.outlet.ready, 1)
    out = []
    for beat in message.beats:
        ctx.set(dut.inlet.payload, beat)
        ctx.set(dut.inlet.valid, 1)
        while not ctx.get(dut.inlet.ready):
            await ctx.tick()
        out += fields([ctx.get(dut.outlet.payload)])
        await ctx.tick()
    ctx.set(dut.inlet.valid, 0)
    return out, await until_done(ctx, dut)


@every_cipher
def test_words_and_tags_are_the_models_under_any_pauses(cipher, rng, dice):
    """Messages of 1 to 64 words, one after another, opened or absorbed, with pauses on no side, either, or both."""
    dut = cipher.make()
    plan = [(OPEN, 64, 0.0, 0.0), (ABSORB, 64, 0.5, 0.5), (OPEN, 1, 0.9, 0.0), (ABSORB, 1, 0.0, 0.9)]
    plan += [(int(rng.integers(2)), int(rng.integers(2, 20)), 0.6, 0.6) for _ in range(4)]
    messages = [Message.draw(cipher, rng, absorb, count) for absorb, count, *_ in plan]
    given = [dice.random(), dice.random()]

    async def write(ctx):
        random = Random(given[0])
        for message, (*_, pauses, _) in zip(messages, plan, strict=True):
            await begin(ctx, dut, message)
            await send(ctx, dut.inlet, message.beats, pauses, random)
            tag = await until_done(ctx, dut)
            assert tag == message.tag
            for _ in range(3):
                await ctx.tick()
                assert not ctx.get(dut.done) and ctx.get(dut.tag) == int.from_bytes(tag, "little")

    async def read(ctx):
        random = Random(given[1])
        for message, (*_, pauses) in zip(messages, plan, strict=True):
            assert fields(await receive(ctx, dut.outlet, len(message.given), pauses, random)) == message.given

    simulate(dut, write, read, background=[partial(check_stable, stream=dut.outlet)])


@every_cipher
def test_latency_and_throughput_are_the_stated_ones(cipher, rng):
    dut = cipher.make()

    async def testbench(ctx):
        ctx.set(dut.outlet.ready, 1)
        for absorb, count in product((OPEN, ABSORB), (1, 4, 9)):
            message = Message.draw(cipher, rng, absorb, count)
            taken, cycle, beats = [], 1, list(message.beats)
            await begin(ctx, dut, message)
            ctx.set(dut.inlet.valid, 1)
            while not ctx.get(dut.done):
                ctx.set(dut.inlet.payload, beats[min(len(taken), count - 1)])
                assert ctx.get(dut.outlet.valid) == ctx.get(dut.inlet.ready)
                if ctx.get(dut.inlet.ready):
                    assert fields([ctx.get(dut.outlet.payload)]) == [message.given[len(taken)]]
                    taken.append(cycle)
                await ctx.tick()
                cycle += 1
            assert taken == [cipher.at(absorb, number) for number in range(count)]
            assert cycle == taken[-1] + cipher.ends(absorb, count)

    simulate(dut, testbench)


@pytest.mark.parametrize("absorb", [OPEN, ABSORB])
@every_cipher
def test_no_handshake_depends_on_key_nonce_or_message(cipher, absorb, rng, seed):
    """Cycle by cycle, with the same pauses, among them cycles in which only one side is ready."""
    dut = cipher.make()
    messages = [Message.draw(cipher, rng, absorb, 6) for _ in range(3)]
    messages += [Message.sealed(cipher, bytes(16), bytes(cipher.model.NONCE_BYTES), absorb, bytes(6 * cipher.size))]
    seen = []

    async def testbench(ctx):
        for message in messages:
            random, beats, cycles = Random(seed), list(message.beats), []
            await begin(ctx, dut, message)
            valid = taken = 0
            while not ctx.get(dut.done):
                valid = taken < 6 and (valid or random.random() < 0.3)
                ctx.set(dut.inlet.valid, valid)
                ctx.set(dut.inlet.payload, beats[min(taken, 5)])
                ctx.set(dut.outlet.ready, random.random() < 0.3)
                cycles.append((ctx.get(dut.inlet.ready), ctx.get(dut.outlet.valid)))
                if valid and cycles[-1][0]:
                    assert cycles[-1][1]
                    taken, valid = taken + 1, 0
                await ctx.tick()
            assert ctx.get(dut.tag) == int.from_bytes(message.tag, "little")
            seen.append(cycles)

    simulate(dut, testbench)
    assert seen[1:] == seen[:-1]


@every_cipher
def test_any_change_changes_the_tag(cipher, rng):
    """A bit of a word, key or nonce; a word less, a word more, two words exchanged; opened instead of absorbed."""
    dut = cipher.make()

    def flip(data: bytes) -> bytes:
        return (int.from_bytes(data, "little") ^ 1 << int(rng.integers(8 * len(data)))).to_bytes(len(data), "little")

    async def testbench(ctx):
        for absorb in (OPEN, ABSORB):
            message = Message.draw(cipher, rng, absorb, 4)
            words = message.taken
            place, bit = int(rng.integers(4)), 1 << int(rng.integers(8 * cipher.size))
            (a, _), (b, _), (c, _), (d, _) = words
            changed = [
                replace(message, taken=[(data ^ bit * (i == place), last) for i, (data, last) in enumerate(words)]),
                replace(message, key=flip(message.key)),
                replace(message, nonce=flip(message.nonce)),
                replace(message, taken=[(a, 0), (b, 0), (c, 1)]),
                replace(message, taken=[(a, 0), (b, 0), (c, 0), (d, 0), (0, 1)]),
                replace(message, taken=[(b, 0), (a, 0), (c, 0), (d, 1)]),
                replace(message, absorb=1 - absorb),
            ]
            tags = [(await run(ctx, dut, each))[1] for each in [message, *changed]]
            assert tags[0] == message.tag and len(set(tags)) == len(tags)

    simulate(dut, testbench)


@pytest.mark.parametrize("how", ["clear", "reset", "start"])
@every_cipher
def test_a_message_that_is_cut_short_leaves_nothing(cipher, how, rng):
    """In every phase, also while a word waits on either side. `clear` zeroises. After each the next message is right."""
    dut = cipher.make()
    reset = Signal()
    fragment = Fragment.get(ResetInserter(reset)(dut), None)
    registers = registers_of(fragment)
    assert sum(len(Value.cast(register)) for register in registers) > 128
    whole = cipher.at(OPEN, 1) + cipher.ends(OPEN, 2)
    ends = [whole, *rng.integers(1, whole, 12)]

    async def testbench(ctx):
        for number, end in enumerate(ends):
            await begin(ctx, dut, Message.draw(cipher, rng, number % 2, 2))
            ctx.set(dut.inlet.valid, number % 3 != 1)
            ctx.set(dut.outlet.ready, number % 3 != 2)
            await ctx.tick().repeat(int(end))
            ctx.set(dut.inlet.valid, 1)
            ctx.set(dut.outlet.ready, 1)
            if how != "start":
                word = int.from_bytes(rng.bytes(cipher.size), "little")
                ctx.set(dut.inlet.payload, {"data": word, "last": 0})
                signal = {"clear": dut.clear, "reset": reset}[how]
                ctx.set(signal, 1)
                if how == "clear":
                    ctx.set(dut.start, number % 2)
                    assert not ctx.get(dut.inlet.ready) and not ctx.get(dut.outlet.valid)
                await ctx.tick()
                ctx.set(signal, 0)
                ctx.set(dut.start, 0)
                if how == "clear":
                    assert [register.name for register in registers if ctx.get(Value.cast(register))] == []
                    assert fields([ctx.get(dut.outlet.payload)]) == [(word, 0)] and not ctx.get(dut.tag)
                for _ in range(3):
                    assert not ctx.get(dut.inlet.ready) and not ctx.get(dut.outlet.valid) and not ctx.get(dut.done)
                    await ctx.tick()
            message = Message.draw(cipher, rng, int(rng.integers(2)), 2)
            assert await run(ctx, dut, message) == (message.given, message.tag)

    simulate(fragment, testbench)
