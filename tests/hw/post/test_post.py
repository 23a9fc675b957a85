"""The post-processor against the golden model's requantiser and NumPy's maximum, cycle by cycle."""

from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from deeplock.hw.post.post import PostProcessor
from deeplock.pymodel.network.golden import requantise
from deeplock.pymodel.spec.config import Config
from tests.features import left_out
from tests.hw.stream_tools import simulate

CONFIGS = [
    Config(rows=4, cols=4, bytes_per_beat=4, activation_words=256),  # one chunk a pixel
    Config(rows=4, cols=8, bytes_per_beat=4, activation_words=256),
    Config(rows=4, cols=8, bytes_per_beat=4, lanes=1, activation_words=256),
    Config(rows=8, cols=8, bytes_per_beat=8, lanes=2, activation_words=256),
    Config(rows=4, cols=4, bytes_per_beat=4, activation_words=256, multiplier_cycles=2),
    Config(rows=4, cols=4, bytes_per_beat=4, lanes=1, activation_words=256, multiplier_cycles=4),
    Config(rows=4, cols=8, bytes_per_beat=4, lanes=2, activation_words=256, multiplier_cycles=8),
    Config(rows=4, cols=8, bytes_per_beat=4, lanes=2, activation_words=256, sum_bits=24),
    Config(rows=4, cols=4, bytes_per_beat=4, lanes=1, activation_words=256, multiplier_cycles=4, sum_bits=24),
    Config(rows=4, cols=4, bytes_per_beat=4, dense=False, activation_words=256),
    Config(rows=4, cols=8, bytes_per_beat=4, dense=False, activation_words=256, multiplier_cycles=2),
    Config(rows=8, cols=16, bytes_per_beat=8, dense=False, activation_words=256, single_port=True),
    Config(rows=4, cols=8, bytes_per_beat=4, activation_words=256, tables=True),
    Config(rows=4, cols=4, bytes_per_beat=4, lanes=1, activation_words=256, multiplier_cycles=4, tables=True),
    Config(rows=4, cols=4, bytes_per_beat=4, activation_words=256, tables=True, pipeline_registers=False),
    Config(rows=4, cols=8, bytes_per_beat=4, activation_words=256, products=True),
    Config(
        rows=4, cols=8, bytes_per_beat=4, lanes=2, activation_words=256, multiplier_cycles=4, products=True, sum_bits=24
    ),
    Config(
        rows=4, cols=4, bytes_per_beat=4, activation_words=256, products=True, tables=True, pipeline_registers=False
    ),
]


def name(config: Config) -> str:
    return f"{config.rows}x{config.cols}-{config.lanes}x{config.multiplier_cycles}-{config.sum_bits}{left_out(config)}"


@dataclass
class Layer:
    """Random totals int64 [groups, pixels, cols], entries, and post fields.

    windows   first and last pixel of each pooling window
    slides    pixels at which a window ends and the next one begins, and both ends of such a row
    table     int8 [256], of -128 first; None: there is none
    product   totals stand for two factors; never with a table
    """

    fields: dict[str, int]
    totals: np.ndarray
    windows: list[tuple[int, int]]
    slides: set[int]
    bias: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray
    table: np.ndarray | None = None
    product: bool = False


def random_windows(rng) -> tuple[list[tuple[int, int]], set[int]]:
    """Windows one behind the other, or in rows, in which each begins with the last pixel of the one before; and the pixels of
    such rows at which windows begin or end."""
    sliding = int(rng.choice([0, 0, 1, 2]))
    if not sliding:
        size = int(rng.choice([1, 4, 9]))
        return [(first, first + size - 1) for first in range(0, size * int(rng.integers(1, 5)), size)], set()
    rows, width = int(rng.integers(1, 4)), sliding * int(rng.integers(1, 4)) + 1
    edges = [[row * width + at for at in range(0, width, sliding)] for row in range(rows)]
    return [window for row in edges for window in pairwise(row)], {edge for row in edges for edge in row}


def random_layer(rng, config: Config) -> Layer:
    """If pixels are not dense, each begins a word."""
    groups, (windows, slides) = int(rng.integers(1, 4)), random_windows(rng)
    lo, unit = int(rng.integers(-128, 1)), 1 if config.dense else config.rows
    fields = {
        "destination": int(rng.integers(0, config.activation_words * config.rows // unit)) * unit,
        "pixel_bytes": int(rng.integers(1, 9 * config.rows // unit)) * unit,
        "zero_point": int(rng.integers(-128, 128)),
        "lo": lo,
        "hi": int(rng.integers(lo, 128)),
        "last_columns": int(rng.integers(1, config.cols + 1)),
        "narrow": 1 if config.sum_bits == 24 else int(rng.integers(0, 2)),
    }
    kinds = ["table"] * config.tables + ["product"] * config.products
    kind = rng.choice(kinds) if kinds and rng.random() < 0.7 else ""
    if config.products:
        fields |= {"zero_a": int(rng.integers(-128, 128)), "zero_b": int(rng.integers(-128, 128))}
    half = 1 << config.sum_bits - 1
    totals = rng.integers(-half, half, (groups, windows[-1][1] + 1, config.cols))
    return Layer(
        fields,
        totals >> rng.integers(0, config.sum_bits - 4, totals.shape),
        windows,
        slides,
        rng.integers(-(1 << 20), 1 << 20, (groups, config.cols)),
        rng.integers(1 << 15, 1 << 16, (groups, config.cols)),
        rng.integers(*((12, 24) if kind == "product" else (1, 40)), (groups, config.cols)),
        rng.integers(-128, 128, 256, np.int8) if kind == "table" else None,
        bool(kind == "product"),
    )


@dataclass
class Bench:
    """Plays layers. `due` and `pulses` say what must be seen in which cycle; `seen` is what was."""

    dut: PostProcessor
    config: Config
    rng: np.random.Generator
    pauses: float
    now: int = 0
    written: int = 0  # column groups whose entries are in a bank
    done: int = 0  # column groups that have left
    due: dict[int, tuple] = field(default_factory=dict)
    pulses: dict[int, tuple] = field(default_factory=dict)
    outputs: int = 0
    kept: list[int] = field(default_factory=list)  # addresses of all bytes that were written
    layers_done: int = 0
    tables: int = 0  # that were written

    async def check(self, ctx) -> None:
        dut = self.dut
        async for *_, valid, out, group_done, layer_done, retired in ctx.tick().sample(
            dut.results.valid, dut.results.payload, dut.entries.done, dut.layer.done, dut.retired
        ):
            assert bool(valid) == (self.now in self.due), self.now
            if valid:
                address, data, keep, last = self.due[self.now]
                kept = [value for lane, value in enumerate(out.data) if keep >> lane & 1]
                assert (out.address, kept, out.keep, out.last) == (address, data, keep, last), self.now
                self.kept += [out.address + lane for lane in range(self.config.lanes) if out.keep >> lane & 1]
            assert (retired, group_done, layer_done) == self.pulses.get(self.now, (0, 0, 0)), self.now
            self.outputs += valid
            self.done += group_done
            self.layers_done += layer_done
            self.now += 1

    async def write_entries(self, ctx, layers: list[Layer]) -> None:
        """As early as two banks allow. Of a chunk some lanes' biases and some lanes' scales in a write, the rest in another."""
        lanes, port = self.config.lanes, self.dut.entries
        number = 0
        for layer in layers:
            if self.config.tables:
                await self._write_table(ctx, layer.table, number)
            if self.config.products:
                while self.done < number - 1:  # entries of the layer before may still be on their way
                    await ctx.tick()
                ctx.set(port.multiplies, layer.product)
            for group in range(len(layer.totals)):
                while self.done < number - 1:
                    await ctx.tick()
                for chunk in range(self.config.cols // lanes):
                    every = (1 << lanes) - 1
                    some = self.rng.integers(0, 1 << lanes, 2)
                    for biases, scales in (some.tolist(), (every - some).tolist()):
                        while self.rng.random() < self.pauses:
                            await ctx.tick()
                        ctx.set(port.address, number % 2 * (self.config.cols // lanes) + chunk)
                        ctx.set(port.biases, biases)
                        ctx.set(port.scales, scales)
                        for lane in range(lanes):
                            at = group, chunk * lanes + lane
                            bias, multiplier, shift_1 = 1, 1, 1
                            if biases >> lane & 1:
                                bias = int(layer.bias[at])
                            if scales >> lane & 1:
                                multiplier, shift_1 = int(layer.multiplier[at]) - (1 << 15), int(layer.shift[at]) - 1
                            ctx.set(port.entries[lane], {"bias": bias, "multiplier": multiplier, "shift_1": shift_1})
                        await ctx.tick()
                        ctx.set(port.biases, 0)
                        ctx.set(port.scales, 0)
                number += 1
                await ctx.tick()  # they are on their way to the lanes
                self.written = number

    async def _write_table(self, ctx, table: np.ndarray | None, number: int) -> None:
        """In front of the entries of group `number`, as early as the layer before the last one leaves its bank."""
        port = self.dut.table
        while self.done < number - 1:
            await ctx.tick()
        ctx.set(port.enable, table is not None)
        for value in range(-128, 128) if table is not None else ():
            ctx.set(port.address, value % 256 | self.tables % 2 << 8)
            ctx.set(port.data, int(table[value + 128]))
            await ctx.tick()
        ctx.set(port.enable, 0)
        self.tables += table is not None
        ctx.set(port.used, table is not None)

    async def send_pixels(self, ctx, layers: list[Layer]) -> None:
        """A pixel every cols / lanes steps, or later; the next layer's fields follow when the last one has left."""
        dut, number = self.dut, 0
        period = self.config.cols // self.config.lanes * self.config.multiplier_cycles
        for index, layer in enumerate(layers):
            while self.layers_done < index:
                await ctx.tick()
            ctx.set(dut.layer.fields, layer.fields)
            ctx.set(dut.layer.start, 1)
            await ctx.tick()
            ctx.set(dut.layer.start, 0)
            groups, pixels, _ = layer.totals.shape
            lasts = {last for _, last in layer.windows}
            for group in range(groups):
                number += 1
                while self.written < number:
                    await ctx.tick()
                for pixel in range(pixels):
                    while self.rng.random() < self.pauses:
                        await ctx.tick()
                    self._expect(layer, group, pixel)
                    for col, total in enumerate(layer.totals[group, pixel].tolist()):
                        ctx.set(dut.totals.payload.columns[col], total)
                    ctx.set(
                        dut.totals.payload.tag,
                        {
                            "first": int(self.rng.integers(0, 2)),
                            "last": 1,
                            "final": group == groups - 1,
                            "emits": pixel in lasts,
                            "slides": pixel in layer.slides,
                            "pixel_last": pixel == pixels - 1,
                        },
                    )
                    ctx.set(dut.totals.valid, 1)
                    await ctx.tick()
                    ctx.set(dut.totals.valid, 0)
                    ctx.set(dut.totals.payload.columns.as_value(), 0)
                    for _ in range(period - 1):
                        await ctx.tick()
        while self.now <= max(self.pulses):
            await ctx.tick()

    def _expect(self, layer: Layer, group: int, pixel: int) -> None:
        config, fields = self.config, layer.fields
        lanes, chunks = config.lanes, config.cols // config.lanes
        groups, pixels, _ = layer.totals.shape
        cycles = config.multiplier_cycles
        first = self.now + self.dut.latency + (-self.now - 2) % cycles  # from the step on that begins next
        final, last_pixel = group == groups - 1, pixel == pixels - 1
        done = int(last_pixel)
        self.pulses[first + (chunks - 1) * cycles] = (1, done, int(done and final))
        columns = fields["last_columns"] if final else config.cols
        for number, (begin, end) in enumerate(layer.windows):
            if end != pixel:
                continue
            sums, bias = layer.totals[group, begin : end + 1], layer.bias[group]
            if layer.product:
                factors = (
                    127 - (sums + bias >> at & 255) - fields[zero] for at, zero in ((0, "zero_a"), (8, "zero_b"))
                )
                sums, bias = np.multiply(*factors), 0
            values = requantise(
                sums,
                bias,
                layer.multiplier[group],
                layer.shift[group],
                fields["zero_point"],
                fields["lo"],
                fields["hi"],
                24 if fields["narrow"] else 32,
            )
            if layer.table is not None:
                values = layer.table[values.astype(int) + 128]
            values = values.max(axis=0)
            for chunk in range(-(-columns // lanes)):
                data = values[chunk * lanes : min(columns, chunk * lanes + lanes)].tolist()
                byte = chunk * lanes
                address = fields["destination"] + number * fields["pixel_bytes"] + group * config.cols + byte
                last = final and last_pixel and byte + lanes >= columns
                self.due[first + chunk * cycles] = (
                    address % (config.activation_words * config.rows),
                    data,
                    (1 << len(data)) - 1,
                    int(last),
                )


def run(config: Config, rng, pauses: float, layers: list[Layer]) -> Bench:
    dut = PostProcessor(config)
    bench = Bench(dut, config, rng, pauses)

    async def entries(ctx):
        await bench.write_entries(ctx, layers)

    async def pixels(ctx):
        await bench.send_pixels(ctx, layers)

    simulate(dut, entries, pixels, background=[bench.check])
    assert bench.outputs == len(bench.due) and bench.layers_done == len(layers)
    return bench


@pytest.mark.parametrize(("cycles", "latency"), [(1, 9), (2, 8), (4, 14), (8, 26), (16, 50)])
def test_latency_is_what_others_build_on(cycles, latency, rng):
    config = replace(CONFIGS[0], multiplier_cycles=cycles)
    assert run(config, rng, 0.2, [random_layer(rng, config)]).dut.latency == latency


@pytest.mark.parametrize("registers", [True, False], ids=["registers", "no registers"])
def test_tables_add_to_the_latency(registers, rng):
    config = replace(CONFIGS[0], tables=True, pipeline_registers=registers)
    assert run(config, rng, 0.2, [random_layer(rng, config)]).dut.latency == 10 + registers


@pytest.mark.parametrize(("cycles", "latency"), [(1, 11), (2, 12), (4, 22)])
def test_products_add_two_steps_to_the_latency(cycles, latency, rng):
    config = replace(CONFIGS[0], multiplier_cycles=cycles, products=True)
    assert run(config, rng, 0.2, [random_layer(rng, config)]).dut.latency == latency


@pytest.mark.parametrize("pauses", [0.0, 0.4])
@pytest.mark.parametrize("config", CONFIGS, ids=name)
def test_random_layers(config, pauses, rng):
    """Pooled, also in windows that overlap, and not; partial last groups, any clamp; every chunk in its cycle, at its address,
    with keep and last."""
    run(config, rng, pauses, [random_layer(rng, config) for _ in range(5)])


@pytest.mark.parametrize("config", CONFIGS, ids=name)
def test_a_layers_pixels_fill_their_bytes_and_leave_their_neighbours_alone(config, rng):
    """Pixels without gaps, or up to the next word: each byte of a pixel is written once, also where groups end inside a word,
    and no other byte is."""
    layer = random_layer(rng, config)
    fields, (groups, _, cols) = layer.fields, layer.totals.shape
    channels = (groups - 1) * cols + fields["last_columns"]
    fields["pixel_bytes"] = channels if config.dense else -(-channels // config.rows) * config.rows
    fields["destination"] = 13 if config.dense else 2 * config.rows
    assert sorted(run(config, rng, 0.0, [layer]).kept) == [
        fields["destination"] + window * fields["pixel_bytes"] + channel
        for window in range(len(layer.windows))
        for channel in range(channels)
    ]


def test_addresses_of_two_groups_of_dense_pixels():
    """By hand: 8 columns are 2 chunks of 4 channels; 8 + 3 bytes a pixel; the second group is 8 bytes further."""
    config = CONFIGS[1]
    dut = PostProcessor(config)
    words = []

    async def watch(ctx):
        async for *_, valid, out in ctx.tick().sample(dut.results.valid, dut.results.payload):
            if valid:
                words.append((out.address, out.keep, out.last))

    async def testbench(ctx):
        ctx.set(dut.layer.fields, {"destination": 81, "pixel_bytes": 11, "lo": -128, "hi": 127, "last_columns": 3})
        ctx.set(dut.layer.start, 1)
        await ctx.tick()
        ctx.set(dut.layer.start, 0)
        for final in (0, 1):
            for last in (0, 1):
                ctx.set(dut.totals.payload.tag, {"last": 1, "final": final, "emits": 1, "pixel_last": last})
                ctx.set(dut.totals.valid, 1)
                await ctx.tick()
                ctx.set(dut.totals.valid, 0)
                await ctx.tick()
        await ctx.tick().repeat(dut.latency)

    simulate(dut, testbench, background=[watch])
    assert words == [(81, 15, 0), (85, 15, 0), (92, 15, 0), (96, 15, 0), (89, 7, 0), (100, 7, 1)]


@pytest.mark.parametrize("config", [CONFIGS[1], CONFIGS[5], CONFIGS[12], CONFIGS[-3]], ids=name)
def test_reset_in_mid_layer_followed_by_a_right_one(config, rng):
    dut = PostProcessor(config)
    reset = Signal()
    bench = Bench(dut, config, rng, 0.1)
    layers = [random_layer(rng, config) for _ in range(2)]
    period = config.cols // config.lanes * config.multiplier_cycles
    duration = 6 * period + 3

    async def disturb(ctx) -> None:
        """The bank turns, and a window begins; the reset comes while its pixels are inside."""
        ctx.set(dut.layer.fields, {"lo": 127, "hi": 127})
        for number in range(6):
            ctx.set(dut.totals.payload.tag, {"last": 1, "pixel_last": number == 0})
            ctx.set(dut.totals.valid, 1)
            await ctx.tick()
            ctx.set(dut.totals.valid, 0)
            await ctx.tick().repeat(period - 1)
        await ctx.tick().repeat(2)
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)

    async def check(ctx):
        await ctx.tick().repeat(duration)
        await bench.check(ctx)

    async def entries(ctx):
        await ctx.tick().repeat(duration)
        await bench.write_entries(ctx, layers)

    async def pixels(ctx):
        await disturb(ctx)
        await bench.send_pixels(ctx, layers)

    simulate(ResetInserter(reset)(dut), entries, pixels, background=[check])
    assert bench.outputs == len(bench.due) and bench.layers_done == 2
