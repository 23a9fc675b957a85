"""The weight loader against the layers whose parameters pymodel.parameters encodes."""

from dataclasses import dataclass, field
from functools import partial
from random import Random

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from hw.weight_loader import WeightLoader
from pymodel.config import Config
from pymodel.interpreter import diagonal_weights
from pymodel.parameters import encode_groups
from pymodel.program import DESCRIPTOR, pack
from tests.hw.layer_tools import ProgramMemory, descriptor, layer_of, to_word
from tests.hw.stream_tools import send, simulate

CONFIGS = [
    Config(rows=4, cols=4, bytes_per_beat=4),
    Config(rows=4, cols=8, bytes_per_beat=4, lanes=2),
    Config(rows=8, cols=8, bytes_per_beat=8),
    Config(rows=4, cols=8, bytes_per_beat=8, lanes=1),
    Config(rows=4, cols=16, bytes_per_beat=16),
    Config(rows=8, cols=16, bytes_per_beat=4, lanes=4),
    Config(rows=4, cols=4, bytes_per_beat=4, lanes=1, sum_bits=24),
    Config(rows=4, cols=8, bytes_per_beat=8, lanes=2, sum_bits=24),
    Config(rows=4, cols=16, bytes_per_beat=16, lanes=4, sum_bits=24),
    Config(rows=4, cols=8, bytes_per_beat=4, lean=True),
]


def name(config: Config) -> str:
    lean = "-lean" * config.lean
    return f"{config.rows}x{config.cols}-{config.bytes_per_beat}-{config.lanes}-{config.sum_bits}{lean}"


@dataclass
class Group:
    """What one column group needs in the entries and, tile by tile, in the shadow registers; -1 000 is anything.

    entries  (bias, multiplier below the leading one, shift - 1, bits of the bias that count) per channel
    """

    entries: list[tuple[int, int, int, int]]
    tiles: list[np.ndarray]


ANY = -1000


def groups_of(layer, fields: dict[str, int], config: Config) -> list[Group]:
    """Straight from the layer's weights: row r of k-block (position, c) is channel c * rows + r, column j channel j."""
    rows, cols, groups = config.rows, config.cols, []
    out, _, channels = layer.weight.shape
    for first in range(0, out, cols):
        count = min(cols, out - first)
        sides = 1 << fields["fold"] if first + cols >= out else 1
        tiles = [np.full((rows, cols), ANY) for _ in range(-(-fields["kblocks"] // sides))]
        for kblock in range(fields["kblocks"]):
            position, cblock = divmod(kblock, fields["cblocks"])
            weights = layer.weight[
                first : first + count, position, cblock * rows : min(channels, cblock * rows + rows)
            ].T
            left = kblock % sides * (cols // sides)
            tiles[kblock // sides][: len(weights), left : left + count] = weights
        entries = [
            (int(layer.bias[c]), int(layer.multiplier[c]) - (1 << 15), int(layer.shift[c]) - 1, layer.accumulator_bits)
            for c in range(first, first + count)
        ]
        groups.append(Group(entries, tiles))
    return groups


def diagonal_layer(rng, config: Config) -> tuple[dict[str, int], list[Group]]:
    """As the compiler makes pooling (cols / rows k-blocks), with two sets of k-blocks as a residual add would have."""
    cblocks, twice = config.cols // config.rows, int(rng.integers(1, 3))
    fields = descriptor(
        kblocks=twice * cblocks,
        groups=int(rng.integers(1, 4)),
        cblocks=cblocks,
        rows_last=config.rows,
        diagonal=1,
        diagonal_a=int(rng.integers(-128, 128)),
        diagonal_b=int(rng.integers(-128, 128)),
        multiplier=int(rng.integers(1 << 15, 1 << 16)),
        bias=int(rng.integers(-(1 << 23), 1 << 23)),
        shift_1=int(rng.integers(0, 64)),
    )
    weights, bias, multiplier, shift, _ = diagonal_weights(fields, config.rows, config.cols)
    groups = [
        Group(
            [
                (int(b), int(m) - (1 << 15), int(s) - 1, config.sum_bits)
                for b, m, s in zip(bias[g], multiplier[g], shift[g], strict=True)
            ],
            [tile.astype(int) for tile in weights[g]],
        )
        for g in range(fields["groups"])
    ]
    return fields, groups


@dataclass
class Program:
    """Layers with their descriptors, and the parameter section that feeds them."""

    descriptors: list[dict[str, int]] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    stream: list[np.ndarray] = field(default_factory=list)

    @property
    def data(self) -> bytes:
        return b"".join(pack(DESCRIPTOR, fields) for fields in self.descriptors)

    def beats(self, config: Config) -> list[dict[str, int]]:
        rows = np.concatenate(self.stream).reshape(-1, config.bytes_per_beat)
        return [{"data": to_word(row), "last": int(number == len(rows) - 1)} for number, row in enumerate(rows)]


def program_of(rng, config: Config, *layers: tuple[int, int, int] | None) -> Program:
    """Each layer (output channels, kernel positions, channels); None is a diagonal one, which lean accelerators don't have."""
    program = Program()
    for shape in layers:
        if shape is None and config.lean:
            continue
        if shape is None:
            fields, groups = diagonal_layer(rng, config)
        else:
            layer, fields = layer_of(rng, config, *shape, bits=int(rng.choice([24, config.sum_bits])))
            groups = groups_of(layer, fields, config)
            program.stream.append(encode_groups(layer, fields, config, rng))
        program.descriptors.append(fields)
        program.groups += groups
    return program


def random_program(rng, config: Config) -> Program:
    shapes: list = [
        None
        if rng.random() < 0.3
        else tuple(int(n) for n in rng.integers(1, (2 * config.cols + 2, 6, 2 * config.rows + 2)))
        for _ in range(3)
    ]
    if None not in shapes[1:]:
        shapes.insert(1, None)
    shapes.append((int(rng.choice([1, 2, config.cols // 2])), 5, config.rows + 1))  # folded
    return program_of(rng, config, *shapes)


class Array:
    """Shadow registers and entry banks: checks each tile when it is taken, each group when it is done."""

    def __init__(self, dut: WeightLoader, config: Config):
        self.dut, self.config = dut, config
        self.now, self.bad = 0, []
        self.shadow = np.full((config.rows, config.cols), ANY)
        self.banks = [[[None] * 3 for _ in range(config.cols)] for _ in range(2)]
        self.last_swap = 0
        self.beats: list[int] = []  # cycles in which a beat was taken
        self.full_at: list[int] = []  # cycles in which `full` rose, or stayed high over a swap
        self._was_free = True

    async def watch(self, ctx) -> None:
        dut, lanes, size = self.dut, self.config.lanes, self.config.bytes_per_beat
        signals = (
            dut.weights.en,
            dut.weights.row,
            dut.weights.slice,
            dut.weights.data,
            dut.entries.biases,
            dut.entries.scales,
            dut.entries.bank,
            dut.entries.chunk,
            dut.entries.entries,
            dut.full,
            dut.swap,
            dut.bad,
            dut.parameters.valid,
            dut.parameters.ready,
        )
        async for (
            *_,
            en,
            row,
            part,
            data,
            biases,
            scales,
            bank,
            chunk,
            entries,
            full,
            swap,
            bad,
            valid,
            ready,
        ) in ctx.tick().sample(*signals):
            if full and self._was_free:
                self.full_at.append(self.now)
            swap = swap and full
            self._was_free = bool(swap) or not full
            self.last_swap = self.now if swap else self.last_swap
            if en:
                assert not full or swap, "a tile that waits is overwritten"
                assert self.now >= self.last_swap + row, "the swap has not reached this row yet"
                values = np.frombuffer(data.to_bytes(size, "little"), np.int8)
                self.shadow[row, part * size : part * size + size] = values
            for lane in range(lanes):
                entry, slot = entries[lane], self.banks[bank][chunk * lanes + lane]
                if biases >> lane & 1:
                    slot[0] = entry.bias
                if scales >> lane & 1:
                    slot[1:] = entry.multiplier, entry.shift_1
            if bad:
                self.bad.append(self.now)
            if valid and ready:
                self.beats.append(self.now)
            self.now += 1

    def check_tile(self, tile: np.ndarray) -> None:
        wrong = (tile != ANY) & (tile != self.shadow)
        assert not wrong.any(), (tile, self.shadow)

    def check_entries(self, number: int, group: Group) -> None:
        for channel, (bias, multiplier, shift_1, bits) in enumerate(group.entries):
            seen = self.banks[number % 2][channel]
            assert seen[1:] == [multiplier, shift_1], channel
            assert (seen[0] - bias) % (1 << bits) == 0, channel

    async def take(self, ctx, groups: list[Group], pauses: float, dice: Random) -> None:
        """Take tile after tile, some cycles after each is full; a group is done some cycles after its last tile."""
        dut, done = self.dut, -1  # in how many cycles the group before is done
        before: tuple[int, Group] | None = None
        for number, group in enumerate(groups):
            for index, tile in enumerate(group.tiles):
                while True:
                    waits = not ctx.get(dut.full) or dice.random() < pauses
                    ends = before is not None and done <= 0
                    ctx.set(dut.group_done, ends)
                    if ends:
                        self.check_entries(*before)
                        before = None
                    # entries are in use only after the group before is done: at most two groups are inside
                    if not waits and not (index == 0 and before):
                        break
                    done -= 1
                    await ctx.tick()
                if index == 0:
                    self.check_entries(number, group)
                self.check_tile(tile)
                ctx.set(dut.swap, 1)
                done -= 1
                await ctx.tick()
                ctx.set(dut.swap, 0)
                ctx.set(dut.group_done, 0)
            before, done = (number, group), dice.randrange(8) if pauses else 0
        self.check_entries(*before)
        ctx.set(dut.group_done, 1)
        await ctx.tick()
        ctx.set(dut.group_done, 0)


async def begin(ctx, dut: WeightLoader, layers: int, count: int) -> None:
    ctx.set(dut.layers, layers)
    ctx.set(dut.count, count)
    ctx.set(dut.run, 1)


@pytest.mark.parametrize(("in_pauses", "swap_pauses"), [(0.0, 0.0), (0.4, 0.0), (0.0, 0.7), (0.3, 0.3)])
@pytest.mark.parametrize("config", CONFIGS, ids=name)
def test_random_layers_reach_their_rows_columns_and_channels(config, in_pauses, swap_pauses, rng, dice):
    """Two inferences of partial, folded and diagonal layers."""
    dut = WeightLoader(config)
    program = random_program(rng, config)
    array = Array(dut, config)

    async def testbench(ctx):
        await begin(ctx, dut, len(program.descriptors), 2)
        assert not ctx.get(dut.idle)
        await array.take(ctx, program.groups * 2, swap_pauses, dice)
        for _ in range(3):
            await ctx.tick()
        assert ctx.get(dut.idle) and ctx.get(dut.inferences) == 2 and not ctx.get(dut.full)
        ctx.set(dut.parameters.valid, 1)
        assert not ctx.get(dut.parameters.ready)

    simulate(
        dut,
        testbench,
        partial(
            send, stream=dut.parameters, items=program.beats(config) * 2, pauses=in_pauses, rng=Random(dice.random())
        ),
        background=[array.watch, ProgramMemory(dut, program.data).serve],
    )
    assert array.bad == []


@pytest.mark.parametrize("config", CONFIGS, ids=name)
def test_a_beat_a_cycle_and_6_cycles_between_layers(config, rng, dice):
    """If each tile is taken as soon as it is full, no cycle is lost within a layer, or with lean one between tiles."""
    dut = WeightLoader(config)
    program = program_of(rng, config, (2 * config.cols, 3, config.rows), (config.cols, 2, config.rows + 1))
    array = Array(dut, config)
    beats = program.beats(config)

    async def testbench(ctx):
        await begin(ctx, dut, 2, 1)
        await array.take(ctx, program.groups, 0.0, dice)

    simulate(
        dut,
        testbench,
        partial(send, stream=dut.parameters, items=beats),
        background=[array.watch, ProgramMemory(dut, program.data).serve],
    )
    entries = 8 * config.cols // config.bytes_per_beat
    row = config.cols // config.bytes_per_beat
    at, expected, ends = array.beats[0], [], []
    for heights, groups in (([config.rows] * 3, 2), ([config.rows, 1] * 2, 1)):
        for _ in range(groups):
            expected += range(at, at + entries)
            at += entries
            for number, height in enumerate(heights):
                at += config.lean and number > 0
                expected += range(at, at + height * row)
                at += height * row
                ends.append(at)
        at += 6
    assert array.beats == expected
    assert array.full_at[:6] == ends[:6], "full in the cycle after a tile's last beat"


@pytest.mark.parametrize(("fold", "kblocks", "tiles"), [(3, 65_535, 8192), (3, 65_529, 8192), (3, 65_528, 8191)])
def test_the_largest_number_of_k_blocks(fold, kblocks, tiles):
    """A layer of one group: so many tiles, of one row each, then the next layer's entries."""
    config = CONFIGS[1]
    dut = WeightLoader(config)
    fields = descriptor(kblocks=kblocks, fold=fold)
    program = [pack(DESCRIPTOR, fields)] * 2
    full = []

    async def testbench(ctx):
        await begin(ctx, dut, 2, 1)
        ctx.set(dut.parameters.valid, 1)
        ctx.set(dut.swap, 1)
        async for *_, tile, lanes in ctx.tick().sample(dut.full, dut.entries.biases):
            full.append(tile)
            if any(full) and lanes:
                break

    simulate(dut, testbench, background=[ProgramMemory(dut, b"".join(program)).serve])
    assert sum(full) == tiles


def test_entries_of_a_third_group_wait_until_the_first_is_done(rng, dice):
    config = CONFIGS[0]
    dut = WeightLoader(config)
    program = program_of(rng, config, (12, 1, 4))
    array = Array(dut, config)

    async def testbench(ctx):
        await begin(ctx, dut, 1, 1)
        for number in range(2):
            await ctx.tick().until(dut.full)
            array.check_tile(program.groups[number].tiles[0])
            ctx.set(dut.swap, 1)
            await ctx.tick()
            ctx.set(dut.swap, 0)
        for _ in range(20):
            assert not ctx.get(dut.parameters.ready) and ctx.get(dut.waits)
            await ctx.tick()
        array.check_entries(0, program.groups[0])
        array.check_entries(1, program.groups[1])
        ctx.set(dut.group_done, 1)
        await ctx.tick()
        ctx.set(dut.group_done, 0)
        assert ctx.get(dut.parameters.ready) and not ctx.get(dut.waits)
        await ctx.tick().until(dut.full)
        array.check_entries(1, program.groups[1])
        array.check_entries(2, program.groups[2])
        array.check_tile(program.groups[2].tiles[0])

    simulate(
        dut,
        testbench,
        partial(send, stream=dut.parameters, items=program.beats(config)),
        background=[array.watch, ProgramMemory(dut, program.data).serve],
    )
    assert array.bad == []


BAD_FIELDS = [
    {"opcode": 0},
    {"opcode": 2},
    {"opcode": 15},
    {"kblocks": 0},
    {"groups": 0},
    {"cblocks": 0},
    {"rows_last": 0},
    {"rows_last": 5},
    {"rows_last": 255},
    {"fold": 4},
    {"fold": 15},
]


@pytest.mark.parametrize("fields", BAD_FIELDS, ids=str)
@pytest.mark.parametrize("layer", [0, 1])
def test_a_bad_descriptor_is_told_and_nothing_more_is_taken(layer, fields, rng, dice):
    check_bad_descriptor(CONFIGS[1], layer, fields, rng)


@pytest.mark.parametrize("fields", [{"diagonal": 1}, *({"fold": fold} for fold in (1, 2, 3, 4, 15))], ids=str)
@pytest.mark.parametrize("layer", [0, 1])
def test_a_layer_that_is_not_lean_is_a_bad_descriptor_where_there_are_only_lean_ones(layer, fields, rng):
    check_bad_descriptor(CONFIGS[-1], layer, fields, rng)


def check_bad_descriptor(config: Config, layer: int, fields: dict[str, int], rng) -> None:
    dut = WeightLoader(config)
    program = program_of(rng, config, (8, 1, 4), (8, 1, 4))
    program.descriptors[layer] |= fields
    array = Array(dut, config)
    beats = program.beats(config)
    layer_beats = len(beats) // 2

    async def testbench(ctx):
        await begin(ctx, dut, 2, 1)
        ctx.set(dut.parameters.valid, 1)
        ctx.set(dut.swap, 1)
        for _ in range(layer_beats * 2 + 30):
            await ctx.tick()
        assert not ctx.get(dut.parameters.ready) and not ctx.get(dut.idle)

    simulate(dut, testbench, background=[array.watch, ProgramMemory(dut, program.data).serve])
    assert len(array.bad) == 1
    assert len(array.beats) == layer * layer_beats


@pytest.mark.parametrize("wrong", ["early", "late"])
def test_a_parameter_section_that_ends_elsewhere_than_the_program_is_bad(wrong, rng):
    """Early: the beat after `last` would be needed. Late: the last layer is loaded without it."""
    config = CONFIGS[0]
    dut = WeightLoader(config)
    program = program_of(rng, config, (4, 2, 4))
    array = Array(dut, config)
    beats = program.beats(config)
    for number, beat in enumerate(beats):
        beat["last"] = int(wrong == "early" and number == len(beats) - 3)

    async def testbench(ctx):
        await begin(ctx, dut, 1, 1)
        ctx.set(dut.swap, 1)
        await send(ctx, dut.parameters, beats)
        await ctx.tick()

    simulate(dut, testbench, background=[array.watch, ProgramMemory(dut, program.data).serve])
    assert array.bad
    assert array.bad[0] == array.beats[-2 if wrong == "early" else -1] + (wrong == "late")


def test_reset_at_any_time_followed_by_a_right_run(rng, dice):
    config = CONFIGS[1]
    dut = WeightLoader(config)
    program = program_of(rng, config, (9, 2, 5), None, (3, 3, 4))
    reset = Signal()
    array = Array(dut, config)

    async def testbench(ctx):
        for _ in range(6):
            await begin(ctx, dut, 3, 1)
            ctx.set(dut.parameters.valid, 1)
            for _ in range(dice.randrange(1, 120)):
                ctx.set(dut.swap, ctx.get(dut.full))
                await ctx.tick()
            ctx.set(dut.swap, 0)
            ctx.set(dut.parameters.valid, 0)
            ctx.set(dut.run, 0)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            assert not ctx.get(dut.full)
        array.bad.clear()
        go.append(True)
        await begin(ctx, dut, 3, 1)
        await array.take(ctx, program.groups, 0.2, dice)

    go: list[bool] = []

    async def write(ctx):
        while not go:
            await ctx.tick()
        await send(ctx, dut.parameters, program.beats(config), 0.2, Random(dice.random()))

    simulate(
        ResetInserter(reset)(dut), testbench, write, background=[array.watch, ProgramMemory(dut, program.data).serve]
    )
    assert array.bad == []
