from functools import partial
from random import Random

import numpy as np
import pytest
from amaranth.hdl import Fragment, ResetInserter, Signal, Value
from amaranth.lib import wiring
from amaranth.sim import Simulator

from deeplock.hw.basics.bundles import Part
from deeplock.hw.lock.lock import lock_of
from deeplock.pymodel.lock.sbox import INV_SBOX
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.spec.config import SBOX_STYLES, Config
from tests.hw.layer_tools import to_word
from tests.hw.register_tools import registers_of
from tests.hw.stream_tools import check_stable, receive, send, simulate

BEATS = (4, 8, 16)
KEY_BYTES = (16, 24, 32)


def config_of(bytes_per_beat: int, sbox: str = "lut", suite: str = "deep-lock") -> Config:
    return Config(rows=4, cols=16, bytes_per_beat=bytes_per_beat, suite=suite, sbox=sbox)


def sections_of(rng, config: Config, key: bytes, lengths: list[int]) -> tuple[list[dict], list[tuple[int, int]]]:
    """Locked beats of several sections, each locked from byte 0 of the key stream on, and the plain ones."""
    locked, plain = [], []
    for length in lengths:
        data = rng.integers(0, 256, length * config.bytes_per_beat, dtype=np.uint8)
        secret = suite(config.suite).lock(data, key)
        for number in range(length):
            at = slice(number * config.bytes_per_beat, (number + 1) * config.bytes_per_beat)
            last = int(number == length - 1)
            locked.append({"data": to_word(secret[at]), "last": last, "part": Part.PARAMETERS})
            plain.append((to_word(data[at]), last))
    return locked, plain


async def start(ctx, dut: wiring.Component, key: bytes) -> None:
    ctx.set(dut.key.value, int.from_bytes(key.ljust(32, b"\x5a"), "little"))
    ctx.set(dut.key.size, len(key))
    ctx.set(dut.start, 1)
    await ctx.tick()
    ctx.set(dut.start, 0)


def fields(beats: list) -> list[tuple[int, int]]:
    return [(beat.data, beat.last) for beat in beats]


@pytest.mark.parametrize("pauses", [0.0, 0.5])
@pytest.mark.parametrize("key_bytes", KEY_BYTES)
@pytest.mark.parametrize("bytes_per_beat", BEATS)
def test_every_section_is_unlocked_from_byte_0_of_the_key_stream_on(bytes_per_beat, key_bytes, pauses, rng, dice):
    config = config_of(bytes_per_beat)
    dut = lock_of(config)
    key = rng.bytes(key_bytes)
    locked, plain = sections_of(rng, config, key, [20, 1, 2, 30])

    async def write(ctx):
        await start(ctx, dut, key)
        await send(ctx, dut.locked, locked, pauses, Random(dice.random()))

    async def read(ctx):
        assert fields(await receive(ctx, dut.plain, len(plain), pauses, Random(dice.random()))) == plain

    simulate(dut, write, read, background=[partial(check_stable, stream=dut.plain)])


@pytest.mark.parametrize("sbox", SBOX_STYLES)
@pytest.mark.parametrize("bytes_per_beat", BEATS)
def test_a_beat_a_cycle_one_cycle_later_also_from_section_to_section(bytes_per_beat, sbox, rng):
    """And never starved: the key stream keeps up from the cycle after `start` on."""
    config = config_of(bytes_per_beat, sbox)
    dut = lock_of(config)
    key = rng.bytes(16)
    locked, plain = sections_of(rng, config, key, [13, 1, 1, 9])

    async def testbench(ctx):
        await start(ctx, dut, key)
        ctx.set(dut.plain.ready, 1)
        ctx.set(dut.locked.valid, 1)
        for beat, before in zip(locked, [None, *plain], strict=False):
            ctx.set(dut.locked.payload, beat)
            assert ctx.get(dut.locked.ready) and not ctx.get(dut.starved)
            assert ctx.get(dut.plain.valid) == (before is not None)
            if before:
                assert fields([ctx.get(dut.plain.payload)]) == [before]
            await ctx.tick()
        assert fields([ctx.get(dut.plain.payload)]) == [plain[-1]]

    simulate(dut, testbench)


def test_starved_without_start():
    """Nothing is unlocked before a key stream begins."""
    dut = lock_of(config_of(8))

    async def testbench(ctx):
        ctx.set(dut.locked.payload.part, Part.PARAMETERS)
        ctx.set(dut.locked.valid, 1)
        ctx.set(dut.plain.ready, 1)
        assert ctx.get(dut.locked.ready) and not ctx.get(dut.starved)
        for _ in range(5):
            await ctx.tick()
            assert ctx.get(dut.starved) and not ctx.get(dut.locked.ready) and not ctx.get(dut.plain.valid)

    simulate(dut, testbench)


@pytest.mark.parametrize("bytes_per_beat", BEATS)
def test_a_head_passes_unchanged_in_the_same_cycle_and_is_trusted(bytes_per_beat, rng, dice):
    """Without a key, whoever waits. It takes nothing of the key stream: the next parameters have its byte 0."""
    config = config_of(bytes_per_beat)
    dut = lock_of(config)
    key = rng.bytes(16)
    locked, plain = sections_of(rng, config, key, [9, 2])

    async def testbench(ctx):
        for starts in (False, True):
            if starts:
                await start(ctx, dut, key)
            for number in range(20):
                beat = {
                    "data": to_word(rng.integers(0, 256, bytes_per_beat)),
                    "last": number % 5 == 4,
                    "part": Part.HEAD,
                }
                valid, ready = dice.randrange(2), dice.randrange(2)
                ctx.set(dut.locked.payload, beat)
                ctx.set(dut.locked.valid, valid)
                ctx.set(dut.head.ready, ready)
                ctx.set(dut.plain.ready, not ready)
                assert (ctx.get(dut.head.valid), ctx.get(dut.locked.ready)) == (valid, ready)
                assert fields([ctx.get(dut.head.payload)]) == [(beat["data"], beat["last"])]
                assert not ctx.get(dut.plain.valid)
                assert ctx.get(dut.trusted) and not (ctx.get(dut.right) or ctx.get(dut.wrong) or ctx.get(dut.starved))
                await ctx.tick()
            ctx.set(dut.locked.valid, 0)
        ctx.set(dut.plain.ready, 1)
        for beat, expected in zip(locked, plain, strict=True):
            await send(ctx, dut.locked, [beat])
            assert ctx.get(dut.plain.valid) and fields([ctx.get(dut.plain.payload)]) == [expected]
            assert (
                not ctx.get(dut.head.valid) and ctx.get(dut.trusted) and not (ctx.get(dut.right) or ctx.get(dut.wrong))
            )

    simulate(dut, testbench)


@pytest.mark.parametrize("with_reset", [False, True])
@pytest.mark.parametrize("sbox", SBOX_STYLES)
def test_clear_in_mid_section_leaves_no_byte_of_key_or_weights(sbox, with_reset, rng):
    """In the accelerator, `clear` is a reset as well; each must do alone. The next run is right."""
    config = config_of(8, sbox)
    dut = lock_of(config)
    clear = Signal()
    fragment = Fragment.get(ResetInserter(clear)(dut), None)
    state = registers_of(fragment)
    assert sum(len(Value.cast(register)) for register in state) > 256

    async def testbench(ctx):
        for _ in range(3):
            key = rng.bytes(32)
            locked, plain = sections_of(rng, config, key, [10])
            await start(ctx, dut, key)
            ctx.set(dut.plain.ready, 1)
            count = int(rng.integers(1, 10))
            await send(ctx, dut.locked, locked[:count])
            for signal in (clear, dut.clear) if with_reset else (dut.clear,):
                ctx.set(signal, 1)
            await ctx.tick()
            for signal in (clear, dut.clear) if with_reset else (dut.clear,):
                ctx.set(signal, 0)
            left = [r.name for r in state if ctx.get(Value.cast(r))]
            assert left == (["plain__payload"] if sbox == "rom" else [])
            if sbox == "rom":  # the block RAM keeps what the S-box makes of the last locked bytes, which are public
                public = np.frombuffer(locked[count - 1]["data"].to_bytes(8, "little"), np.uint8)
                assert fields([ctx.get(dut.plain.payload)]) == [(to_word(INV_SBOX[public]), 0)]
            assert not ctx.get(dut.plain.valid)
            await start(ctx, dut, key)
            for beat, expected in zip(locked, plain, strict=True):
                await send(ctx, dut.locked, [beat])
                assert fields([ctx.get(dut.plain.payload)]) == [expected]

    simulate(fragment, testbench)


@pytest.mark.parametrize("pauses", [0.0, 0.5])
def test_plain_is_wires(pauses, rng, dice):
    config = config_of(8, suite="plain")
    dut = lock_of(config)
    locked, plain = sections_of(rng, config, b"", [5, 1, 7])
    assert registers_of(Fragment.get(lock_of(config), None)) == []

    async def testbench(ctx):
        offered, remaining = False, list(zip(locked, plain, strict=True))
        while remaining:
            offered = offered or dice.random() >= pauses
            ready = dice.random() >= pauses
            ctx.set(dut.locked.valid, offered)
            in_head = dice.randrange(2)
            here, other = (dut.head, dut.plain) if in_head else (dut.plain, dut.head)
            ctx.set(dut.locked.payload, remaining[0][0] | {"part": Part.HEAD if in_head else Part.PARAMETERS})
            ctx.set(here.ready, ready)
            ctx.set(other.ready, dice.randrange(2))
            assert ctx.get(here.valid) == offered and ctx.get(dut.locked.ready) == ready and not ctx.get(other.valid)
            assert ctx.get(dut.trusted) and not (ctx.get(dut.right) or ctx.get(dut.wrong) or ctx.get(dut.starved))
            assert fields([ctx.get(here.payload)]) == [remaining[0][1]]
            await ctx.delay(1e-6)
            if offered and ready:
                remaining.pop(0)
                offered = False

    simulator = Simulator(dut)
    simulator.add_testbench(testbench)
    simulator.run()
