"""Programs for tests of the weight loader, and an array that checks what arrives in it."""

from dataclasses import dataclass, field, replace
from random import Random

import numpy as np

from deeplock.hw.families.placement import load_span
from deeplock.hw.feed.weight_loader import WeightLoader
from deeplock.pymodel.compiler.parameters import decode_group, encode_groups
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Descriptor, Opcode
from tests.hw.layer_tools import descriptor, layer_of, to_word

__all__ = [
    "ANY", "DEPTHWISE", "DIAGONAL", "Array", "Group", "Program", "depthwise_layer", "diagonal_layer", "groups_of",
    "program_of", "random_program",
]  # fmt: skip


@dataclass
class Group:
    """What one column group needs in the entries and, tile by tile, in the shadow registers; -1 000 is anything.

    entries  (bias, multiplier below the leading one, shift - 1, bits of the bias that count) per channel
    table    uint8 [256] of its layer, if that has one; `first`: of the layer's groups; `multiplies`: the layer does
    """

    entries: list[tuple[int, int, int, int]]
    tiles: list[np.ndarray]
    table: np.ndarray | None = None
    first: bool = False
    multiplies: bool = False


ANY = -1000
DIAGONAL, DEPTHWISE = "diagonal", "depthwise"
"""Layers whose weights are made on chip, and come from the stream."""


def groups_of(layer, fields: Descriptor, config: Config) -> list[Group]:
    """Straight from the layer's weights: row r of k-block (position, c) is channel c * rows + r, column j channel j."""
    rows, cols, groups = config.rows, config.cols, []
    out, _, channels = layer.weight.shape
    for first in range(0, out, cols):
        count = min(cols, out - first)
        sides = 1 << fields.fold if first + cols >= out else 1
        tiles = [np.full((rows, cols), ANY) for _ in range(-(-fields.kblocks // sides))]
        for kblock in range(fields.kblocks):
            position, cblock = divmod(kblock, fields.cblocks)
            weights = layer.weight[
                first : first + count, position, cblock * rows : min(channels, cblock * rows + rows)
            ].T
            left = kblock % sides * (cols // sides)
            tiles[kblock // sides][: len(weights), left : left + count] = weights
        channels_here = (tuple(int(values[c]) for values in layer.entries) for c in range(first, first + count))
        entries = [
            (bias, multiplier - (1 << 15), shift - 1, fields.sum_bits) for bias, multiplier, shift in channels_here
        ]
        groups.append(Group(entries, tiles))
    return groups


def diagonal_layer(rng, config: Config) -> tuple[Descriptor, list[Group]]:
    """As the compiler makes pooling (cols / rows k-blocks), with two sets of k-blocks as a residual add would have."""
    cblocks, twice = config.cols // config.rows, int(rng.integers(1, 3))
    fields = descriptor(
        kblocks=twice * cblocks,
        kernel_w=twice,
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
    weights, _ = decode_group(fields, 0, np.empty(0, np.uint8), config)
    entry = (fields.bias, fields.multiplier - (1 << 15), fields.shift_1, config.sum_bits)
    return fields, [Group([entry] * config.cols, [tile.astype(int) for tile in weights])] * fields.groups


def depthwise_layer(rng, config: Config) -> tuple[Descriptor, list[Group], np.ndarray]:
    """Any number of channels and kernel positions; also its bytes of the stream."""
    rows, cols = config.rows, config.cols
    channels, positions = int(rng.integers(1, 3 * cols + 1)), int(rng.integers(1, 5))
    groups = -(-channels // cols)
    layer, fields = layer_of(rng, config, channels, positions, 1, bits=int(rng.choice([24, config.sum_bits])))
    fields = replace(
        fields,
        kblocks=positions * (cols // rows),
        fold=0,
        cblocks=cols // rows,
        rows_last=rows,
        diagonal=1,
        streamed=1,
        last_columns=channels - (groups - 1) * cols,
    )
    found = []
    for first in range(0, channels, cols):
        here = range(first, min(first + cols, channels))
        tiles = [np.full((rows, cols), ANY) for _ in range(fields.kblocks)]
        for channel in here:
            block, row = divmod(channel - first, rows)
            for position in range(positions):
                values = np.zeros(cols, int)
                values[channel - first] = layer.weight[channel, position, 0]
                tiles[position * fields.cblocks + block][row] = values
        scales = (tuple(int(values[channel]) for values in layer.entries) for channel in here)
        entries = [(bias, multiplier - (1 << 15), shift - 1, fields.sum_bits) for bias, multiplier, shift in scales]
        found.append(Group(entries, tiles))
    return fields, found, encode_groups(layer, fields, config, rng)


@dataclass
class Program:
    """Layers with their descriptors, and the parameter section that feeds them."""

    descriptors: list[Descriptor] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    stream: list[np.ndarray] = field(default_factory=list)

    @property
    def data(self) -> bytes:
        return b"".join(fields.pack() for fields in self.descriptors)

    def beats(self, config: Config) -> list[dict[str, int]]:
        rows = np.concatenate(self.stream).reshape(-1, config.bytes_per_beat)
        return [{"data": to_word(row), "last": int(number == len(rows) - 1)} for number, row in enumerate(rows)]


def program_of(rng, config: Config, *layers: tuple[int, int, int] | str) -> Program:
    """Each layer (output channels, kernel positions, channels), or DIAGONAL or DEPTHWISE, if the accelerator has those. If it
    has tables, most layers do; if it has products, the others multiply."""
    program = Program()
    for shape in layers:
        if isinstance(shape, str) and not config.diagonal:
            continue
        table = rng.integers(0, 256, 256, np.uint8) if config.tables and rng.random() < 0.7 else None
        if table is not None:
            program.stream.append(table)
        if shape == DIAGONAL:
            fields, groups = diagonal_layer(rng, config)
        elif shape == DEPTHWISE:
            fields, groups, stream = depthwise_layer(rng, config)
            program.stream.append(stream)
        else:
            layer, fields = layer_of(rng, config, *shape, bits=int(rng.choice([24, config.sum_bits])))
            groups = groups_of(layer, fields, config)
            program.stream.append(encode_groups(layer, fields, config, rng))
        multiplies = config.products and table is None
        opcode = Opcode.TABLE if table is not None else Opcode.PRODUCT if multiplies else Opcode.LAYER
        program.descriptors.append(replace(fields, opcode=opcode))
        program.groups += [
            replace(group, table=table, multiplies=multiplies, first=number == 0) for number, group in enumerate(groups)
        ]
    return program


def random_program(rng, config: Config) -> Program:
    shapes: list = [
        tuple(int(n) for n in rng.integers(1, (2 * config.cols + 2, 6, 2 * config.rows + 2))) for _ in range(2)
    ]
    for kind in (DIAGONAL, DEPTHWISE, DEPTHWISE):
        shapes.insert(int(rng.integers(0, len(shapes) + 1)), kind)
    shapes.append((int(rng.choice([1, 2, config.cols // 2])), 5, config.rows + 1))  # folded
    return program_of(rng, config, *shapes)


class Array:
    """Shadow registers, tables and entry banks: checks each row of a tile when the swap reaches it, and each group, with its
    layer's table, when its first tile is full and when it is done.

    The swap reaches row r `entry` + r cycles after the array has taken the tile, as in hw/array/array.py.
    """

    def __init__(self, dut: WeightLoader, config: Config):
        self.dut, self.config = dut, config
        self.now = 0
        self.short, self.long = [], []  # cycles in which these were reported
        self.shadow = np.full((config.rows, config.cols), ANY)
        self.banks = [[[None] * 3 for _ in range(config.cols)] for _ in range(2)]
        self.tables = np.zeros((2, 256), np.uint8)
        self.taken = 0  # tables whose layers' first tiles have been taken
        self.used = [None, None]  # whether the entries in each bank are of a layer with a table
        self.multiplies = [None, None]  # ... that multiplies
        self.zeroed = 0  # times that all shadow registers were cleared
        self.entry = int(config.pipeline_registers)
        self.expected: list[np.ndarray] = []  # tiles that are to be taken
        self._reached: list[tuple[int, np.ndarray]] = []  # when the swap reaches row 0 of those that are
        self.beats: list[int] = []  # cycles in which a beat was taken
        self.full_at: list[int] = []  # cycles in which `full` rose, or stayed high over a swap
        self._was_free = True

    async def watch(self, ctx) -> None:
        dut, lanes, size = self.dut, self.config.lanes, self.config.bytes_per_beat
        signals = (
            dut.weights.load,
            dut.weights.data,
            dut.entries.biases,
            dut.entries.scales,
            dut.entries.address,
            dut.entries.entries,
            dut.tiles.full,
            dut.tiles.swap,
            dut.report.short,
            dut.report.long,
            dut.parameters.valid,
            dut.parameters.ready,
        )
        async for (
            *_,
            load,
            data,
            biases,
            scales,
            address,
            entries,
            full,
            swap,
            short,
            long,
            valid,
            ready,
        ) in ctx.tick().sample(*signals):
            if full and self._was_free:
                self.full_at.append(self.now)
            self._was_free = bool(swap) or not full
            if swap and full and self.expected:
                self._reached.append((self.now + self.entry, self.expected.pop(0)))
            for start, tile in self._reached:
                self._check_row(tile, self.now - start)
            self._reached = [(start, tile) for start, tile in self._reached if self.now < start + len(tile)]
            if load == (1 << len(dut.weights.load)) - 1:
                assert data == 0
                self.zeroed += 1
            elif load:
                at, span = (load & -load).bit_length() - 1, load_span(self.config)
                assert load >> at == (1 << size // span) - 1
                row, part = divmod(at * span // size, self.config.cols // size)
                values = np.frombuffer(data.to_bytes(size, "little"), np.int8)
                self.shadow[row, part * size : part * size + size] = values
            for lane in range(lanes):
                bank, chunk = divmod(address, self.config.cols // lanes)
                entry, slot = entries[lane], self.banks[bank][chunk * lanes + lane]
                if biases >> lane & 1:
                    slot[0] = entry.bias
                if scales >> lane & 1:
                    slot[1:] = entry.multiplier, entry.shift_1
            if self.config.tables:
                self._watch_table(ctx, scales, bank)
            if self.config.products and scales:
                self.multiplies[bank] = ctx.get(dut.entries.multiplies)
            for reported, at in ((short, self.short), (long, self.long)):
                if reported:
                    at.append(self.now)
            if valid and ready:
                self.beats.append(self.now)
            self.now += 1

    def _watch_table(self, ctx, scales: int, bank: int) -> None:
        port = self.dut.table
        if ctx.get(port.enable):
            at, value = divmod(ctx.get(port.address), 256)
            self.tables[at, (value + 128) % 256] = ctx.get(port.data)
        if scales:
            self.used[bank] = ctx.get(port.used)

    def _check_row(self, tile: np.ndarray, row: int) -> None:
        """`row` is -1 in the cycle before the swap reaches the tile."""
        if 0 <= row < len(tile):
            wrong = (tile[row] != ANY) & (tile[row] != self.shadow[row])
            assert not wrong.any(), (row, tile, self.shadow)

    async def settle(self, ctx) -> None:
        """Until the last swap has reached every row."""
        while self.expected or self._reached:
            await ctx.tick()

    def check_entries(self, number: int, group: Group) -> None:
        for channel, (bias, multiplier, shift_1, bits) in enumerate(group.entries):
            seen = self.banks[number % 2][channel]
            assert seen[1:] == [multiplier, shift_1], channel
            assert (seen[0] - bias) % (1 << bits) == 0, channel
        if self.config.tables:
            assert self.used[number % 2] == (group.table is not None)
        if self.config.products:
            assert self.multiplies[number % 2] == group.multiplies
        if group.table is not None:
            assert np.array_equal(self.tables[(self.taken - 1) % 2], group.table)

    async def take(self, ctx, groups: list[Group], pauses: float, dice: Random) -> None:
        """Take tile after tile, some cycles after each is full; a group is done some cycles after its last tile."""
        dut, done = self.dut, -1  # in how many cycles the group before is done
        before: tuple[int, Group] | None = None
        for number, group in enumerate(groups):
            for index, tile in enumerate(group.tiles):
                while True:
                    waits = not ctx.get(dut.tiles.full) or dice.random() < pauses
                    ends = before is not None and done <= 0
                    ctx.set(dut.entries.done, ends)
                    if ends:
                        self.check_entries(*before)
                        before = None
                    # entries are in use only after the group before is done: at most two groups are inside
                    if not waits and not (index == 0 and before):
                        break
                    done -= 1
                    await ctx.tick()
                if index == 0:
                    self.taken += group.first and group.table is not None
                    self.check_entries(number, group)
                self.expected.append(tile)
                ctx.set(dut.tiles.swap, 1)
                done -= 1
                await ctx.tick()
                ctx.set(dut.tiles.swap, 0)
                ctx.set(dut.entries.done, 0)
            before, done = (number, group), dice.randrange(8) if pauses else 0
        self.check_entries(*before)
        ctx.set(dut.entries.done, 1)
        await ctx.tick()
        ctx.set(dut.entries.done, 0)
        await self.settle(ctx)
