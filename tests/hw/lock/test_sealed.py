"""The lock of the sealed suites: what it passes, and its verdicts, are those of the model."""

from functools import partial
from random import Random

import numpy as np
import pytest
from amaranth.hdl import Fragment, ResetInserter, Signal, Value

from deeplock.hw.basics.bundles import Part
from deeplock.hw.lock.lock import lock_of
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.spec.config import Config
from tests.hw.layer_tools import to_word
from tests.hw.register_tools import registers_of
from tests.hw.stream_tools import check_stable, receive, simulate

LOCKS = [("ascon", 8), ("acorn", 4), ("acorn", 16), ("tinyjambu", 4)]
every_lock = pytest.mark.parametrize(("name", "beat"), LOCKS)
Beat = tuple[Part, int, int]
"""part, data, last"""


def config_of(name: str, beat: int) -> Config:
    return Config(rows=4, cols=16, bytes_per_beat=beat, suite=name)


def beats_of(part: Part, data: bytes, beat: int) -> list[Beat]:
    rows = np.frombuffer(data, np.uint8).reshape(-1, beat)
    return [(part, to_word(row), int(number == len(rows) - 1)) for number, row in enumerate(rows)]


class Stream:
    """A sealed loadable of `count` inferences, and what the lock makes of it.

    beats  one list for each message: of the head with its nonce, then of each inference's parameters
    plain  (data, last) of each message
    """

    def __init__(self, name: str, beat: int, rng: np.random.Generator, count: int, length: int):
        self.key = rng.bytes(16)
        chosen = suite(name)
        head, parameters = rng.bytes(16 * 8), rng.bytes(length * beat)
        locked = chosen.lock_loadable(head, parameters, self.key, beat)
        end = len(parameters)
        section = beats_of(Part.PARAMETERS, locked.parameters[:end], beat)
        section += beats_of(Part.TAG, locked.parameters[end:], beat)
        self.beats = [
            beats_of(Part.NONCE, locked.nonce, beat)
            + beats_of(Part.HEAD, head, beat)
            + beats_of(Part.TAG, locked.head_tag, beat),
            *[section] * count,
        ]
        opened = beats_of(Part.PARAMETERS, parameters, beat)
        self.plain = [[beat[1:] for beat in beats] for beats in (beats_of(Part.HEAD, head, beat), *[opened] * count)]


class Verdicts:
    """What the lock has said so far: "trusted", "right" or "wrong", with the cycle."""

    def __init__(self, dut):
        self.dut, self.said, self.now = dut, [], 0

    async def watch(self, ctx):
        before = 0
        async for *_, trusted, right, wrong in ctx.tick().sample(self.dut.trusted, self.dut.right, self.dut.wrong):
            said = [("trusted", trusted and not before), ("right", right), ("wrong", wrong)]
            self.said += [(word, self.now) for word, is_said in said if is_said]
            before, self.now = trusted, self.now + 1

    @property
    def words(self) -> list[str]:
        return [word for word, _ in self.said]


async def give(ctx, dut, beats: list[Beat], pauses: float = 0.0, random: Random | None = None) -> None:
    """Send beats."""
    for part, data, last in beats:
        while random is not None and random.random() < pauses:
            await ctx.tick()
        ctx.set(dut.locked.payload, {"data": data, "last": last, "part": part})
        ctx.set(dut.locked.valid, 1)
        await ctx.tick().until(dut.locked.ready)
        ctx.set(dut.locked.valid, 0)


def set_key(ctx, dut, key: bytes) -> None:
    ctx.set(dut.key.value, int.from_bytes(key, "little"))
    ctx.set(dut.key.size, len(key))


def set_ready(ctx, dut, ready: int = 1) -> None:
    for outlet in (dut.head, dut.plain):
        ctx.set(outlet.ready, ready)


@pytest.mark.parametrize("pauses", [0.0, 0.5])
@every_lock
def test_head_and_parameters_of_several_inferences_are_the_models(name, beat, pauses, rng, dice):
    stream = Stream(name, beat, rng, 3, 9)
    dut = lock_of(config_of(name, beat))
    verdicts = Verdicts(dut)
    given, got = Random(dice.random()), Random(dice.random())

    async def write(ctx):
        set_key(ctx, dut, stream.key)
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


@every_lock
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
            part, data, last = message[min(at, len(message) - 1)]
            message[min(at, len(message) - 1)] = (part, data ^ 1 << int(rng.integers(bits)), last)
            set_key(ctx, dut, stream.key)
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
    tag = [each for each in one.beats[0] if each[0] == Part.TAG]
    body = [each[1:] for each in one.beats[0] if each[0] == Part.HEAD]
    jobs = [
        (one.key, one.beats[0], other.beats[1]),
        (one.key, one.beats[0], [(Part.PARAMETERS, *each) for each in body] + tag),
    ]

    async def testbench(ctx):
        set_ready(ctx, dut)
        for key, *messages in jobs:
            set_key(ctx, dut, key)
            for message in messages:
                await give(ctx, dut, message)
            await ctx.tick().repeat(3)
            assert verdicts.words == ["trusted", "wrong"]
            verdicts.said.clear()
        set_key(ctx, dut, other.key)
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
        set_key(ctx, dut, stream.key)
        set_ready(ctx, dut)
        for message in stream.beats:
            for part, data, last in message:
                ctx.set(dut.locked.payload, {"data": data, "last": last, "part": part})
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
            assert {r.name for r in state if ctx.get(Value.cast(r))} <= {"nonce", "absorbs", "trusted", "right"}
        ctx.set(dut.locked.payload.part, Part.PARAMETERS)
        ctx.set(dut.locked.valid, 1)
        set_ready(ctx, dut, 0)
        for _ in range(5):
            assert not ctx.get(dut.starved)
            await ctx.tick()

    simulate(fragment, testbench, background=[verdicts.watch])
    assert verdicts.words == ["trusted", "right"]


@pytest.mark.parametrize("with_reset", [False, True])
@pytest.mark.parametrize(("name", "beat"), [("ascon", 8), ("acorn", 8), ("tinyjambu", 4)])
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
            set_key(ctx, dut, stream.key)
            beats = [each for message in stream.beats for each in message]
            await give(ctx, dut, beats[: int(rng.integers(1, len(beats)))])
            await ctx.tick().repeat(int(rng.integers(1, 20)))
            signal = reset if with_reset else dut.clear
            ctx.set(signal, 1)
            await ctx.tick()
            ctx.set(signal, 0)
            if not with_reset:
                assert {r.name for r in state if ctx.get(Value.cast(r))} <= {"nonce"}
            verdicts.said.clear()
            stream = Stream(name, beat, rng, 1, 5)
            set_key(ctx, dut, stream.key)
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
            part, data, last = stream.beats[1][-1]
            stream.beats[1][-1] = (part, data ^ 1, last)
        dut = lock_of(config_of(name, beat))
        cycles = []

        async def watch(ctx, dut=dut, cycles=cycles):
            async for *_, ready, head, plain, starved in ctx.tick().sample(
                dut.locked.ready, dut.head.valid, dut.plain.valid, dut.starved
            ):
                cycles.append((ready, head, plain, starved))

        async def testbench(ctx, dut=dut, stream=stream):
            random = Random(seed)
            set_key(ctx, dut, stream.key)
            set_ready(ctx, dut)
            for message in stream.beats:
                await give(ctx, dut, message, 0.5, random)

        simulate(dut, testbench, background=[watch])
        seen.append(cycles)
    assert seen[0] == seen[1] == seen[2]
