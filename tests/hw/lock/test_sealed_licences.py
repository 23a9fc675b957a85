"""The lock of the sealed suites in front of a licence: terms pass, the model key stays, and a wrong licence is told."""

from functools import partial
from random import Random

import pytest
from amaranth.hdl import Fragment, ResetInserter, Signal, Value

from deeplock.hw.basics.bundles import Part
from deeplock.hw.lock.lock import lock_of
from deeplock.pymodel.spec.provisioning import Place, key_rows
from tests.hw.register_tools import registers_of
from tests.hw.sealed_tools import Stream, Verdicts, changed, config_of, give, offer, set_key, set_ready
from tests.hw.stream_tools import check_stable, receive, simulate

LOCKS = [("ascon", 8), *(pytest.param(*each, marks=pytest.mark.slow) for each in (("acorn", 16), ("tinyjambu", 4)))]
every_lock = pytest.mark.parametrize(("name", "beat"), LOCKS)


class Terms:
    """Notes the beats of terms, and that of a licence nothing else leaves."""

    def __init__(self, dut):
        self.dut, self.beats = dut, []

    async def watch(self, ctx):
        locked, terms = self.dut.locked, self.dut.terms
        ports = (terms.valid, terms.payload, self.dut.head.valid, self.dut.plain.valid)
        async for *_, taken, beat, valid, shown, head, plain in ctx.tick().sample(
            locked.valid & locked.ready, locked.payload, *ports
        ):
            assert not (beat.of_licence and taken and (head or plain))
            assert valid == (taken and beat.of_licence and Part(beat.part) == Part.HEAD), "in the same cycle"
            if valid:
                assert shown.data == beat.data
                self.beats.append((shown.data, shown.last))


def key_in(ctx, dut, place: Place) -> bytes:
    words = ctx.get(dut.key_memory.rows[place])
    return b"".join(word.to_bytes(4, "little") for word in words)


async def pulse(ctx, signal: Signal) -> None:
    ctx.set(signal, 1)
    await ctx.tick()
    ctx.set(signal, 0)


@pytest.mark.parametrize("pauses", [pytest.param(0.0, marks=pytest.mark.slow), 0.5])
@pytest.mark.parametrize(
    ("name", "beat"), [("ascon", 8), ("acorn", 8), pytest.param("tinyjambu", 4, marks=pytest.mark.slow)]
)
def test_terms_pass_and_the_model_key_of_each_licence_opens_what_follows_it(name, beat, pauses, rng, dice):
    """Latency 0 for terms too. Each licence has another model key, and all are for the same device."""
    device_key = rng.bytes(16)
    streams = [Stream(name, beat, rng, count, 5, device_key) for count in (2, 1)]
    dut = lock_of(config_of(name, beat, licences=True))
    verdicts, terms = Verdicts(dut), Terms(dut)
    given, got = Random(dice.random()), Random(dice.random())

    async def write(ctx):
        await set_key(ctx, dut, device_key)
        for stream in streams:
            for message in stream.messages:
                await give(ctx, dut, message, pauses, given)
        await ctx.tick().repeat(3)

    async def read(ctx):
        for stream in streams:
            for outlet, message in zip([dut.head] + [dut.plain] * 2, stream.plain, strict=False):
                beats = await receive(ctx, outlet, len(message), pauses, got)
                assert [(each.data, each.last) for each in beats] == message

    stable = [partial(check_stable, stream=stream) for stream in (dut.head, dut.plain)]
    simulate(dut, write, read, background=[verdicts.watch, terms.watch, *stable])
    assert verdicts.words == ["trusted", "right", "right", "trusted", "right"]
    assert terms.beats == streams[0].terms + streams[1].terms


@every_lock
def test_a_bit_changed_anywhere_in_a_licence_and_the_key_of_another_device_are_told(name, beat, rng):
    """Two cycles after the tag, as `unlicensed` only, whatever is wrong; the cycle depends on nothing secret. The first and the
    last beat of each part, and others. Then a right one is taken."""
    dut = lock_of(config_of(name, beat, licences=True))
    verdicts = Verdicts(dut)
    cycles: dict[int, set[int]] = {0: set(), 1: set()}
    device_key = rng.bytes(16)
    like = Stream(name, beat, rng, 1, 1, device_key).licence
    ends = [
        (which, at)
        for which, message in enumerate(like)
        for at, each in enumerate(message)
        if each.last or not at or message[at - 1].last
    ]
    jobs = [*ends, *((which, int(rng.integers(len(like[which])))) for which in (0, 1)), (0, None)]

    async def testbench(ctx):
        set_ready(ctx, dut)
        for which, at in jobs:
            stream = Stream(name, beat, rng, 1, 1, device_key)
            message = stream.licence[which]
            if at is not None:
                message[at] = changed(message[at], int(rng.integers(8 * beat)))
            await set_key(ctx, dut, stream.key if at is not None else rng.bytes(16))
            begin = 0
            for each in stream.licence[: which + 1]:
                begin = verdicts.now
                await give(ctx, dut, each)
            taken = verdicts.now - 1
            await ctx.tick().repeat(3)
            assert verdicts.said == [("unlicensed", taken + 2)]
            cycles[which].add(taken - begin)
            verdicts.said.clear()
            ctx.set(dut.forget, 1)
            await pulse(ctx, dut.clear)
            ctx.set(dut.forget, 0)
        stream = Stream(name, beat, rng, 1, 1, device_key)
        await set_key(ctx, dut, stream.key)
        for each in stream.messages:
            await give(ctx, dut, each)
        await ctx.tick().repeat(3)
        assert verdicts.words == ["trusted", "right"]

    simulate(dut, testbench, background=[verdicts.watch])
    assert [*map(len, cycles.values())] == [1, 1]


@every_lock
def test_parts_of_a_licence_are_taken_for_no_other(name, beat, rng):
    """Neither the loadable's messages for a licence's, though the same key sealed them, nor the reverse, nor those of another
    licence for the same device. Nor does the device's own key open a loadable."""
    keyed = Stream(name, beat, rng, 1, 16 // beat)
    device_key = keyed.key
    one, other = (Stream(name, beat, rng, 1, 16 // beat, device_key) for _ in range(2))
    as_licence = [[each._replace(of_licence=1) for each in message] for message in keyed.beats]
    as_loadable = [[each._replace(of_licence=0) for each in message] for message in one.licence]
    jobs = [
        (keyed.beats[:1], ["wrong"]),
        (as_licence[:1], ["unlicensed"]),
        ([one.licence[0], other.licence[1]], ["unlicensed"]),
        ([*one.licence, as_loadable[0]], ["wrong"]),
        ([*one.licence, keyed.beats[0]], ["wrong"]),
        ([*one.licence, other.beats[0]], ["wrong"]),
        ([*one.licence, one.beats[0], other.beats[1]], ["trusted", "wrong"]),
    ]
    dut = lock_of(config_of(name, beat, licences=True))
    verdicts = Verdicts(dut)

    async def testbench(ctx):
        set_ready(ctx, dut)
        await set_key(ctx, dut, device_key)
        for messages, wanted in jobs:
            for message in messages:
                await give(ctx, dut, message)
            await ctx.tick().repeat(3)
            assert verdicts.words == wanted
            await pulse(ctx, dut.clear)
            verdicts.said.clear()

    simulate(dut, testbench, background=[verdicts.watch])


@every_lock
def test_forget_takes_the_model_key_in_4_cycles_and_lets_none_come(name, beat, rng):
    """Also while the model key comes. What it has sealed is then wrong, and so is what the device's own key has sealed."""
    dut = lock_of(config_of(name, beat, licences=True))
    verdicts = Verdicts(dut)
    keyed = Stream(name, beat, rng, 1, 1)
    stream = Stream(name, beat, rng, 1, 5, keyed.key)
    head = [each for message in stream.messages[:3] for each in message]
    end = sum(map(len, stream.licence))

    async def forgets(ctx):
        ctx.set(dut.forget, 1)
        await ctx.tick().repeat(4)
        assert key_in(ctx, dut, Place.MODEL) == bytes(16)
        assert key_in(ctx, dut, Place.DEVICE) == stream.key

    async def testbench(ctx):
        await set_key(ctx, dut, stream.key)
        set_ready(ctx, dut)
        for message in stream.licence:
            await give(ctx, dut, message)
        assert key_in(ctx, dut, Place.MODEL) == stream.model_key
        await forgets(ctx)
        for each in head[:end]:
            offer(ctx, dut, each)
            ctx.set(dut.locked.valid, 1)
            taken = False
            while not taken:
                taken = ctx.get(dut.locked.ready)
                await ctx.tick()
                assert key_in(ctx, dut, Place.MODEL) == bytes(16)
            ctx.set(dut.locked.valid, 0)
        ctx.set(dut.forget, 0)
        await give(ctx, dut, head[end:])
        await ctx.tick().repeat(3)
        assert verdicts.words == ["wrong"]
        verdicts.said.clear()
        for message in stream.licence:
            await give(ctx, dut, message)
        await pulse(ctx, dut.forget)
        await forgets(ctx)
        ctx.set(dut.forget, 0)
        for message in (head[end:], keyed.beats[0]):
            await give(ctx, dut, message)
            await ctx.tick().repeat(3)
        assert verdicts.words == ["wrong", "wrong"]

    simulate(dut, testbench, background=[verdicts.watch])


@pytest.mark.parametrize("with_reset", [False, True])
@every_lock
def test_clear_keeps_the_model_key_and_nothing_else_and_a_reset_not_even_that(name, beat, with_reset, rng):
    """In mid-message, wherever that is. After the head, and a clear as of a START, the inference is right; the next licence is
    right as well."""
    dut = lock_of(config_of(name, beat, licences=True))
    reset = Signal()
    fragment = Fragment.get(ResetInserter(reset)(dut), None)
    state = registers_of(fragment)
    verdicts = Verdicts(dut)
    device_key = rng.bytes(16)

    async def testbench(ctx):
        set_ready(ctx, dut)
        await set_key(ctx, dut, device_key)
        for _ in range(3):
            stream = Stream(name, beat, rng, 1, 2, device_key)
            beats = [each for message in stream.messages for each in message]
            await give(ctx, dut, beats[: int(rng.integers(1, len(beats)))])
            await ctx.tick().repeat(int(rng.integers(1, 20)))
            before = [key_in(ctx, dut, place) for place in Place]
            await pulse(ctx, reset if with_reset else dut.clear)
            if not with_reset:
                # `number`: of a model key's next beat
                kept = {"nonce", "answered", "key", "key_memory__key", "number"}
                assert {r.name for r in state if ctx.get(Value.cast(r))} <= kept
            await ctx.tick().repeat(6)
            assert [key_in(ctx, dut, place) for place in Place] == (
                key_rows(None)[: len(Place)] if with_reset else before
            )
            if with_reset:
                await set_key(ctx, dut, device_key)
            verdicts.said.clear()
            stream = Stream(name, beat, rng, 1, 2, device_key)
            for message in stream.messages[:3]:
                await give(ctx, dut, message)
            await ctx.tick().repeat(2)
            await pulse(ctx, dut.clear)
            assert key_in(ctx, dut, Place.MODEL) == stream.model_key
            await give(ctx, dut, stream.messages[3])
            await ctx.tick().repeat(3)
            assert verdicts.words == ["trusted", "right"]

    simulate(fragment, testbench, background=[verdicts.watch])


@every_lock
def test_no_handshake_depends_on_device_key_model_key_or_message(name, beat, rng, seed):
    """Cycle by cycle, with the same pauses; also with a licence for another device, and with a wrong tag."""
    seen = []
    for number in range(4):
        stream = Stream(name, beat, rng, 1, 3, rng.bytes(16))
        key = rng.bytes(16) if number == 2 else stream.key
        if number == 3:
            stream.licence[1][-1] = changed(stream.licence[1][-1], 0)
        dut = lock_of(config_of(name, beat, licences=True))
        cycles = []

        async def watch(ctx, dut=dut, cycles=cycles):
            ports = (dut.locked.ready, dut.head.valid, dut.plain.valid, dut.terms.valid, dut.terms.payload.last)
            async for *_, ready, head, plain, terms, last, starved in ctx.tick().sample(*ports, dut.starved):
                cycles.append((ready, head, plain, terms, last and terms, starved))

        async def testbench(ctx, dut=dut, stream=stream, key=key):
            random = Random(seed)
            await set_key(ctx, dut, key)
            set_ready(ctx, dut)
            for message in stream.messages:
                await give(ctx, dut, message, 0.5, random)

        simulate(dut, testbench, background=[watch])
        seen.append(cycles)
    assert seen[0] == seen[1] == seen[2] == seen[3]
