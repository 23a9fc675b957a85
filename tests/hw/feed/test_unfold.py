"""The unfolder against the interpreter's `unfold_ifmaps`."""

from dataclasses import dataclass
from functools import partial
from random import Random
from types import SimpleNamespace

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from deeplock.hw.feed.unfold import Unfolder
from deeplock.pymodel.compiler.interpreter import unfold_ifmaps
from deeplock.pymodel.spec.config import Config
from tests.features import left_out
from tests.hw.layer_tools import to_word
from tests.hw.stream_tools import check_stable, receive, send, simulate


def config_of(rows: int, words: bool = True) -> Config:
    return Config(rows=rows, cols=rows, bytes_per_beat=4, ifmap_bytes=512, activation_words=4096, word_unfolding=words)


CONFIGS = [config_of(4), config_of(8), config_of(16), config_of(4, words=False), config_of(8, words=False)]


def name(config: Config) -> str:
    return f"{config.rows}{left_out(config)}"


def windows(shape, kernel, stride: int, destination: int = 0) -> dict[str, int]:
    """Header fields for the windows of an ifmap of `shape` (height, width, channels)."""
    height, width, depth = shape
    return {
        "run_bytes": kernel[1] * depth,
        "runs": kernel[0],
        "run_pitch": width * depth,
        "x_pitch": stride * depth,
        "y_pitch": stride * width * depth,
        "windows_x": (width - kernel[1]) // stride + 1,
        "windows_y": (height - kernel[0]) // stride + 1,
        "ifmap_bytes": height * width * depth,
        "destination": destination,
    }


def copy(shape) -> dict[str, int]:
    """Header fields for an ifmap that is not unfolded: one window a pixel."""
    return windows(shape, (1, 1), 1)


def random_windows(rng, config: Config) -> dict[str, int]:
    while True:
        height, width, depth = (int(size) for size in rng.integers(1, (11, 11, 2 * config.rows)))
        kernel = int(rng.integers(1, min(height, 5) + 1)), int(rng.integers(1, min(width, 5) + 1))
        fields = windows((height, width, depth), kernel, int(rng.integers(1, 3)), int(rng.integers(0, 3000)))
        if fields["ifmap_bytes"] <= config.ifmap_bytes and parts(config, fields)[1] < (
            400 if config.word_unfolding else 3200
        ):
            return fields


def parts(config: Config, fields: dict[str, int]) -> tuple[int, int, int]:
    """Ifmap beats, run parts of up to `rows` bytes (without word_unfolding: twice the bytes), and windows whose last part
    crosses into a further word."""
    rows, count = config.rows, fields["windows_x"] * fields["windows_y"]
    if not config.word_unfolding:
        return -(-fields["ifmap_bytes"] // rows), 2 * fields["run_bytes"] * fields["runs"] * count, 0
    last = (fields["run_bytes"] - 1) % rows + 1
    before = (fields["run_bytes"] * fields["runs"] - last) % rows
    whole = -(-fields["run_bytes"] // rows) * fields["runs"]
    return -(-fields["ifmap_bytes"] // rows), whole * count, count * (before + last > rows)


@dataclass
class Case:
    """An ifmap stream and the words it must become: (word, bytes that count)."""

    header: dict[str, int]
    beats: list[list[dict]]
    words: list[list[tuple[int, bytes]]]


def case_of(rng, config: Config, fields: dict[str, int], count: int, batch: int = 1) -> Case:
    rows = config.rows
    beats = parts(config, fields)[0]
    header = {name: value for name, value in fields.items() if name != "ifmap_bytes"} | {
        "rows": rows,
        "ifmap_beats": beats,
        "batch": batch,
    }
    ifmaps = rng.integers(-128, 128, (count, beats * rows), dtype=np.int8)
    loadable = SimpleNamespace(header=SimpleNamespace(**header), pack_ifmap=lambda ifmap: ifmap.tobytes())
    unfolded = unfold_ifmaps(loadable, ifmaps)
    taps = fields["run_bytes"] * fields["runs"]
    per_window = -(-taps // rows)
    sizes = [min(rows, taps - rows * part) for part in range(per_window)]
    return Case(
        header,
        [
            [
                {"data": to_word(beat), "last": number == beats - 1}
                for number, beat in enumerate(ifmap.reshape(-1, rows))
            ]
            for ifmap in ifmaps
        ],
        [
            [
                (fields["destination"] + number, word.tobytes()[: sizes[number % per_window]])
                for number, word in enumerate(words)
            ]
            for words in unfolded
        ],
    )


async def receive_words(ctx, dut: Unfolder, config: Config, expected: list[tuple[int, bytes]], *pauses) -> None:
    """Take as many writes as that makes, and compare them."""
    rows = config.rows
    if not config.word_unfolding:
        writes = [(word, 1 << lane, byte) for word, real in expected for lane, byte in enumerate(real)]
        got = await receive(ctx, dut.out, len(writes), *pauses)
        for write, (word, chunks, byte) in zip(got, writes, strict=True):
            assert (write.word, write.chunks, list(write.data)) == (word, chunks, [byte] * rows)
        return
    got = await receive(ctx, dut.out, len(expected), *pauses)
    assert all(write.chunks == 1 for write in got)
    seen = [(write.word, write.data[0].to_bytes(rows, "little")) for write in got]
    assert [word for word, _ in seen] == [word for word, _ in expected]
    assert [data[: len(real)] for (_, data), (_, real) in zip(seen, expected, strict=True)] == [
        real for _, real in expected
    ]


async def begin(ctx, dut: Unfolder, case: Case) -> None:
    ctx.set(dut.header, {name: value for name, value in case.header.items() if name != "rows"})
    ctx.set(dut.run.count, len(case.beats) // case.header["batch"])
    ctx.set(dut.run.active, 1)


async def pulse(ctx, signal) -> None:
    ctx.set(signal, 1)
    await ctx.tick()
    ctx.set(signal, 0)


async def until(ctx, signal) -> None:
    while not ctx.get(signal):
        await ctx.tick()


@pytest.mark.parametrize("pauses", [0.0, 0.4])
@pytest.mark.parametrize("config", CONFIGS, ids=name)
@pytest.mark.parametrize("attempt", range(3))
def test_random_windows_become_the_interpreters_words(attempt, config, pauses, rng, dice):
    """Four ifmaps in two batches; the layer takes each and releases it later, before the next one's words may come."""
    dut = Unfolder(config)
    case = case_of(rng, config, random_windows(rng, config), 4, batch=2)
    print(case.header)

    async def write(ctx):
        await begin(ctx, dut, case)
        beats = [beat for ifmap in case.beats for beat in ifmap]
        await send(ctx, dut.ifmap, beats, pauses, Random(dice.random()))

    async def read(ctx):
        for words in case.words:
            await receive_words(ctx, dut, config, words, pauses, Random(dice.random()))
            await until(ctx, dut.unfolded.ready)
            for _ in range(dice.randrange(3)):
                await ctx.tick()
            await pulse(ctx, dut.unfolded.take)
            assert not ctx.get(dut.unfolded.ready)
            ctx.set(dut.out.ready, 1)
            for _ in range(dice.randrange(10)):
                assert not ctx.get(dut.out.valid)
                await ctx.tick()
            ctx.set(dut.out.ready, 0)
            await pulse(ctx, dut.unfolded.release)
        assert ctx.get(dut.report.never)

    simulate(dut, write, read, background=[partial(check_stable, stream=dut.out)])


FULL = [
    ((512, 1, 1), (512, 1)),  # runs
    ((1, 512, 1), (1, 1)),  # windows in a row
    ((512, 1, 1), (1, 1)),  # rows of windows
    ((1, 1, 512), (1, 1)),  # bytes of a run
    ((2, 1, 256), (2, 1)),
    ((1, 511, 1), (1, 2)),
    ((1, 1, 511), (1, 1)),
]


@pytest.mark.parametrize("config", CONFIGS, ids=name)
@pytest.mark.parametrize(("shape", "kernel"), FULL, ids=str)
def test_every_count_may_be_as_large_as_the_buffer(config, shape, kernel, rng):
    """512 bytes: counts and addresses have just as many bits as that takes."""
    dut = Unfolder(config)
    case = case_of(rng, config, windows(shape, kernel, 1), 2)

    async def write(ctx):
        await begin(ctx, dut, case)
        await send(ctx, dut.ifmap, [beat for ifmap in case.beats for beat in ifmap])

    async def read(ctx):
        for words in case.words:
            await receive_words(ctx, dut, config, words)
            await until(ctx, dut.unfolded.ready)
            await pulse(ctx, dut.unfolded.take)
            await pulse(ctx, dut.unfolded.release)

    simulate(dut, write, read)


@pytest.mark.parametrize("name", ["run_bytes", "runs", "windows_x", "windows_y", "run_pitch", "x_pitch", "y_pitch"])
@pytest.mark.parametrize("value", [513, 1024, 0xFFFF])
def test_a_header_that_asks_for_more_than_the_buffer_ends(name, value, rng):
    """What it unfolds does not matter, but it becomes ready, and the ifmap after it is taken."""
    config = config_of(4)
    dut = Unfolder(config)
    case = case_of(rng, config, copy((3, 3, 5)), 2)
    case.header[name] = value

    async def testbench(ctx):
        await begin(ctx, dut, case)
        for beats in case.beats:
            await send(ctx, dut.ifmap, beats)
            ctx.set(dut.out.ready, 1)
            await until(ctx, dut.unfolded.ready)
            await pulse(ctx, dut.unfolded.take)
            await pulse(ctx, dut.unfolded.release)

    simulate(dut, testbench)


@pytest.mark.parametrize("config", CONFIGS, ids=name)
@pytest.mark.parametrize(
    ("shape", "kernel", "stride"),
    [
        ((9, 9, 1), (3, 3), 1),
        ((7, 8, 3), (3, 3), 2),
        ((5, 5, 1), (5, 5), 1),
        ((4, 4, 16), (1, 1), 1),
        ((3, 5, 19), (2, 1), 1),
    ],
)
def test_cycles_are_ifmap_beats_and_run_parts_and_crossings_and_3(config, shape, kernel, stride, rng):
    dut = Unfolder(config)
    fields = windows(shape, kernel, stride)
    case = case_of(rng, config, fields, 1)
    beats, whole, crossings = parts(config, fields)

    async def testbench(ctx):
        await begin(ctx, dut, case)
        ctx.set(dut.out.ready, 1)
        ctx.set(dut.ifmap.valid, 1)
        for cycle in range(beats):
            ctx.set(dut.ifmap.payload, case.beats[0][cycle])
            assert ctx.get(dut.ifmap.ready)
            await ctx.tick()
        ctx.set(dut.ifmap.valid, 0)
        for _ in range(whole + crossings + 3):
            assert not ctx.get(dut.unfolded.ready)
            await ctx.tick()
        assert ctx.get(dut.unfolded.ready)

    simulate(dut, testbench)


def test_the_next_ifmap_is_buffered_while_the_words_are_in_use(rng):
    """Its words come as soon as the others are released, and not before."""
    config = config_of(4)
    dut = Unfolder(config)
    case = case_of(rng, config, copy((3, 3, 5)), 3)

    async def testbench(ctx):
        await begin(ctx, dut, case)
        for number, words in enumerate(case.words):
            await send(ctx, dut.ifmap, case.beats[number])
            assert not ctx.get(dut.ifmap.ready)
            if number:
                ctx.set(dut.out.ready, 1)
                for _ in range(20):
                    assert not ctx.get(dut.out.valid) and ctx.get(dut.report.never) == (number == 2)
                    await ctx.tick()
                ctx.set(dut.out.ready, 0)
                if number == 1:
                    await pulse(ctx, dut.unfolded.take)
                    assert ctx.get(dut.report.never)
                await pulse(ctx, dut.unfolded.release)
                assert not ctx.get(dut.report.never)
            await receive_words(ctx, dut, config, words)
            await until(ctx, dut.unfolded.ready)
            if number == 1:
                await pulse(ctx, dut.unfolded.take)

    simulate(dut, testbench)


def test_a_release_before_the_take_loses_no_ifmap(rng):
    """Of a program that is wrong: the second ifmap's words must not come before the first is taken."""
    config = config_of(4)
    dut = Unfolder(config)
    case = case_of(rng, config, copy((2, 2, 4)), 2)

    async def testbench(ctx):
        await begin(ctx, dut, case)
        await send(ctx, dut.ifmap, case.beats[0])
        await receive_words(ctx, dut, config, case.words[0])
        await until(ctx, dut.unfolded.ready)
        await pulse(ctx, dut.unfolded.release)
        await send(ctx, dut.ifmap, case.beats[1])
        ctx.set(dut.out.ready, 1)
        for _ in range(10):
            assert ctx.get(dut.unfolded.ready) and not ctx.get(dut.out.valid)
            await ctx.tick()
        ctx.set(dut.out.ready, 0)
        await pulse(ctx, dut.unfolded.take)
        await receive_words(ctx, dut, config, case.words[1])

    simulate(dut, testbench)


def test_nothing_is_taken_before_run_and_after_the_last_ifmap(rng):
    config = config_of(4)
    dut = Unfolder(config)
    case = case_of(rng, config, copy((2, 2, 4)), 1)

    async def testbench(ctx):
        ctx.set(dut.run.count, 1)
        ctx.set(dut.ifmap.valid, 1)
        ctx.set(dut.out.ready, 1)
        await ctx.tick()
        assert not ctx.get(dut.ifmap.ready)
        await begin(ctx, dut, case)
        assert not ctx.get(dut.report.never)
        await send(ctx, dut.ifmap, case.beats[0])
        await until(ctx, dut.unfolded.ready)
        ctx.set(dut.ifmap.valid, 1)
        for _ in range(3):
            assert not ctx.get(dut.ifmap.ready) and not ctx.get(dut.report.never)
            await ctx.tick()
        await pulse(ctx, dut.unfolded.take)
        assert ctx.get(dut.report.never)

    simulate(dut, testbench)


@pytest.mark.parametrize("last_at", [0, 5, None])
def test_a_wrong_length_is_told_in_the_cycle_after_it_shows(last_at, rng):
    config = config_of(4)
    dut = Unfolder(config)
    case = case_of(rng, config, copy((2, 4, 4)), 1)
    told = []

    async def watch(ctx):
        taken = False
        async for *_, bad, valid, ready in ctx.tick().sample(dut.report.bad_length, dut.ifmap.valid, dut.ifmap.ready):
            if taken:
                told.append(bad)
            else:
                assert not bad
            taken = valid and ready

    async def testbench(ctx):
        await begin(ctx, dut, case)
        beats = [{**beat, "last": number == last_at} for number, beat in enumerate(case.beats[0])]
        await send(ctx, dut.ifmap, beats)
        await ctx.tick()

    simulate(dut, testbench, background=[watch])
    wrong = {7} if last_at is None else {7, last_at}
    assert told == [int(number in wrong) for number in range(8)]


def test_reset_while_filling_and_while_unfolding(rng):
    config = config_of(4)
    dut = Unfolder(config)
    reset = Signal()

    async def testbench(ctx):
        for taken in (0, 3, 5):
            case = case_of(rng, config, windows((5, 5, 2), (3, 3), 1, 40), 1)
            await begin(ctx, dut, case)
            await send(ctx, dut.ifmap, case.beats[0] if taken else case.beats[0][:4])
            await receive(ctx, dut.out, taken)
            ctx.set(reset, 1)
            ctx.set(dut.run.active, 0)
            await ctx.tick()
            ctx.set(reset, 0)
            assert not ctx.get(dut.out.valid) and not ctx.get(dut.unfolded.ready)
            await begin(ctx, dut, case)
            await send(ctx, dut.ifmap, case.beats[0])
            await receive_words(ctx, dut, config, case.words[0])
            ctx.set(dut.run.active, 0)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)

    simulate(ResetInserter(reset)(dut), testbench)
