"""The array against NumPy's matrix product, cycle by cycle."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from deeplock.hw.array.array import SystolicArray
from deeplock.hw.families.placement import load_span
from deeplock.pymodel.network.golden import accumulate
from deeplock.pymodel.spec.config import Config
from tests.features import LEAN
from tests.hw.layer_tools import to_word
from tests.hw.stream_tools import simulate

CONFIGS = [
    Config(rows=4, cols=4, bytes_per_beat=4),
    Config(rows=4, cols=8, bytes_per_beat=4),
    Config(rows=8, cols=8, bytes_per_beat=8),
    Config(rows=4, cols=16, bytes_per_beat=16),
    Config(rows=4, cols=4, bytes_per_beat=4, **LEAN),
]


@dataclass
class Schedule:
    """What enters the array when, and what must come out: by cycle.

    writes   (row, slice, bytes), `entry` cycles later;  words   (int8 [rows], swap, tag);  sums   (int64 [cols], tag)
    """

    config: Config
    writes: dict[int, tuple] = field(default_factory=dict)
    words: dict[int, tuple] = field(default_factory=dict)
    sums: dict[int, tuple] = field(default_factory=dict)

    def write_row(self, cycle: int, tile: np.ndarray, row: int, part: int) -> None:
        lanes = self.config.bytes_per_beat
        assert cycle not in self.writes
        self.writes[cycle] = (row, part, to_word(tile[row, part * lanes : part * lanes + lanes]))

    def word(self, rng, cycle: int, tile: np.ndarray, swap: bool, height: int | None = None) -> None:
        data = rng.integers(-128, 128, self.config.rows)
        if rng.random() < 0.1:
            data[:] = -128
        data[height:] = 0
        tag = int(rng.integers(0, 1 << 6))
        self.words[cycle] = (data, swap, tag)
        self.sums[cycle + self.config.rows + 1 + self.config.pipeline_registers] = (
            accumulate(data[:height], tile[:height]).tolist(),
            tag,
        )


def random_tile(rng, config: Config) -> np.ndarray:
    tile = rng.integers(-128, 128, (config.rows, config.cols), dtype=np.int8)
    if rng.random() < 0.2:
        tile[:] = -128
    return tile


async def play(ctx, dut: SystolicArray, schedule: Schedule, rng) -> None:
    """Drive the schedule, noise in all cycles without an entry, and check every cycle's output."""
    lanes, rows = schedule.config.bytes_per_beat, schedule.config.rows
    await ctx.tick().repeat(rows + 1)  # in which the swap after a reset goes down
    for cycle in range(max(schedule.sums) + 2):
        assert ctx.get(dut.sums.valid) == (cycle + 1 in schedule.sums), cycle
        if cycle in schedule.sums:
            sums, _ = schedule.sums[cycle]
            assert [ctx.get(dut.sums.columns[col]) for col in range(schedule.config.cols)] == sums, cycle
        if cycle + 1 in schedule.sums:
            _, tag = schedule.sums[cycle + 1]
            assert ctx.get(dut.sums.tag.as_value()) == tag & (1 << len(dut.sums.tag.as_value())) - 1
        row, part, data = schedule.writes.get(cycle - dut.entry, (0, 0, to_word(rng.integers(0, 256, lanes))))
        writes, span = cycle - dut.entry in schedule.writes, load_span(schedule.config)
        load = (1 << lanes // span) - 1 if writes else 0
        ctx.set(dut.weights.load, load << (row * schedule.config.cols + part * lanes) // span)
        ctx.set(dut.weights.data, data)
        word, swap, tag = schedule.words.get(cycle, (rng.integers(0, 256, rows), int(rng.integers(0, 2)), 0))
        ctx.set(dut.words.valid, cycle in schedule.words)
        ctx.set(dut.words.payload.data, to_word(word))
        ctx.set(dut.words.payload.swap, swap)
        ctx.set(dut.words.payload.tag.as_value(), tag & (1 << len(dut.words.payload.tag.as_value())) - 1)
        await ctx.tick()


def dense_schedule(rng, config: Config, tiles: int, late: int) -> Schedule:
    """A swap every `rows` cycles, a word in every cycle; row r is written r + `late` cycles after the swap before."""
    schedule = Schedule(config)
    rows = config.rows
    for number in range(tiles):
        tile = random_tile(rng, config)
        start = number * rows  # the swap before
        for row in range(rows):
            schedule.write_row(start + row + late, tile, row, 0)
        for step in range(rows):
            schedule.word(rng, start + rows + step, tile, step == 0)
    return schedule


def random_schedule(rng, config: Config, tiles: int, pauses: float, partial: bool = False) -> Schedule:
    """Tiles written as soon as `pauses` allow, each with 1..6 words; a word may meet its tile while it still fills."""
    schedule = Schedule(config)
    rows, parts = config.rows, config.cols // config.bytes_per_beat
    swap, end, cycle = 0, -1, -1  # cycles of the last swap, the last word and the last write
    for _ in range(tiles):
        tile = random_tile(rng, config)
        height = int(rng.integers(1, rows + 1)) if partial else rows
        earliest = end + 1
        for row in range(height):
            for part in range(parts):
                cycle = max(cycle + 1, swap + max(0, row - 1))
                while rng.random() < pauses:
                    cycle += 1
                schedule.write_row(cycle, tile, row, part)
            earliest = max(earliest, cycle + 1 - max(0, row - 1))
        end = earliest - 1
        for step in range(int(rng.integers(1, 7))):
            end += 1
            while rng.random() < pauses:
                end += 1
            swap = end if step == 0 else swap
            schedule.word(rng, end, tile, step == 0, height)
    return schedule


@pytest.mark.parametrize("config", [c for c in CONFIGS if c.cols == c.bytes_per_beat], ids=lambda c: c.name[:8])
@pytest.mark.parametrize("late", ["first", "last"])
def test_tiles_follow_each_other_without_a_gap(config, late, rng):
    """Dense layers: a new tile every `rows` cycles, each row written in the first or the last cycle that is allowed."""
    dut = SystolicArray(config)
    schedule = dense_schedule(rng, config, 10, 0 if late == "first" else config.rows - 2)
    assert sorted(schedule.words) == list(range(config.rows, 11 * config.rows))

    async def testbench(ctx):
        await play(ctx, dut, schedule, rng)

    simulate(dut, testbench)


@pytest.mark.parametrize("pauses", [0.0, 0.4])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name[:8])
def test_random_tiles_with_pauses_in_words_and_weights(config, pauses, rng):
    dut = SystolicArray(config)

    async def testbench(ctx):
        await play(ctx, dut, random_schedule(rng, config, 25, pauses), rng)

    simulate(dut, testbench)


@pytest.mark.parametrize("config", CONFIGS[1:3], ids=lambda c: c.name[:8])
def test_rows_that_a_partial_tile_leaves_out_add_nothing_where_the_word_is_zero(config, rng):
    dut = SystolicArray(config)

    async def testbench(ctx):
        await play(ctx, dut, random_schedule(rng, config, 25, 0.2, partial=True), rng)

    simulate(dut, testbench)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name[:8])
def test_extreme_sums_fit(config):
    """-128 * -128 in every row: the largest sum there is."""
    dut = SystolicArray(config)
    schedule = Schedule(config)
    tile = np.full((config.rows, config.cols), -128, np.int8)
    for number in range(config.rows * config.cols // config.bytes_per_beat):
        schedule.write_row(number, tile, *divmod(number, config.cols // config.bytes_per_beat))
    start = max(schedule.writes) + 1
    for cycle, value in enumerate((-128, 127)):
        schedule.words[start + cycle] = (np.full(config.rows, value), cycle == 0, 0)
        schedule.sums[start + cycle + dut.latency] = ([-128 * value * config.rows] * config.cols, 0)

    async def testbench(ctx):
        await play(ctx, dut, schedule, np.random.default_rng(0))

    simulate(dut, testbench)


@pytest.mark.parametrize("config", [*CONFIGS[:3:2], CONFIGS[-1]], ids=["4x4", "8x8", "lean"])
@pytest.mark.parametrize("by", ["reset", "clear"])
def test_reset_or_clear_in_mid_operation_leaves_nothing_behind(config, by, rng):
    """Where zeros are written in the next cycle, a word meets weights that are 0, before its swap and after it, and before
    that no word comes out."""
    dut = SystolicArray(config)
    reset = Signal()

    async def testbench(ctx):
        for _ in range(4):
            ctx.set(dut.words.valid, 1)
            ctx.set(dut.words.payload.swap, int(rng.integers(0, 2)))
            for _ in range(int(rng.integers(1, 3 * config.rows))):
                ctx.set(dut.weights.load, 1 << int(rng.integers(0, len(dut.weights.load))))
                ctx.set(dut.weights.data, to_word(rng.integers(0, 256, config.bytes_per_beat)))
                ctx.set(dut.words.payload.data, to_word(rng.integers(0, 256, config.rows)))
                await ctx.tick()
            ctx.set(dut.words.valid, 0)
            ctx.set(reset if by == "reset" else dut.clear, 1)
            await ctx.tick()
            for signal in (reset, dut.clear, dut.words.valid, dut.weights.data):
                ctx.set(signal, 0)
            ctx.set(dut.weights.load, -1)  # as the weight loader does
            await ctx.tick()
            ctx.set(dut.weights.load, 0)
            for _ in range(config.rows):
                assert not ctx.get(dut.sums.valid)
                await ctx.tick()
            ctx.set(dut.words.valid, 1)
            for swap in (0, 1):
                ctx.set(dut.words.payload.swap, swap)
                await ctx.tick()
            ctx.set(dut.words.valid, 0)
            seen = 0
            for _ in range(dut.latency):
                shows = ctx.get(dut.sums.valid)
                seen += shows
                await ctx.tick()
                assert not (shows and any(ctx.get(dut.sums.columns[col]) for col in range(config.cols)))
            assert seen == 2
            await play(ctx, dut, random_schedule(rng, config, 5, 0.2), rng)

    simulate(ResetInserter(reset)(dut), testbench)
