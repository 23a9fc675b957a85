"""How the feeder reads windows: runs, merged kernels, and first layers whose ifmap rows are stacked."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplock.pymodel.compiler import fast_interpreter, interpreter
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.compiler.first_layer import Unfold, plan_input
from deeplock.pymodel.compiler.schedule import plan_steps
from deeplock.pymodel.compiler.step import Step, runs_of, words_of
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network import golden
from deeplock.pymodel.network.lowering import Streamed
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.network.operators.add import Add
from deeplock.pymodel.network.operators.average_pool import AveragePool
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.network.operators.max_pool import MaxPool
from deeplock.pymodel.network.operators.multiply import Multiply
from deeplock.pymodel.network.operators.table import Table
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Descriptor
from tests.random_networks import first_layers, network_of


def config_of(rows: int, **fields) -> Config:
    return Config(rows=rows, cols=rows, bytes_per_beat=4, ifmap_bytes=1 << 15, accumulators=4096, **fields)


def conv(name: str, source: str, weight: np.ndarray, **options) -> Conv:
    out = len(weight)
    fixed = {"stride": (1, 1), "padding": (0, 0, 0, 0), "input_zero_point": 0, "zero_point": 0, "lo": -128, "hi": 127}
    scales = {"bias": np.zeros(out, np.int32), "multiplier": np.full(out, 1 << 15), "shift": np.full(out, 24)}
    return Conv(name, source, weight, **scales | fixed | options)


def random_conv(shape, out: int, kernel, rng, **options) -> Network:
    return network_of(shape, conv("a", "input", rng.integers(-128, 128, (out, *kernel, shape[2]), np.int8), **options))


def planned(network: Network, config: Config, seed: int = 0) -> tuple[Step, Unfold]:
    """The network's first step, and the unfolding of its ifmap."""
    steps, unfold = plan_input(plan_steps(network, config), config, np.random.default_rng(seed))
    return steps[0], unfold


def parts_of(step: Step, depth: int) -> np.ndarray:
    """Weights int [out, kernel rows, columns, stacked rows, depth] of a step on stacked rows of `depth` channels."""
    assert isinstance(step.lowered.weights, Streamed)
    (rows, wide), deep = step.lowered.kernel, step.shape[2] // depth
    return step.lowered.weights.weight.astype(int).reshape(-1, rows, wide, deep, depth)


def kernel_of(parts: np.ndarray, tall: int, shift: int) -> np.ndarray:
    """The kernel that these weights make together: those of a row that is read twice add up."""
    out, rows, wide, deep, depth = parts.shape
    whole = np.zeros((out, tall, wide, depth), int)
    for row, layer in np.ndindex(rows, deep):
        whole[:, row * shift + layer] += parts[:, row, :, layer]
    return whole


# rows, kernel, channels, stride; rows of the new kernel, ifmap rows in each, from one to the next, pitch; words of a window
STACKED = [
    (16, (3, 3), 3, 1, (1, 3, 0, 1), 2),
    (16, (3, 3), 3, 2, (1, 3, 0, 2), 2),
    (16, (3, 4), 2, 1, (2, 2, 1, 1), 2),  # the middle row is read twice
    (16, (3, 4), 2, 2, (1, 3, 0, 2), 2),  # fewer words of ifmap
    (16, (5, 5), 1, 1, (2, 3, 2, 1), 2),
    (16, (5, 5), 1, 2, (2, 3, 2, 2), 2),  # every second row
    (16, (5, 5), 1, 3, (1, 5, 0, 3), 2),
    (16, (4, 8), 1, 1, (2, 2, 2, 1), 2),  # no row is read twice
    (16, (4, 8), 1, 2, (2, 2, 2, 2), 2),
    (16, (7, 5), 1, 1, (3, 3, 2, 1), 3),  # two rows are
    (8, (7, 4), 1, 1, (2, 4, 3, 1), 4),
    (8, (7, 4), 1, 3, (2, 4, 3, 3), 4),
    (4, (5, 1), 1, 1, (2, 3, 2, 1), 2),
]


@pytest.mark.parametrize(("rows", "kernel", "depth", "stride", "chosen", "words"), STACKED, ids=str)
def test_rows_are_stacked_where_that_makes_fewer_words(rows, kernel, depth, stride, chosen, words):
    config, rng = config_of(rows), np.random.default_rng(rows)
    network = random_conv((17, 19, depth), 3, kernel, rng, stride=(stride, stride))
    step, unfold = planned(network, config)
    kernel_rows, deep, shift, pitch = chosen
    assert words_of(step, config) == words < words_of(plan_steps(network, config)[0], config)
    assert step.lowered.kernel == (kernel_rows, kernel[1]) and step.shape == (
        (17 - deep) // pitch + 1,
        19,
        deep * depth,
    )
    assert (unfold.run_bytes, unfold.runs, unfold.y_pitch) == (depth, deep, pitch * 19 * depth)
    assert (step.row_step * step.pitch, step.pitch) == (shift, pitch)
    assert np.array_equal(kernel_of(parts_of(step, depth), kernel[0], shift), network.layers[0].weight)


def test_an_ifmap_is_not_stacked_where_that_gains_nothing_or_another_layer_reads_it_too():
    rng = np.random.default_rng(0)
    for rows, kernel, depth in ((16, (5, 5), 3), (8, (3, 3), 8), (16, (1, 5), 3)):
        step, unfold = planned(random_conv((9, 9, depth), 3, kernel, rng), config_of(rows))
        assert (step.lowered.kernel, step.shape) == (kernel, (9, 9, depth))
        assert (unfold.run_bytes, unfold.runs, unfold.windows_x, unfold.windows_y) == (81 * depth, 1, 1, 1)
    first = random_conv((9, 9, 3), 3, (3, 3), rng, padding=(1, 1, 1, 1)).layers[0]
    both = network_of((9, 9, 3), first, Add("b", "a", "input", (1, 1), 0, 1 << 15, 17, 0, -128, 127))
    assert planned(network_of((9, 9, 3), first), config_of(16))[0].lowered.kernel == (1, 3)
    assert planned(both, config_of(16))[0].lowered.kernel == (3, 3)


def test_an_ifmap_is_not_stacked_where_the_memories_are_too_small():
    """As it is 972 bytes in 61 words; stacked, the host sends 1200 bytes, which become 3240 in 203 words."""
    network = random_conv((18, 18, 3), 3, (3, 3), np.random.default_rng(0), padding=(1, 1, 1, 1))
    for words, size, stacked in ((512, 2048, True), (128, 2048, False), (512, 1024, False)):
        config = Config(rows=16, cols=16, activation_words=words, ifmap_bytes=size)
        assert planned(network, config)[0].lowered.kernel == ((1, 3) if stacked else (3, 3))


@pytest.mark.parametrize(("kernel", "deep"), [((26, 3), 26), ((300, 1), 15)], ids=str)
def test_no_more_rows_are_stacked_than_the_unfolder_counts(kernel, deep):
    """It counts 31. 26 rows of 3 bytes take 5 words together. 300 of one byte would take 19 words; 20 times 15 take 20."""
    rng = np.random.default_rng(0)
    network, config = random_conv((302, 4, 1), 3, kernel, rng), config_of(16)
    assert planned(network, config)[1].runs == deep
    loadable = compile_network(network, config, rng)
    ifmaps = rng.integers(-128, 128, (2, 302, 4, 1), np.int8)
    assert np.array_equal(interpreter.run(loadable, b"", ifmaps, config), golden.run(network, ifmaps)["a"])


def test_the_split_of_a_weight_is_random_between_zero_and_the_weight():
    """So that no byte of the stream follows from the kernel's shape. A weight of -128 may be split, too."""
    weight = np.full((2, 3, 4, 2), 100, np.int8)
    weight[1] = -128
    network, splits = network_of((9, 9, 2), conv("a", "input", weight)), []
    for seed in range(60):
        parts = parts_of(planned(network, config_of(16), seed)[0], 2)
        assert np.array_equal(kernel_of(parts, 3, 1), weight)
        splits.append(parts)
    first, second = np.stack(splits)[:, :, 0, :, 1], np.stack(splits)[:, :, 1, :, 0]
    for parts in (first, second):
        assert (parts[:, 0] >= 0).all() and (parts[:, 0] <= 100).all()
        assert (parts[:, 1] <= 0).all() and (parts[:, 1] >= -128).all()
        for places in (parts[:, 0], -parts[:, 1]):
            assert (np.ptp(places, axis=0) > 60).all(), "each place sees most of the range"
            assert 0.4 < places.mean() / places.max() < 0.6


@settings(max_examples=200)
@given(first_layers(), st.sampled_from([4, 8, 16]), st.booleans(), st.booleans())
def test_a_first_layer_takes_the_fewest_words_and_computes_what_the_network_computes(case, rows, padding, dense):
    network, ifmaps = case
    config, layer = config_of(rows, padding=padding, dense=dense), network.layers[0]
    step, _ = planned(network, config)
    _, tall, wide, depth = layer.weight.shape
    whole = wide == network.input_shape[1] + layer.padding[1] + layer.padding[3]  # as the host pads it
    if dense:
        options = [-(-tall * wide * depth // rows) if whole and not (padding and any(layer.padding)) else
                   tall * -(-wide * depth // rows)]  # fmt: skip
        for deep in range(2, tall + 1):
            kernel_rows = -(-tall // deep)
            shift, rest = divmod(tall - deep, max(1, kernel_rows - 1))
            if rest == 0 and whole and kernel_rows > 1 and layer.stride[0] % shift == 0:
                options.append(-(-kernel_rows * wide * deep * depth // rows))
            elif rest == 0 or kernel_rows == 1:
                options.append(kernel_rows * -(-wide * deep * depth // rows))
    else:
        options = [tall * wide * -(-depth // rows), -(-tall * wide * depth // rows)]
    assert words_of(step, config) == min(options)
    expected = golden.run(network, ifmaps)["first"]
    loadable = compile_network(network, config, np.random.default_rng(0))
    assert np.array_equal(interpreter.run(loadable, b"", ifmaps, config), expected)
    stream = np.frombuffer(loadable.parameters, np.uint8)
    assert np.array_equal(fast_interpreter.run(loadable, stream, ifmaps, config), expected)


@pytest.mark.parametrize(
    ("shape", "kernel", "padding", "merged"),
    [
        ((4, 6, 5), (4, 6), 0, (1, 1, 120)),
        ((7, 6, 5), (3, 6), 0, (1, 1, 90)),  # as wide as the input
        ((4, 6, 5), (4, 5), 0, (4, 1, 25)),
        ((2, 4, 5), (4, 6), 1, (4, 1, 30)),
        ((1, 1, 33), (1, 1), 0, (1, 1, 33)),
    ],
    ids=str,
)
def test_the_rows_of_a_kernel_as_wide_as_its_input_are_one_run(shape, kernel, padding, merged):
    """Of a layer behind the first."""
    weight = np.ones((3, *kernel, shape[2]), np.int8)
    network = network_of(
        shape,
        conv("a", "input", np.ones((shape[2], 1, 1, shape[2]), np.int8)),
        conv("b", "a", weight, padding=(padding,) * 4),
    )
    for rows in (4, 16):
        step = plan_steps(network, config_of(rows))[1]
        assert runs_of(step, config_of(rows)) == merged
        assert words_of(step, config_of(rows)) == merged[0] * -(-merged[2] // rows)
        separate = config_of(rows, dense=False)
        assert runs_of(step, separate) == (*kernel, shape[2])
        assert words_of(step, separate) == kernel[0] * kernel[1] * -(-shape[2] // rows)


@pytest.mark.parametrize(("shape", "runs"), [((15, 14, 78), (1, 1, 4095 * 4)), ((16, 16, 64), (16, 1, 1024))], ids=str)
def test_a_run_has_at_most_as_many_words_as_a_descriptor_can_say(shape, runs):
    """4095; if the whole kernel has more, each of its rows is a run."""
    rng, config = np.random.default_rng(0), config_of(4)
    first = conv("a", "input", rng.integers(-128, 128, (shape[2], 1, 1, 1), np.int8), lo=0)
    network = network_of((*shape[:2], 1), first, conv("b", "a", rng.integers(-128, 128, (2, *shape), np.int8)))
    assert runs_of(plan_steps(network, config)[1], config) == runs
    loadable = compile_network(network, config, rng)
    ifmaps = rng.integers(-128, 128, (2, *shape[:2], 1), np.int8)
    assert np.array_equal(interpreter.run(loadable, b"", ifmaps, config), golden.run(network, ifmaps)["b"])


@pytest.mark.parametrize(
    ("shape", "channels", "pool", "fields", "sliding"),
    [
        ((4, 11, 1), 6, (2, 1), {}, 1),
        ((7, 11, 1), 6, (3, 2), {}, 2),
        ((7, 11, 1), 6, (3, 1), {}, 0),  # windows share two columns
        ((4, 11, 1), 6, (2, 1), {"dense": False}, 0),
        ((4, 52, 1), 20, (2, 1), {}, 1),  # 51 x 20 channels in 255 groups of 4
        ((4, 53, 1), 20, (2, 1), {}, 0),
    ],
    ids=str,
)
def test_a_pooling_slides_where_windows_share_a_column_and_a_row_of_it_fits(shape, channels, pool, fields, sliding):
    rng, config = np.random.default_rng(0), config_of(4, **fields)
    first = conv("a", "input", rng.integers(-128, 128, (channels, 1, 1, 1), np.int8), shift=np.full(channels, 20))
    network = network_of(shape, first, MaxPool("b", "a", *((size, size) for size in pool)))
    assert [step.sliding for step in plan_steps(network, config)] == [sliding, 0]
    loadable = compile_network(network, config, rng)
    ifmaps = rng.integers(-128, 128, (2, *shape), np.int8)
    expected = golden.run(network, ifmaps)["b"]
    assert np.array_equal(interpreter.run(loadable, b"", ifmaps, config), expected) and len(np.unique(expected)) > 9
    stream = np.frombuffer(loadable.parameters, np.uint8)
    assert np.array_equal(fast_interpreter.run(loadable, stream, ifmaps, config), expected)


def test_a_table_is_fused_into_the_layer_whose_results_nothing_else_reads(rng):
    """Behind a maximum and behind a table it is a step of its own, whose pixels fill the columns."""

    def table(name: str, source: str) -> Table:
        return Table(name, source, rng.integers(-128, 128, 256, np.int8))

    weight = rng.integers(-128, 128, (6, 1, 1, 6), np.int8)
    average = AveragePool("mean", "p", (1, 1), (1, 1), 0, 1 << 15, 15, 0, -128, 127)
    layers = (
        *(
            conv("a", "input", weight),
            table("a2", "a"),
            MaxPool("p", "a2", (2, 2), (2, 2)),
            average,
            table("m2", "mean"),
        ),
        *(table("m3", "m2"), Add("s", "m3", "m2", (1, 1), 0, 1 << 15, 15, 0, -128, 127), table("s2", "s")),
        *(conv("b", "s2", weight), MaxPool("q", "b", (2, 2), (2, 2)), table("q2", "q")),
    )
    network = network_of((8, 8, 6), *layers)
    config = config_of(8, tables=True)
    steps = plan_steps(network, config)
    assert [(step.name, step.output, bool(step.lowered.table)) for step in steps] == [
        *(("a", "p", True), ("mean", "m2", True), ("m3", "m3", True), ("s", "s2", True)),
        *(("b", "q", False), ("q2", "q2", True)),
    ]
    assert steps[2].shape == steps[2].out == (4, 3, 8)
    loadable = compile_network(network, config, rng)
    ifmaps = rng.integers(-128, 128, (3, 8, 8, 6), np.int8)
    expected = golden.run(network, ifmaps)["q2"]
    assert np.array_equal(interpreter.run(loadable, b"", ifmaps, config), expected)
    assert loadable.features == ("padding",) * ("padding" in loadable.features) + ("diagonal", "tables")


@pytest.mark.parametrize("channels, rest", [(6, 2), (16, 0)])
def test_a_product_with_one_pixel_copies_it_and_keeps_a_table_apart(channels, rest, rng):
    """Where the channels fill the array's columns, the copy is one group of a tile that stays. Strips fit the accumulators."""
    weight = rng.integers(-128, 128, (channels, 1, 1, channels), np.int8)
    mean = AveragePool("mean", "input", (9, 8), (1, 1), 0, 1 << 15, 20, 0, -128, 127)
    product = Multiply("product", "input", "gate", (5, -70), 1 << 15, 21, 3, -100, 90)
    layers = mean, conv("gate", "mean", weight), product, Table("t", "product", rng.integers(-128, 128, 256, np.int8))
    network = network_of((9, 8, channels), *layers, conv("end", "t", weight))
    config = replace(config_of(8, tables=True, products=True), accumulators=64)
    steps = plan_steps(network, config)
    assert [(step.name, bool(step.lowered.table)) for step in steps] == [
        *(("mean", False), ("gate", False), ("gate for all pixels of product", False), ("product", False)),
        *(("t", True), ("end", False)),
    ]
    assert steps[2].shape == ((1, 1, channels) if rest else (1, channels // 8, 8))
    loadable = compile_network(network, config, rng)
    copies, products = ([layer for layer in loadable.program if test(layer)] for test in (_spreads, _multiplies))
    assert len(copies) > 1 and {layer.groups for layer in copies} == {1}
    assert {(layer.zero_a, layer.zero_b, layer.kblocks, layer.narrow) for layer in products} == {(5, -70, 4, 1)}
    ifmaps = rng.integers(-128, 128, (3, 9, 8, channels), np.int8)
    assert np.array_equal(interpreter.run(loadable, b"", ifmaps, config), golden.run(network, ifmaps)["end"])
    assert loadable.features[-2:] == ("tables", "products")
    with pytest.raises(
        DeeplockError, match="^layer product: the accelerator leaves out products, the option that operator"
    ):
        compile_network(network, replace(config, products=False))


def _spreads(layer: Descriptor) -> bool:
    return layer.alike == 1 and layer.window_stride == 0


def _multiplies(layer: Descriptor) -> bool:
    return layer.multiplies


def test_entries_of_values_that_do_not_occur_are_random(rng):
    weight = rng.integers(-128, 128, (4, 1, 1, 4), np.int8)
    values = rng.integers(-128, 128, 256, np.int8)
    network = network_of((1, 1, 4), conv("a", "input", weight, lo=-10, hi=20), Table("t", "a", values))
    config = config_of(4, tables=True)
    first, second = (
        np.frombuffer(compile_network(network, config, np.random.default_rng(seed)).parameters[:256], np.int8)
        for seed in (1, 2)
    )
    occur = slice(128 - 10, 128 + 21)
    assert np.array_equal(first[occur], values[occur]) and np.array_equal(second[occur], values[occur])
    assert (first != second).sum() > 200
