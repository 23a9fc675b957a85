"""What a loadable says of its layers: bounds by an independent formula, words by its own descriptors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.compiler.schedule import staged
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.network import Network, lower_bound, output_shapes
from deeplock.pymodel.network.operators.add import Add
from deeplock.pymodel.network.operators.average_pool import AveragePool
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.network.operators.depthwise import Depthwise
from deeplock.pymodel.network.operators.grouped import Grouped
from deeplock.pymodel.network.operators.max_pool import MaxPool
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Descriptor
from deeplock.pymodel.spec.layers import LayerFacts
from tests.random_networks import chains, network_of

CONFIGS = [
    Config(rows=4, cols=4, bytes_per_beat=4, accumulators=64),
    Config(rows=4, cols=16, bytes_per_beat=8),
    Config(rows=4, cols=8, bytes_per_beat=4, dense=False, program_words=4096),
    Config(rows=16, cols=16, bytes_per_beat=16),
]


def kernel_and_stride(layer) -> tuple[tuple[int, int], int]:
    match layer:
        case Conv() | Depthwise() | Grouped():
            return layer.weight.shape[1:3], layer.stride
        case AveragePool():
            return layer.kernel, layer.stride
        case MaxPool():
            return (1, 1), (1, 1)
        case Add():
            return (2, 1), (1, 1)
    raise AssertionError(layer)


def check(fact: LayerFacts, layer: Descriptor, network: Network, config: Config) -> None:
    if fact.kind == "copy":
        assert (fact.kernel, fact.parameter_bytes, fact.lower_bound) == ((1, 1), 0, 0)
        return
    shapes = output_shapes(network)
    does = next(each for each in network.layers if each.name == fact.name)
    (tall, wide), stride = kernel_and_stride(does)
    assert (fact.kind, fact.kernel, fact.stride) == (does.kind, (tall, wide), stride)
    height, width, depth = shapes[does.sources[0]]
    if isinstance(does, Conv | Depthwise | Grouped) and does.dilation[0] > 1:
        height += does.padding[0] + does.padding[2]  # a step before it pads
    assert fact.input[0] <= height and fact.input[1] * fact.input[2] <= width * depth
    pixels, channels = layer.pixels, fact.output[2]
    if isinstance(does, Conv | Grouped):
        groups = does.groups if isinstance(does, Grouped) else 1
        parts = fact.groups * fact.input[2], fact.groups * channels
        assert (fact.groups, *parts) == (groups, depth, len(does.weight))
        taps = tall * wide * fact.input[2]
        load = -(-taps * channels // config.bytes_per_beat)
        words = -(-taps // config.rows) * -(-channels // config.cols)
        assert fact.array_bound == max(pixels * words, load)
        assert fact.lower_bound == max(-(-pixels * taps * channels // (config.rows * config.cols)), load)
        assert fact.words >= pixels * words, "a bound that is beaten is no bound"
    elif isinstance(does, Depthwise):
        load = -(-tall * wide * channels // config.bytes_per_beat)
        assert fact.array_bound == fact.lower_bound == max(-(-pixels * tall * wide * channels // config.rows), load)
    else:
        assert (fact.lower_bound, fact.parameter_bytes) == (0, 0)
        assert fact.array_bound == -(-pixels * tall * wide * channels // config.rows)


@settings(max_examples=150)
@given(chains(), st.sampled_from(CONFIGS))
def test_facts_are_those_of_the_networks_layers_and_of_the_descriptors(case, config):
    network = case[0]
    try:
        loadable = compile_network(network, config, np.random.default_rng(0))
    except DeeplockError:
        return  # too large: test_compiler.py looks after that
    facts = loadable.interface.layers
    assert len(facts) == len(loadable.program)
    assert sum(fact.parameter_bytes for fact in facts) == len(loadable.parameters)
    run = staged(network)
    for fact, layer in zip(facts, loadable.program, strict=True):
        check(fact, layer, run, config)
        assert fact.words == layer.reads(0, config.rows, config.cols).size * layer.cblocks * layer.groups
        assert fact.output == (layer.out_h, layer.results_w, layer.channels(config.cols))
    assert {fact.name for fact in facts if fact.kind != "copy"} <= {layer.name for layer in run.layers}
    assert sum(fact.lower_bound for fact in facts) >= loadable.interface.lower_bound
    assert loadable.interface.lower_bound == lower_bound(network, config.rows, config.cols, config.bytes_per_beat)


def conv(name: str, source: str, shape: tuple[int, int, int, int], pad: int = 0) -> Conv:
    out = shape[0]
    scales = np.zeros(out, np.int32), np.full(out, 1 << 15), np.full(out, 15)
    return Conv(name, source, np.ones(shape, np.int8), *scales, (1, 1), (pad,) * 4, 0, 0, -128, 127)


def test_in_a_batch_each_layer_tells_of_itself():
    """The dense layers at the end run once for all, and see the ifmaps of the batch one below the other."""
    layers = conv("a", "input", (4, 3, 3, 1)), conv("b", "a", (6, 4, 4, 4)), conv("c", "b", (10, 1, 1, 6))
    loadable = compile_network(network_of((6, 6, 1), *layers), Config(rows=4, cols=4, bytes_per_beat=4), batch=3)
    facts = loadable.interface.layers
    assert [(fact.name, fact.input, fact.output, fact.kernel) for fact in facts] == [
        *[("a", (6, 6, 1), (4, 4, 4), (3, 3))] * 3,
        ("b", (12, 4, 4), (3, 1, 6), (4, 4)),
        ("c", (3, 1, 6), (3, 1, 10), (1, 1)),
    ]
    assert [fact.lower_bound for fact in facts] == [36, 36, 36, 96, 15]  # 16 x 36 MACs / 16, bytes / 4
    assert [fact.array_bound for fact in facts] == [48, 48, 48, 96, 18]  # 16 x 3 words, 3 x 2 words x 3 groups
    assert [fact.words for fact in facts] == [48, 48, 48, 3 * 16 * 2, 18]


def test_a_pooling_whose_windows_overlap_is_two_layers():
    """Its rows are pooled behind the convolution, which takes each of its pixels once; its columns as pixels of whole rows."""
    first = conv("a", "input", (6, 1, 1, 3))
    for pool, size in ((MaxPool("b", "a", (2, 2), (1, 1)), 2), (MaxPool("b", "a", (3, 3), (2, 2)), 3)):
        loadable = compile_network(network_of((9, 9, 3), first, pool), Config(rows=4, cols=4, bytes_per_beat=4))
        width = pool.output_shape((9, 9, 6))[0]
        rows, columns = loadable.interface.layers
        assert (rows.name, rows.input, rows.output, rows.pool) == ("a", (9, 9, 3), (9, width, 6), (1, size))
        assert (columns.name, columns.kind, columns.pool) == ("b", "max_pool", (size, 1))
        assert (columns.input, columns.output) == ((9, 1, width * 6), (width, 1, width * 6))
        assert rows.words == 81 * 2 == rows.array_bound
        assert columns.words == width * size * -(-width * 6 // 4) and columns.words < 1.1 * columns.array_bound


def test_a_layer_in_strips_has_facts_of_each():
    config = Config(rows=4, cols=4, bytes_per_beat=4, accumulators=16)
    loadable = compile_network(network_of((6, 8, 4), conv("a", "input", (4, 1, 1, 4))), config)
    assert [(fact.name, fact.input, fact.output, fact.words) for fact in loadable.interface.layers] == [
        ("a", (6, 8, 4), (2, 8, 4), 16)
    ] * 3


NETWORKS = {
    "mnist": ((28, 28, 1), [(16, 5, 0), "pool", (32, 3, 0), "pool", (100, 5, 0), (10, 1, 0)]),
    "cifar10": ((32, 32, 3), [(32, 3, 1), (32, 3, 0), "pool", (64, 3, 1), (64, 3, 0), "pool", (512, 6, 0), (10, 1, 0)]),
    "signs": ((32, 32, 3), [(20, 5, 0), "pool", (36, 5, 0), "pool", (52, 3, 0), (100, 3, 0), (43, 1, 0)]),
    "odd": ((24, 24, 3), [(9, 3, 1), (20, 3, 0), (36, 5, 0), (52, 3, 0), (7, 3, 0)]),
}
"""Convolutions (channels, kernel, padding) and poolings of 2x2, on an input."""


@pytest.mark.parametrize("rows", [8, 16])
@pytest.mark.parametrize("name", NETWORKS)
def test_words_are_at_most_a_tenth_more_than_the_array_bound(name, rows):
    """Of any number of channels. (A kernel row of a few bytes more than whole words costs more: 3x3x17 on 16 rows, a fifth.)"""
    shape, kinds = NETWORKS[name]
    layers, inside = [], shape
    for index, kind in enumerate(kinds):
        here, source = f"l{index}", f"l{index - 1}" if index else "input"
        if kind == "pool":
            layers.append(MaxPool(here, source, (2, 2), (2, 2)))
        else:
            out, kernel, pad = kind
            layers.append(conv(here, source, (out, kernel, kernel, inside[2]), pad))
        inside = layers[-1].output_shape(inside)
    config = Config(rows=rows, cols=rows, bytes_per_beat=rows, activation_words=1 << 16)
    loadable = compile_network(network_of(shape, *layers), config)
    for fact in loadable.interface.layers:
        assert fact.words <= 1.1 * fact.array_bound, fact
