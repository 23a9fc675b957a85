"""The lock of the sealed suites: what it passes, and its verdicts, are those of the model."""

from functools import partial
from random import Random

import pytest
from amaranth.hdl import Fragment, ResetInserter, Signal, Value

from deeplock.hw.basics.bundles import Part
from deeplock.hw.lock.lock import lock_of
from tests.hw.register_tools import registers_of
from tests.hw.sealed_tools import Stream, Verdicts, changed, config_of, give, offer, set_key, set_ready
from tests.hw.stream_tools import check_stable, receive, simulate

LOCKS = [("ascon", 8), ("acorn", 4), pytest.param("acorn", 16, marks=pytest.mark.slow), ("tinyjambu", 4)]
every_lock = pytest.mark.parametrize(("name", "beat"), LOCKS)
TINYJAMBU = pytest.param("tinyjambu", 4, marks=pytest.mark.slow)
"""For tests of many messages: its words take many cycles."""


@pytest.mark.parametrize("pauses", [0.0, 0.5])
@every_lock
def test_head_and_parameters_of_several_inferences_are_the_models(name, beat, pauses, rng, dice):
    stream = Stream(name, beat, rng, 3, 9)
    dut = lock_of(config_of(name, beat))
    verdicts = Verdicts(dut)
    given, got = Random(dice.random()), Random(dice.random())

    async def write(ctx):
        await set_key(ctx, dut, stream.key)
        for message in stream.beats:
            await give(ctx, dut, message, pauses, given)
        await ctx.tick().repeat(3)

    async def read(ctx):
        for outlet, message in zip([dut.head] + [dut.plain] * 3, stream.plain, strict=True):
            beats = await receive(ctx, outlet, len(message), pauses, got)
            assert [(each.data, each.last) for each in beats] == message

    stable = [partial(check_stable, stream=stream) for stream in (dut.head, dut.plain)]
    simulate(dut, write, read, background=[verdicts.watch, *stable])
    assert verdicts.words == ["trusted", "right", "right", "right"]


@pytest.mark.parametrize(("name", "beat"), [*LOCKS[:-1], TINYJAMBU])
def test_a_bit_changed_anywhere_is_told_after_the_tag(name, beat, rng):
    """In a cycle that depends neither on where it is nor on what the message is; and the verdict before it is right."""
    dut = lock_of(config_of(name, beat))
    verdicts = Verdicts(dut)
    cycles: dict[int, set[int]] = {0: set(), 1: set()}
    bits = 8 * beat

    async def testbench(ctx):
        set_ready(ctx, dut)
        for number in range(12):
            which = number % 2  # of the messages
            stream = Stream(name, beat, rng, 1, 5)
            message = stream.beats[which]
            at = number // 2 if number < 6 else int(rng.integers(len(message)))
            at = min(at, len(message) - 1)
            message[at] = changed(message[at], int(rng.integers(bits)))
            await set_key(ctx, dut, stream.key)
            begin = 0
            for each in stream.beats[: which + 1]:
                begin = verdicts.now
                await give(ctx, dut, each)
            await ctx.tick().repeat(3)
            assert verdicts.words == ["trusted"] * which + ["wrong"]
            cycles[which].add(verdicts.said[-1][1] - begin)
            verdicts.said.clear()
            ctx.set(dut.clear, 1)
            await ctx.tick()
            ctx.set(dut.clear, 0)

    simulate(dut, testbench, background=[verdicts.watch])
    assert [*map(len, cycles.values())] == [1, 1]


@every_lock
def test_parameters_under_another_head_or_key_are_wrong(name, beat, rng):
    """Neither is a head taken for parameters, nor parameters for a head."""
    dut = lock_of(config_of(name, beat))
    verdicts = Verdicts(dut)
    one, other = (Stream(name, beat, rng, 1, 5) for _ in range(2))
    tag = [each for each in one.beats[0] if each.part == Part.TAG]
    body = [each._replace(part=Part.PARAMETERS) for each in one.beats[0] if each.part == Part.HEAD]
    jobs = [(one.key, one.beats[0], other.beats[1]), (one.key, one.beats[0], body + tag)]

    async def testbench(ctx):
        set_ready(ctx, dut)
        for key, *messages in jobs:
            await set_key(ctx, dut, key)
            for message in messages:
                await give(ctx, dut, message)
            await ctx.tick().repeat(3)
            assert verdicts.words == ["trusted", "wrong"]
            verdicts.said.clear()
        await set_key(ctx, dut, other.key)
        await give(ctx, dut, one.beats[0])
        await ctx.tick().repeat(3)
        assert verdicts.words == ["wrong"]

    simulate(dut, testbench, background=[verdicts.watch])


@every_lock
def test_a_verdict_comes_two_cycles_after_the_tag_and_starved_is_only_what_the_cipher_delays(name, beat, rng):
    """And with it everything that was made of the key is gone, until the next message."""
    stream = Stream(name, beat, rng, 1, 5)
    dut = lock_of(config_of(name, beat))
    fragment = Fragment.get(dut, None)
    state = registers_of(fragment)
    verdicts = Verdicts(dut)

    async def testbench(ctx):
        await set_key(ctx, dut, stream.key)
        set_ready(ctx, dut)
        for message in stream.beats:
            for each in message:
                part = each.part
                offer(ctx, dut, each)
                ctx.set(dut.locked.valid, 1)
                while not ctx.get(dut.locked.ready):
                    assert ctx.get(dut.starved)
                    await ctx.tick()
                assert not ctx.get(dut.starved)
                assert ctx.get(dut.head.valid) == (part == Part.HEAD)
                assert ctx.get(dut.plain.valid) == (part == Part.PARAMETERS)
                await ctx.tick()
            ctx.set(dut.locked.valid, 0)
            taken = verdicts.now - 1
            await ctx.tick().repeat(2)
            assert verdicts.said[-1][1] == taken + 2
            assert {r.name for r in state if ctx.get(Value.cast(r))} <= {
                "nonce",
                "answered",
                "absorbs",
                "trusted",
                "right",
            }
        ctx.set(dut.locked.payload.part, Part.PARAMETERS)
        ctx.set(dut.locked.valid, 1)
        set_ready(ctx, dut, 0)
        for _ in range(5):
            assert not ctx.get(dut.starved)
            await ctx.tick()

    simulate(fragment, testbench, background=[verdicts.watch])
    assert verdicts.words == ["trusted", "right"]


@pytest.mark.parametrize("with_reset", [pytest.param(False, marks=pytest.mark.slow), True])
@pytest.mark.parametrize(("name", "beat"), [("ascon", 8), ("acorn", 8), TINYJAMBU])
def test_clear_in_mid_message_leaves_nothing_but_the_nonce(name, beat, with_reset, rng):
    """In every part. The next loadable is right."""
    dut = lock_of(config_of(name, beat))
    reset = Signal()
    fragment = Fragment.get(ResetInserter(reset)(dut), None)
    state = registers_of(fragment)
    verdicts = Verdicts(dut)

    async def testbench(ctx):
        set_ready(ctx, dut)
        for _ in range(6):
            stream = Stream(name, beat, rng, 1, 5)
            await set_key(ctx, dut, stream.key)
            beats = [each for message in stream.beats for each in message]
            await give(ctx, dut, beats[: int(rng.integers(1, len(beats)))])
            await ctx.tick().repeat(int(rng.integers(1, 20)))
            signal = reset if with_reset else dut.clear
            ctx.set(signal, 1)
            await ctx.tick()
            ctx.set(signal, 0)
            if not with_reset:
                assert {r.name for r in state if ctx.get(Value.cast(r))} <= {"nonce", "answered"}
            verdicts.said.clear()
            stream = Stream(name, beat, rng, 1, 5)
            await set_key(ctx, dut, stream.key)
            for message in stream.beats:
                await give(ctx, dut, message)
            await ctx.tick().repeat(3)
            assert verdicts.words == ["trusted", "right"]

    simulate(fragment, testbench, background=[verdicts.watch])


@every_lock
def test_no_handshake_depends_on_key_nonce_or_message(name, beat, rng, seed):
    """Cycle by cycle, with the same pauses; also with a tag that is wrong."""
    seen = []
    for number in range(3):
        stream = Stream(name, beat, rng, 1, 5)
        if number == 2:
            stream.beats[1][-1] = changed(stream.beats[1][-1], 0)
        dut = lock_of(config_of(name, beat))
        cycles = []

        async def watch(ctx, dut=dut, cycles=cycles):
            async for *_, ready, head, plain, starved in ctx.tick().sample(
                dut.locked.ready, dut.head.valid, dut.plain.valid, dut.starved
            ):
                cycles.append((ready, head, plain, starved))

        async def testbench(ctx, dut=dut, stream=stream):
            random = Random(seed)
            await set_key(ctx, dut, stream.key)
            set_ready(ctx, dut)
            for message in stream.beats:
                await give(ctx, dut, message, 0.5, random)

        simulate(dut, testbench, background=[watch])
        seen.append(cycles)
    assert seen[0] == seen[1] == seen[2]
