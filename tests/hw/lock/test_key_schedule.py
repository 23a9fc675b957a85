from functools import partial

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Fragment, Value

from deeplock.hw.lock.key_schedule import KeySchedule
from deeplock.hw.lock.sbox import STYLES
from deeplock.pymodel.lock.key_schedule import KEY_SIZES, expand_key
from tests.hw.refusal import assert_refused
from tests.hw.register_tools import registers_of
from tests.hw.stream_tools import check_stable, receive, simulate

BEATS = (4, 8, 16)


def expected_beats(key: bytes, bytes_per_beat: int, count: int) -> list[int]:
    stream = expand_key(key, bytes_per_beat * count).reshape(count, bytes_per_beat)
    return [int.from_bytes(beat.tobytes(), "little") for beat in stream]


async def start(ctx, dut: KeySchedule, key: bytes) -> None:
    ctx.set(dut.key, int.from_bytes(key.ljust(32, b"\xa5"), "little"))  # what is above a short key must not matter
    ctx.set(dut.key_size, len(key))
    ctx.set(dut.start, 1)
    await ctx.tick()
    ctx.set(dut.start, 0)
    ctx.set(dut.key, 0)
    ctx.set(dut.key_size, 16)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("bytes_per_beat", BEATS)
def test_stream_is_the_models_at_one_beat_a_cycle(bytes_per_beat, style, dice):
    dut = KeySchedule(bytes_per_beat, style)

    async def testbench(ctx):
        assert not ctx.get(dut.output.valid)
        for key_size in KEY_SIZES:
            key = dice.randbytes(key_size)
            count = 55 * key_size // bytes_per_beat  # more than the 51 round constants that there are
            await start(ctx, dut, key)
            ctx.set(dut.output.ready, 1)
            for beat in expected_beats(key, bytes_per_beat, count):  # from the cycle after `start` on, without a gap
                assert ctx.get(dut.output.valid)
                assert ctx.get(dut.output.payload) == beat, key_size
                await ctx.tick()

    simulate(dut, testbench)


@pytest.mark.parametrize("key_size", KEY_SIZES)
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("bytes_per_beat", BEATS)
def test_a_schedule_for_one_size_gives_the_same_stream(bytes_per_beat, style, key_size, dice):
    dut = KeySchedule(bytes_per_beat, style, [key_size])

    async def testbench(ctx):
        for _ in range(3):
            key = dice.randbytes(key_size)
            await start(ctx, dut, key)
            ctx.set(dut.key_size, dice.choice(KEY_SIZES))  # does not matter
            assert await receive(ctx, dut.output, 70, 0.2, dice) == expected_beats(key, bytes_per_beat, 70)

    simulate(dut, testbench)


@pytest.mark.parametrize("key_size", KEY_SIZES)
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("bytes_per_beat", BEATS)
def test_pauses_lose_nothing(bytes_per_beat, style, key_size, dice):
    key = dice.randbytes(key_size)
    dut = KeySchedule(bytes_per_beat, style)

    async def testbench(ctx):
        await start(ctx, dut, key)
        assert await receive(ctx, dut.output, 100, 0.5, dice) == expected_beats(key, bytes_per_beat, 100)

    simulate(dut, testbench, background=[partial(check_stable, stream=dut.output)])


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("bytes_per_beat", BEATS)
def test_start_begins_anew_at_any_time_with_any_key(bytes_per_beat, style, dice):
    dut = KeySchedule(bytes_per_beat, style)

    async def testbench(ctx):
        for run in range(20):
            key = dice.randbytes(dice.choice(KEY_SIZES))
            ctx.set(dut.output.ready, dice.randrange(2))  # a beat may be taken in the cycle of `start`
            await start(ctx, dut, key)
            ctx.set(dut.output.ready, 0)
            count = dice.randrange(12)
            assert await receive(ctx, dut.output, count, 0.2, dice) == expected_beats(key, bytes_per_beat, count), run

    simulate(dut, testbench)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("bytes_per_beat", BEATS)
def test_again_begins_anew_behind_the_beat_that_is_taken_and_does_nothing_while_none_is(bytes_per_beat, style, dice):
    dut = KeySchedule(bytes_per_beat, style)

    async def testbench(ctx):
        ctx.set(dut.again, 1)  # before there is a stream
        await ctx.tick()
        assert not ctx.get(dut.output.valid)
        ctx.set(dut.again, 0)
        key = dice.randbytes(16)
        await start(ctx, dut, key)
        for run in range(20):
            beats = expected_beats(key, bytes_per_beat, dice.randrange(1, 12))
            key = dice.randbytes(dice.choice(KEY_SIZES))
            for beat in beats[:-1]:
                assert await receive(ctx, dut.output, 1, 0.2, dice) == [beat], run
            ctx.set(dut.key, int.from_bytes(key, "little"))
            ctx.set(dut.key_size, len(key))
            ctx.set(dut.again, 1)
            assert await receive(ctx, dut.output, 1, 0.4, dice) == beats[-1:], run
            ctx.set(dut.again, 0)

    simulate(dut, testbench)


def test_at_16_bytes_composite_s_boxes_are_tables():
    assert rtlil.convert(KeySchedule(16, "composite")) == rtlil.convert(KeySchedule(16, "lut"))
    for bytes_per_beat in (4, 8):
        assert rtlil.convert(KeySchedule(bytes_per_beat, "composite")) != rtlil.convert(
            KeySchedule(bytes_per_beat, "lut")
        )


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("bytes_per_beat", [4, 8])
def test_subword_has_two_beats_and_one_composite_in_beats_of_a_word_three(bytes_per_beat, style, dice):
    dut = KeySchedule(bytes_per_beat, style, [16])
    fragment = Fragment.get(dut, None)
    (late,) = (register for register in registers_of(fragment) if register.name == "late")
    key = dice.randbytes(16)
    words = expected_beats(key, 4, 5)
    wait = 1 + (bytes_per_beat == 4 and style == "composite")

    async def testbench(ctx):
        await start(ctx, dut, key)
        for beat in expected_beats(key, bytes_per_beat, wait):
            assert ctx.get(late) == 0
            assert await receive(ctx, dut.output, 1) == [beat]
        assert ctx.get(late) == words[0] ^ words[4]  # what the S-boxes and Rcon gave, not yet in any word

    simulate(fragment, testbench)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("bytes_per_beat", BEATS)
def test_clear_zeroises_and_stops(bytes_per_beat, style, dice):
    dut = KeySchedule(bytes_per_beat, style)
    fragment = Fragment.get(dut, None)
    state = registers_of(fragment)
    sbox_output = dut._sbox.output
    # before the S-boxes, in their middle, behind them
    around_sbox = 32 * (style != "rom") + 48 * (style == "composite" and bytes_per_beat == 4) + 32
    assert sum(len(Value.cast(register)) for register in state) == 256 + 2 + 3 + 8 + 1 + around_sbox

    async def testbench(ctx):
        for key_size in KEY_SIZES:
            for ready, restart, again in [(0, 0, 0), (1, 0, 0), (1, 1, 0), (1, 0, 1)]:
                key = dice.randbytes(key_size)
                await start(ctx, dut, key)
                await receive(ctx, dut.output, dice.randrange(1, 20))
                ctx.set(dut.clear, 1)
                ctx.set(dut.start, restart)
                ctx.set(dut.again, again)
                ctx.set(dut.key, dice.getrandbits(256))
                ctx.set(dut.output.ready, ready)
                await ctx.tick()
                ctx.set(dut.clear, 0)
                ctx.set(dut.start, 0)
                ctx.set(dut.again, 0)
                for _ in range(3):
                    assert not ctx.get(dut.output.valid)
                    assert not any(ctx.get(Value.cast(register)) for register in state)
                    assert ctx.get(sbox_output) == 0x63636363  # S[0] of FIPS-197: nothing is left in a block RAM
                    await ctx.tick()
                ctx.set(dut.output.ready, 0)
        await start(ctx, dut, key)
        assert await receive(ctx, dut.output, 9) == expected_beats(key, bytes_per_beat, 9)

    simulate(fragment, testbench)


def test_faults_of_arguments_are_named():
    assert_refused("bytes_per_beat must be 4, 8 or 16, not 5", lambda: KeySchedule(5, "rom"))
    assert_refused("key_sizes must be some of (16, 24, 32), not (16, 20)", lambda: KeySchedule(4, "rom", [16, 20]))
    assert_refused("style must be rom, lut or composite, not bram", lambda: KeySchedule(4, "bram"))
