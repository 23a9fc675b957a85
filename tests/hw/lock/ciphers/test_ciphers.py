"""All ciphers have one interface, and the same must hold of each."""

from dataclasses import replace
from functools import partial
from itertools import product
from random import Random

import pytest
from amaranth.hdl import Fragment, ResetInserter, Signal, Value

from deeplock.hw.lock.ciphers.acorn import Acorn
from deeplock.hw.lock.ciphers.ascon import Ascon
from deeplock.hw.lock.ciphers.tinyjambu import TinyJambu
from tests.hw.lock.ciphers.cipher_tools import CIPHERS, Message, begin
from tests.hw.refusal import assert_refused
from tests.hw.register_tools import registers_of
from tests.hw.stream_tools import check_stable, receive, send, simulate

OPEN, ABSORB = 0, 1
USUAL = ("acorn-4", "ascon-8", "tinyjambu-4-128")
"""Of each cipher one form; the others, and ACORN's with several lanes, are in the full test."""
every_cipher = pytest.mark.parametrize(
    "cipher",
    [pytest.param(each, id=str(each), marks=[] if str(each) in USUAL else [pytest.mark.slow]) for each in CIPHERS],
)
quick_ciphers = pytest.mark.parametrize(
    "cipher",
    [pytest.param(each, id=str(each), marks=[] if str(each) in USUAL[:2] else [pytest.mark.slow]) for each in CIPHERS],
)
"""Without TinyJAMBU, whose words take many cycles."""


def fields(beats: list) -> list[tuple[int, int]]:
    return [(beat.data, beat.last) for beat in beats]


async def run(ctx, dut, message: Message) -> list[tuple[int, int]]:
    """A whole message and its tag without pauses: what comes out."""
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
    return out


@every_cipher
def test_words_and_tags_are_the_models_under_any_pauses(cipher, rng, dice):
    """Messages of 1 to 32 words, one after another, opened or absorbed, with pauses on no side, either, or both. After the tag
    nothing is taken."""
    dut = cipher.make()
    plan = [(OPEN, 32, 0.0, 0.0), (ABSORB, 32, 0.5, 0.5), (OPEN, 1, 0.9, 0.0), (ABSORB, 1, 0.0, 0.9)]
    plan += [(int(rng.integers(2)), int(rng.integers(2, 20)), 0.6, 0.6) for _ in range(4)]
    messages = [Message.draw(cipher, rng, absorb, count) for absorb, count, *_ in plan]
    given = [dice.random(), dice.random()]

    async def write(ctx):
        random = Random(given[0])
        for message, (*_, pauses, _) in zip(messages, plan, strict=True):
            await begin(ctx, dut, message)
            await send(ctx, dut.inlet, message.beats, pauses, random)
            ctx.set(dut.inlet.valid, 1)
            for _ in range(6):
                assert not ctx.get(dut.inlet.ready) and not ctx.get(dut.outlet.valid)
                await ctx.tick()
            ctx.set(dut.inlet.valid, 0)

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
            assert len(beats) == count + dut.tag_words
            await begin(ctx, dut, message)
            ctx.set(dut.inlet.valid, 1)
            while len(taken) < len(beats):
                ctx.set(dut.inlet.payload, beats[len(taken)])
                assert ctx.get(dut.outlet.valid) == ctx.get(dut.inlet.ready)
                if ctx.get(dut.inlet.ready):
                    assert fields([ctx.get(dut.outlet.payload)]) == [message.given[len(taken)]]
                    taken.append(cycle)
                await ctx.tick()
                cycle += 1
            assert taken == [cipher.at(absorb, number) for number in range(count)] + cipher.tag_at(absorb, count)

    simulate(dut, testbench)


@pytest.mark.parametrize("absorb", [OPEN, ABSORB])
@quick_ciphers
def test_no_handshake_depends_on_key_nonce_or_words(cipher, absorb, rng, seed):
    """Cycle by cycle, with the same pauses, among them cycles in which only one side is ready. The second tag is wrong."""
    dut = cipher.make()
    messages = [Message.draw(cipher, rng, absorb, 6) for _ in range(3)]
    messages += [Message.sealed(cipher, bytes(16), bytes(cipher.model.NONCE_BYTES), absorb, bytes(6 * cipher.size))]
    wrong = messages[0].taken[:6] + [(data ^ 1, last) for data, last in messages[0].taken[6:]]
    messages.insert(1, replace(messages[0], taken=wrong))
    seen = []

    async def testbench(ctx):
        for message in messages:
            random, beats, cycles = Random(seed), list(message.beats), []
            await begin(ctx, dut, message)
            valid = taken = 0
            for _ in range(cipher.tag_at(absorb, 6)[-1] + 150):
                valid = taken < len(beats) and (valid or random.random() < 0.3)
                ctx.set(dut.inlet.valid, valid)
                ctx.set(dut.inlet.payload, beats[min(taken, len(beats) - 1)])
                ctx.set(dut.outlet.ready, random.random() < 0.3)
                cycles.append((ctx.get(dut.inlet.ready), ctx.get(dut.outlet.valid)))
                if valid and cycles[-1][0]:
                    assert cycles[-1][1]
                    taken, valid = taken + 1, 0
                await ctx.tick()
            assert taken == len(beats)
            seen.append(cycles)

    simulate(dut, testbench)
    assert seen[1:] == seen[:-1]


@every_cipher
def test_each_changed_bit_of_a_tag_leaves_with_its_word(cipher, rng):
    dut = cipher.make()

    async def testbench(ctx):
        message = Message.draw(cipher, rng, OPEN, 2)
        await begin(ctx, dut, message)
        ctx.set(dut.inlet.valid, 1)
        for number, (data, last) in enumerate(message.taken):
            ctx.set(dut.outlet.ready, 0)
            await ctx.tick().until(dut.outlet.valid)
            for bit in range(8 * cipher.size if number >= message.count else 0):
                ctx.set(dut.inlet.payload, {"data": data ^ 1 << bit, "last": last})
                assert fields([ctx.get(dut.outlet.payload)]) == [(1 << bit, last)]
            ctx.set(dut.inlet.payload, {"data": data, "last": last})
            ctx.set(dut.outlet.ready, 1)
            await ctx.tick()

    simulate(dut, testbench)


@every_cipher
def test_any_change_of_a_message_shows_in_the_tag_of_each_lane_concerned(cipher, rng):
    """A bit of a word, key or nonce; a word less, a word more, two words exchanged; opened instead of absorbed."""
    dut = cipher.make()
    width = 8 * cipher.size // cipher.lanes
    every = set(range(cipher.lanes))

    def flip(data: bytes) -> bytes:
        return (int.from_bytes(data, "little") ^ 1 << int(rng.integers(8 * len(data)))).to_bytes(len(data), "little")

    async def wrong(ctx, message: Message) -> set[int]:
        """The lanes that do not give 0 for the tag."""
        checks = [data for data, _ in (await run(ctx, dut, message))[-dut.tag_words :]]
        return {lane for lane in every if any(data >> width * lane & (1 << width) - 1 for data in checks)}

    async def testbench(ctx):
        for absorb in (OPEN, ABSORB):
            message = Message.draw(cipher, rng, absorb, 4)
            assert await wrong(ctx, message) == set()
            (a, _), (b, _), (c, _), (d, _), *tag = message.taken
            for lane in every:
                changed, place = list(message.taken), int(rng.integers(4))
                data, last = changed[place]
                changed[place] = data ^ 1 << width * lane + int(rng.integers(width)), last
                assert await wrong(ctx, replace(message, taken=changed)) == {lane}
            for changed in (
                replace(message, key=flip(message.key)),
                replace(message, nonce=flip(message.nonce)),
                replace(message, taken=[(a, 0), (b, 0), (c, 1), *tag]),
                replace(message, taken=[(a, 0), (b, 0), (c, 0), (d, 0), (0, 1), *tag]),
                replace(message, taken=[(b, 0), (a, 0), (c, 0), (d, 1), *tag]),
                replace(message, absorb=1 - absorb),
            ):
                assert await wrong(ctx, changed) == every

    simulate(dut, testbench)


@pytest.mark.parametrize("how", ["clear", pytest.param("reset", marks=pytest.mark.slow), "start"])
@quick_ciphers
def test_a_message_that_is_cut_short_leaves_nothing(cipher, how, rng):
    """In every phase, in front of and behind the tag's first word, also while a word waits on either side. `clear` zeroises.
    After each the next message is right."""
    dut = cipher.make()
    reset = Signal()
    fragment = Fragment.get(ResetInserter(reset)(dut), None)
    registers = registers_of(fragment)
    assert sum(len(Value.cast(register)) for register in registers) > 128
    (*_, whole) = cipher.tag_at(ABSORB, 1)
    ends = [cipher.tag_at(absorb, 1)[0] - before for before in (1, 0) for absorb in (OPEN, ABSORB)]
    ends += [int(end) for end in rng.integers(1, whole, 8)]

    async def testbench(ctx):
        for number, end in enumerate(ends):
            word = {"data": int.from_bytes(rng.bytes(cipher.size), "little"), "last": 1}
            await begin(ctx, dut, Message.draw(cipher, rng, number % 2, 1))
            ctx.set(dut.inlet.payload, word)
            ctx.set(dut.inlet.valid, 1)
            ctx.set(dut.outlet.ready, 1)
            await ctx.tick().repeat(end)
            ctx.set(dut.inlet.valid, number % 3 != 1)
            ctx.set(dut.outlet.ready, number % 3 != 2)
            for _ in range(number % 4):
                await ctx.tick()
            ctx.set(dut.inlet.valid, 1)
            ctx.set(dut.outlet.ready, 1)
            signal = {"clear": dut.clear, "reset": reset, "start": dut.start}[how]
            ctx.set(signal, 1)
            if how != "reset":
                assert not ctx.get(dut.inlet.ready) and not ctx.get(dut.outlet.valid)
            if how != "start":
                ctx.set(dut.start, how == "clear" and number % 2)
                await ctx.tick()
                ctx.set(signal, 0)
                ctx.set(dut.start, 0)
                if how == "clear":
                    assert [register.name for register in registers if ctx.get(Value.cast(register))] == []
                    assert fields([ctx.get(dut.outlet.payload)]) == [(word["data"], 1)]
                for _ in range(3):
                    assert not ctx.get(dut.inlet.ready) and not ctx.get(dut.outlet.valid)
                    await ctx.tick()
            message = Message.draw(cipher, rng, int(rng.integers(2)), 2)
            assert await run(ctx, dut, message) == message.given

    simulate(fragment, testbench)


@pytest.mark.parametrize("make", [Acorn, Ascon, partial(TinyJambu, steps=32)])
def test_another_number_of_bytes_is_refused(make):
    assert_refused("bytes_per_beat must be 4, 8 or 16, not 32", lambda: make(32))
