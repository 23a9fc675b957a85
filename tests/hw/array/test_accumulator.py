from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from deeplock.hw.array.accumulator import Accumulator
from deeplock.pymodel.spec.config import Config
from tests.features import LEAN
from tests.hw.stream_tools import simulate

CONFIG = Config(rows=4, cols=8, bytes_per_beat=4, accumulators=16)
SUM_WIDTH = 18
LATENCY = 2


def random_groups(rng, pixels_of, count: int, cols: int, fold: int):
    """Words (sums, tag) of `count` column groups in order, and the totals that must leave: the last group is folded."""
    words, totals = [], []
    for number in range(count):
        pixels, kblocks = int(pixels_of()), int(rng.integers(1, 6))
        folded = fold if number == count - 1 else 0
        width = cols >> folded
        sums = rng.integers(-(1 << SUM_WIDTH - 1), 1 << SUM_WIDTH - 1, (kblocks, pixels, cols))
        expected = np.zeros((pixels, width), np.int64)
        for kblock in range(kblocks):
            shift = kblock % (1 << folded) * width
            expected += sums[kblock, :, shift : shift + width]
            for pixel in range(pixels):
                tag = {
                    "first": kblock == 0,
                    "last": kblock == kblocks - 1,
                    "pixel_last": pixel == pixels - 1,
                    "shift": shift,
                    "final": number == count - 1,
                    "emits": int(rng.integers(0, 2)),
                    "slides": int(rng.integers(0, 2)),
                }
                words.append((sums[kblock, pixel].tolist(), tag))
                if kblock == kblocks - 1:
                    totals.append((expected[pixel], tag))
    return words, [(row.tolist(), tag) for row, tag in totals]


async def play(ctx, dut: Accumulator, words: list, totals: list, cols: int, pauses: float, rng, dense=True) -> None:
    """Send the words; in every cycle, what was tagged `last` `LATENCY` cycles before leaves, and nothing else."""
    due: dict[int, tuple] = {}
    sums: list[int] = []  # come a cycle after their tag
    pixel, seen = 0, {}  # the next one, and those of the cycles before
    waiting, remaining, cycle = list(words), list(totals), 0
    while waiting or any(at >= cycle for at in due):
        assert ctx.get(dut.totals.valid) == (cycle in due), cycle
        if cycle in due:
            total, tag = due[cycle]
            assert [ctx.get(dut.totals.payload.columns[col]) for col in range(len(total))] == total, cycle
            assert {name: ctx.get(dut.totals.payload.tag[name]) for name in tag} == tag
        ctx.set(dut.sums.valid, 0)
        ctx.set(dut.sums.tag, {"first": 1, "last": 1, "pixel_last": int(rng.integers(0, 2))})
        for col in range(cols):
            ctx.set(dut.sums.columns[col], sums[col] if sums else int(rng.integers(-100, 100)))
        sums = []
        # the issue stage prevents it
        written = pixel == seen.get(cycle - 2) != seen.get(cycle - 1, pixel)  # just now
        if not dense:
            written = pixel in (seen.get(cycle - 1), seen.get(cycle - 2))
        if waiting and not written and rng.random() >= pauses:
            sums, tag = waiting.pop(0)
            seen[cycle] = pixel
            pixel = 0 if tag["pixel_last"] else pixel + 1
            ctx.set(dut.sums.valid, 1)
            ctx.set(dut.sums.tag, tag)
            if tag["last"]:
                due[cycle + LATENCY] = remaining.pop(0)
        await ctx.tick()
        cycle += 1
    assert not remaining


@pytest.mark.parametrize("pauses", [0.0, 0.4])
@pytest.mark.parametrize("most", [1, 2, 3, 16])
@pytest.mark.parametrize(
    "options", [{}, LEAN, {"pipeline_registers": False}], ids=["", "lean", "no_pipeline_registers"]
)
def test_totals_are_the_sums_over_the_k_blocks(options, most, pauses, rng):
    """1 to 3 pixels: an accumulator is needed again before, while and after the memory has it. 16: all of it."""
    dut = Accumulator(replace(CONFIG, lanes=1, **options), SUM_WIDTH)

    def pixels() -> int:
        return most if most < 4 else rng.choice([1, 5, 15, 16])

    async def testbench(ctx):
        words, totals = random_groups(rng, pixels, 12, CONFIG.cols, 0)
        await play(ctx, dut, words, totals, CONFIG.cols, pauses, rng, options is not LEAN)

    simulate(dut, testbench)


@pytest.mark.parametrize("pipeline_registers", [True, False])
@pytest.mark.parametrize("fold", [1, 2, 3])
def test_folded_tiles_add_up_in_the_leftmost_columns(fold, pipeline_registers, rng):
    dut = Accumulator(replace(CONFIG, pipeline_registers=pipeline_registers), SUM_WIDTH)

    async def testbench(ctx):
        for _ in range(6):
            words, totals = random_groups(rng, lambda: rng.integers(1, 5), 3, CONFIG.cols, fold)
            await play(ctx, dut, words, totals, CONFIG.cols, 0.2, rng)

    simulate(dut, testbench)


@pytest.mark.parametrize(
    "options", [{}, LEAN, {"pipeline_registers": False}], ids=["", "lean", "no_pipeline_registers"]
)
def test_totals_wrap_to_32_bits(options, rng):
    """Only with a wrong key: 70,000 largest sums would be needed; here the sums are wider."""
    config = Config(rows=4, cols=4, bytes_per_beat=4, accumulators=16, **options)
    dut = Accumulator(config, 32)
    tag = {"first": 0, "last": 1, "pixel_last": 1, "shift": 0}
    sums = rng.integers(-(1 << 31), 1 << 31, (20, 4))
    totals = np.cumsum(sums, axis=0).astype(np.int32)

    async def testbench(ctx):
        words = [(row.tolist(), tag | {"first": int(number == 0)}) for number, row in enumerate(sums)]
        expected = [(row.tolist(), sent) for row, (_, sent) in zip(totals, words, strict=True)]
        await play(ctx, dut, words, expected, 4, 0.2, rng, options is not LEAN)

    simulate(dut, testbench)


@pytest.mark.parametrize(
    "options", [{}, LEAN, {"pipeline_registers": False}], ids=["", "lean", "no_pipeline_registers"]
)
def test_reset_in_mid_group_starts_again_at_pixel_0(options, rng):
    dut = Accumulator(replace(CONFIG, lanes=1, **options), SUM_WIDTH)
    reset = Signal()

    async def testbench(ctx):
        for _ in range(5):
            words, totals = random_groups(rng, lambda: 7, 2, CONFIG.cols, 0)
            ctx.set(dut.sums.valid, 1)
            ctx.set(dut.sums.tag, {"last": 1})
            await ctx.tick().repeat(int(rng.integers(1, 6)))
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            await play(ctx, dut, words, totals, CONFIG.cols, 0.1, rng, options is not LEAN)

    simulate(ResetInserter(reset)(dut), testbench)
