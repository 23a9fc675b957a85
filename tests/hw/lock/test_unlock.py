from functools import partial
from itertools import product
from random import Random

import numpy as np
import pytest
from amaranth.hdl import Fragment

from deeplock.hw.lock.sbox import STYLES
from deeplock.hw.lock.unlock import UnlockUnit
from deeplock.pymodel.lock.key_schedule import expand_key
from deeplock.pymodel.lock.sbox import INV_SBOX, SBOX
from deeplock.pymodel.lock.suites.deep_lock import DeepLock
from tests.hw.refusal import assert_refused
from tests.hw.register_tools import registers_of
from tests.hw.stream_tools import check_stable, receive, send, simulate

CUSTOM = np.random.default_rng(5).permutation(256)


class Streams:
    """A random parameter stream of `count` beats, locked, with its key stream, as a simulation sends and expects it."""

    def __init__(self, bytes_per_beat: int, count: int, rng: np.random.Generator, table: np.ndarray = SBOX):
        chosen = DeepLock(table)
        key, plain = rng.bytes(16), rng.integers(0, 256, count * bytes_per_beat, np.uint8)
        last = (rng.random(count) < 0.2).astype(int).tolist()

        def beats(data: np.ndarray) -> list[int]:
            return [int.from_bytes(beat.tobytes(), "little") for beat in data.reshape(count, bytes_per_beat)]

        self.key_stream = beats(expand_key(key, len(plain)))
        self.locked = [{"data": d, "last": f} for d, f in zip(beats(chosen.lock(plain, key)), last, strict=True)]
        self.plain = list(zip(beats(plain), last, strict=True))


def fields(beats: list) -> list[tuple[int, int]]:
    return [(beat.data, beat.last) for beat in beats]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("bytes_per_beat", [1, 8])
def test_unlock_keeps_order_and_data_under_any_pauses(bytes_per_beat, style, seed, rng):
    """60 beats with each combination of pauses on the three sides."""
    dut = UnlockUnit(bytes_per_beat, style)
    every, count = list(product((0.0, 0.5), repeat=3)), 60
    streams = Streams(bytes_per_beat, count * len(every), rng)

    async def offer(ctx, stream, items: list, side: int):
        random = Random(seed + side)
        for number, pauses in enumerate(every):
            await send(ctx, stream, items[count * number : count * (number + 1)], pauses[side], random)

    async def read(ctx):
        random = Random(seed + 2)
        for number, (*_, pauses) in enumerate(every):
            expected = streams.plain[count * number : count * (number + 1)]
            assert fields(await receive(ctx, dut.plain, count, pauses, random)) == expected, every[number]

    simulate(
        dut,
        partial(offer, stream=dut.locked, items=streams.locked, side=0),
        partial(offer, stream=dut.key_stream, items=streams.key_stream, side=1),
        read,
        background=[partial(check_stable, stream=dut.plain)],
    )


@pytest.mark.parametrize("bytes_per_beat", [4, 16])
@pytest.mark.parametrize("style", STYLES)
def test_latency_is_one_cycle_and_throughput_one_beat_a_cycle(style, bytes_per_beat, rng):
    dut = UnlockUnit(bytes_per_beat, style)
    streams = Streams(bytes_per_beat, 50, rng)

    async def read(ctx):
        ctx.set(dut.plain.ready, 1)
        assert not ctx.get(dut.plain.valid)
        for beat in streams.plain:
            await ctx.tick()
            assert ctx.get(dut.plain.valid)
            assert fields([ctx.get(dut.plain.payload)]) == [beat]

    simulate(
        dut,
        partial(send, stream=dut.locked, items=streams.locked),
        partial(send, stream=dut.key_stream, items=streams.key_stream),
        read,
    )


@pytest.mark.parametrize("style", ["rom", "lut"])
def test_any_bijection_unlocks(style, rng):
    dut = UnlockUnit(4, style, CUSTOM)
    streams = Streams(4, 30, rng, CUSTOM)

    async def read(ctx):
        assert fields(await receive(ctx, dut.plain, 30)) == streams.plain

    simulate(
        dut,
        partial(send, stream=dut.locked, items=streams.locked),
        partial(send, stream=dut.key_stream, items=streams.key_stream),
        read,
    )


@pytest.mark.parametrize("style", STYLES)
def test_starved_tells_that_only_the_key_stream_is_missing(style):
    dut = UnlockUnit(4, style)

    async def testbench(ctx):
        ctx.set(dut.plain.ready, 1)
        seen = []
        for locked, key in [(0, 0), (0, 1), (1, 0), (1, 0), (0, 0), (1, 1), (1, 0), (0, 1), (0, 1), (0, 0)]:
            ctx.set(dut.locked.valid, locked)
            ctx.set(dut.key_stream.valid, key)
            seen.append((ctx.get(dut.starved), ctx.get(dut.locked.ready)))
            assert ctx.get(dut.plain.valid) <= key
            await ctx.tick()
        # one beat goes in without its key and waits for three cycles, the next one for one
        assert seen == [(0, 1), (0, 1), (0, 1), (1, 0), (1, 0), (0, 1), (1, 0), (0, 1), (0, 1), (0, 1)]
        # a beat that has its key waits for the output
        ctx.set(dut.locked.valid, 1)
        ctx.set(dut.key_stream.valid, 1)
        ctx.set(dut.plain.ready, 0)
        for _ in range(3):
            await ctx.tick()
            assert ctx.get(dut.plain.valid) and not ctx.get(dut.starved) and not ctx.get(dut.locked.ready)

    simulate(dut, testbench)


@pytest.mark.parametrize("style", STYLES)
def test_clear_drops_the_beat_inside_and_zeroises(style, rng):
    dut = UnlockUnit(4, style)
    fragment = Fragment.get(dut, None)
    registers = registers_of(fragment)
    public = {"rom": set(), "lut": {"substituted"}, "composite": {"a_cut", "b_cut", "norm_cut"}}
    assert {register.name for register in registers} == {"valid", "plain__payload"} | public[style]
    streams = Streams(4, 5, rng)

    async def offer(ctx, number: int) -> None:
        ctx.set(dut.locked.payload, streams.locked[number])
        ctx.set(dut.key_stream.payload, streams.key_stream[number])
        ctx.set(dut.locked.valid, 1)
        ctx.set(dut.key_stream.valid, 1)

    async def testbench(ctx):
        for ready in (0, 1):
            await offer(ctx, 0)
            await ctx.tick()
            assert ctx.get(dut.plain.valid)
            ctx.set(dut.plain.ready, ready)
            ctx.set(dut.clear, 1)
            assert not ctx.get(dut.locked.ready) and not ctx.get(dut.key_stream.ready)
            await ctx.tick()
            assert not ctx.get(dut.plain.valid) and not ctx.get(dut.plain.payload.last)
            ctx.set(dut.key_stream.payload, 0)
            # the block RAM keeps what the S-box makes of locked bytes
            kept = bytes(INV_SBOX[list(streams.locked[0]["data"].to_bytes(4, "little"))]) if style == "rom" else b""
            assert ctx.get(dut.plain.payload.data) == int.from_bytes(kept, "little")
            assert not any(ctx.get(register) for register in registers if register.name in public[style])
            await offer(ctx, 1)
            ctx.set(dut.clear, 0)
            await ctx.tick()
            assert fields([ctx.get(dut.plain.payload)]) == [streams.plain[1]]
            ctx.set(dut.locked.valid, 0)
            ctx.set(dut.plain.ready, 1)
            await ctx.tick()
            assert not ctx.get(dut.plain.valid)
            ctx.set(dut.plain.ready, 0)

    simulate(fragment, testbench)


def test_faults_of_arguments_are_named():
    assert_refused("bytes_per_beat must be at least 1, not 0", lambda: UnlockUnit(0, "rom"))
    assert_refused("style must be rom, lut or composite, not bram", lambda: UnlockUnit(4, "bram"))
    assert_refused(
        "style composite knows only the AES S-box and its inverse; use rom or lut",
        lambda: UnlockUnit(4, "composite", CUSTOM),
    )
    assert_refused("S-box must have 256 entries, has shape (2,)", lambda: UnlockUnit(4, "rom", np.arange(2)))
