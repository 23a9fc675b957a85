"""Tensors in the pixels of others: where they lie, which steps copy, what the stream holds; all against the golden model."""

from dataclasses import fields, replace

import numpy as np
import pytest

from deeplock.pymodel.compiler import fast_interpreter, interpreter
from deeplock.pymodel.compiler.compiler import compile_network, outline
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network import golden
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.network.operators.add import Add
from deeplock.pymodel.network.operators.average_pool import AveragePool
from deeplock.pymodel.network.operators.concat import Concat
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.network.operators.cut import Cut
from deeplock.pymodel.network.operators.depthwise import Depthwise
from deeplock.pymodel.network.operators.grouped import Grouped
from deeplock.pymodel.network.operators.max_pool import MaxPool
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.entry import ENTRY
from tests.random_networks import network_of

CONFIG = Config(rows=4, cols=8, bytes_per_beat=4)
SHAPE = (5, 6, 8)


def conv(name: str, source: str, out: int, channels: int = 8, kernel: tuple[int, int] = (1, 1), **options) -> Conv:
    rng = np.random.default_rng(len(name) + out)
    weight = rng.integers(-128, 128, (out, *kernel, channels), np.int8)
    fixed = {"stride": (1, 1), "padding": (0, 0, 0, 0), "input_zero_point": 3, "zero_point": 0, "lo": -128, "hi": 127}
    scales = {"bias": np.zeros(out, np.int32), "multiplier": np.full(out, 1 << 15), "shift": np.full(out, 23)}
    return Conv(name, source, weight, **scales | fixed | options)


def grouped(name: str, source: str, groups: int, each: Conv) -> Grouped:
    return Grouped(
        **{field.name: getattr(each, field.name) for field in fields(each)} | {"name": name, "source": source},
        groups=groups,
    )


def joined(name: str, *sources: str, shift: int = 15) -> Concat:
    count = len(sources)
    return Concat(name, sources[0], sources[1:], (0,) * count, (1 << 15,) * count, (shift,) * count, 0)


def added(name: str, first: str, second: str) -> Add:
    return Add(name, first, second, (64, 64), 0, 1 << 15, 22, 0, -128, 127)


def compiled(network: Network, config: Config = CONFIG) -> tuple[list[str], list[int]]:
    """Names of the copies, and the bytes from pixel to pixel of what the other steps write; every byte is checked."""
    loadable = compile_network(network, config, np.random.default_rng(0))
    ifmaps = np.random.default_rng(1).integers(-128, 128, (2, *network.input_shape), np.int8)
    expected = golden.run(network, ifmaps)[network.layers[-1].name]
    assert np.array_equal(interpreter.run(loadable, b"", ifmaps, config), expected) and len(np.unique(expected)) > 9
    stream = np.frombuffer(loadable.parameters, np.uint8)
    assert np.array_equal(fast_interpreter.run(loadable, stream, ifmaps, config), expected)
    steps = list(zip(loadable.interface.layers, loadable.program, strict=True))
    copies = [facts.name for facts, _ in steps if facts.kind == "copy"]
    return copies, [layer.pixel_bytes for facts, layer in steps if facts.kind != "copy"]


def test_sources_of_a_concatenation_are_computed_side_by_side():
    """A pooling too, and a concatenation in another one. 3 + 5 channels, and 2 of the convolution behind them."""
    layers = conv("a", "input", 3), conv("b", "input", 5), MaxPool("p", "b", (3, 3), (1, 1), (1, 1, 1, 1))
    network = network_of(
        SHAPE, *layers, joined("c", "a", "p"), conv("d", "c", 2), joined("e", "c", "d"), conv("f", "e", 4, 10)
    )
    copies, pixels = compiled(network)
    assert copies == [] and pixels == [10, 5, 10, 10, 4]


def test_only_what_cannot_be_in_place_is_copied():
    """The ifmap, a source of two concatenations or twice of one, one of another scale, and an operand of a sum."""
    first, second = conv("a", "input", 8), conv("b", "a", 8)
    for layers, expected in (
        ((joined("c", "input", "b"),), ["input in c from channel 0"]),
        ((joined("c", "a", "b"), joined("d", "c", "a")), ["a in d from channel 16"]),
        ((joined("c", "a", "a", "b"),), ["a in c from channel 8"]),
        ((joined("c", "a", "b", shift=16),), ["a in c from channel 0", "b in c from channel 8"]),
        ((joined("c", "a", "b"), added("s", "a", "b"), joined("d", "c", "s")), ["a alone", "b alone"]),
    ):
        last = golden.run(network_of(SHAPE, first, second, *layers), np.zeros((1, *SHAPE), np.int8))[layers[-1].name]
        network = network_of(SHAPE, first, second, *layers, conv("e", layers[-1].name, 3, last.shape[3]))
        copies, _ = compiled(network)
        assert copies == expected


def test_channels_are_read_where_they_are():
    network = network_of(
        SHAPE,
        conv("a", "input", 9),
        Cut("low", "a", 0, 4),
        Cut("high", "a", 5, 4),
        conv("b", "low", 4, 4),
        added("s", "b", "high"),
    )
    copies, _ = compiled(network)
    assert copies == ["high alone"]


def test_each_group_reads_and_writes_its_channels_and_the_stream_has_no_zeros():
    """8 channels to 12, in 4 groups of 3x3 kernels: 12 x 18 weights, and 4 descriptors of 8 entries."""
    each = conv("each", "input", 12, 2, (3, 3), padding=(1, 1, 1, 1))
    network = network_of(SHAPE, grouped("g", "input", 4, each), conv("a", "g", 8, 12))
    copies, pixels = compiled(network)
    assert copies == [] and pixels == [12] * 4 + [8]
    loadable = compile_network(network, CONFIG, np.random.default_rng(0))
    facts = loadable.interface.layers[:4]
    folded = 2  # 3 channels take 4 of 8 columns: two kernel rows lie side by side in a tile
    rows = sum(layer.tile_rows(0, 4) != [] and sum(layer.tile_rows(0, 4)) for layer in loadable.program[:4])
    assert sum(fact.parameter_bytes for fact in facts) == 4 * 8 * ENTRY.size + 8 * rows
    assert rows <= 4 * -(-9 * 4 // folded) and {fact.groups for fact in facts} == {4}


def test_groups_at_the_end_leave_whole():
    each = conv("each", "input", 6, 4, (3, 3))
    for last in ((), (MaxPool("p", "g", (2, 2), (2, 2)),)):
        copies, _ = compiled(network_of(SHAPE, grouped("g", "input", 2, each), *last))
        assert copies == [f"{'p' if last else 'g'} out"]


@pytest.mark.parametrize(
    ("dilation", "padding", "copies"),
    [((1, 2), (1, 2, 1, 2), []), ((2, 1), (0, 1, 0, 1), []), ((2, 2), (2, 0, 1, 3), ["a padded for b"])],
    ids=str,
)
def test_only_rows_of_padding_around_rows_that_lie_apart_are_copied(dilation, padding, copies):
    kernel = (2, 3) if dilation[0] > 1 else (3, 3)
    spread = conv("b", "a", 5, 7, kernel, dilation=dilation, padding=padding)
    found, _ = compiled(network_of((6, 7, 8), conv("a", "input", 7), spread))
    assert found == copies


def test_rows_of_padding_lie_behind_an_input_that_is_computed_in_part():
    """The kernel's rows read rows -2 and 1, then 1 and 4; the third row of the input is not computed."""
    spread = conv("b", "a", 5, 7, (2, 1), dilation=(3, 1), stride=(3, 1), padding=(2, 0, 2, 0), input_zero_point=99)
    assert compiled(network_of((3, 7, 8), conv("a", "input", 7), spread))[0] == ["a padded for b"]


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "padding"),
    [
        ((17, 31, 3), (17, 31), (1, 1), (0, 0, 0, 0)),
        ((1, 128, 3), (1, 128), (1, 1), (0, 0, 0, 0)),
        ((16, 40, 3), (3, 20), (2, 10), (1, 5, 0, 5)),
    ],
    ids=str,
)
def test_maxima_over_large_windows_have_two_stages(shape, kernel, stride, padding):
    """Here the last layer is one, and the convolution before it spreads over int8."""
    pool = MaxPool("p", "a", kernel, stride, padding)
    network = network_of((*shape[:2], 8), conv("a", "input", 30, shift=np.full(30, 25)), pool)
    config = replace(CONFIG, accumulators=1024, ifmap_bytes=8192)
    loadable = compile_network(network, config, np.random.default_rng(0))
    assert {facts.name for facts in loadable.interface.layers} >= {"p"} and max(
        max(layer.pool_h, layer.pool_w) for layer in loadable.program
    ) <= 15
    ifmaps = np.random.default_rng(1).integers(-128, 128, (2, *shape[:2], 8), np.int8)
    expected = golden.run(network, ifmaps)["p"]
    assert np.array_equal(interpreter.run(loadable, b"", ifmaps, config), expected)


def test_a_maximum_in_one_direction_that_no_two_stages_make_is_refused():
    network = network_of((1, 300, 8), conv("a", "input", 3), MaxPool("p", "a", (1, 300), (1, 1)))
    with pytest.raises(DeeplockError, match="layer p is too large for the loadable format: descriptor: pool_w must be"):
        compile_network(network, replace(CONFIG, accumulators=1024))


LEAN = Config(rows=4, cols=8, bytes_per_beat=4, dense=False)
NO_DIAGONAL = replace(CONFIG, diagonal=False)


WRITES = "layer b: the accelerator leaves out dense, and its output is 11 channels' from channel 3 on, which must be a "
READS = "layer b: the accelerator leaves out dense, and its input is 8 channels' from channel 2 on, which must be a "
COPIES = "layer input in c from channel 0: the accelerator leaves out diagonal, and has no operator copy"


@pytest.mark.parametrize(
    ("config", "layers", "message"),
    [
        (LEAN, (conv("a", "input", 3), conv("b", "input", 8), joined("c", "a", "b")), WRITES),
        (LEAN, (Cut("a", "input", 2, 6), conv("b", "a", 4, 6)), READS),
        (NO_DIAGONAL, (conv("a", "input", 8), joined("c", "input", "a"), conv("d", "c", 3, 16)), COPIES),
    ],
)
def test_what_an_accelerator_that_leaves_something_out_cannot_do_is_refused(config, layers, message):
    with pytest.raises(DeeplockError, match=message):
        compile_network(network_of(SHAPE, *layers), config)


def test_without_dense_parts_at_multiples_of_the_rows_work():
    each = conv("each", "input", 8, 4, (3, 3))
    layers = (
        grouped("g", "input", 2, each),
        conv("a", "g", 4),
        joined("c", "g", "a"),
        Cut("d", "c", 4, 8),
        conv("e", "d", 3),
    )
    compiled(network_of(SHAPE, *layers), LEAN)


def test_a_layer_of_more_groups_than_a_descriptor_counts_is_several():
    """1,030 channels in groups of 4: 258 groups in two parts of 129, the last of 2 channels. An average and a depthwise
    convolution read as many channels as they write, a sum twice."""
    config = Config(rows=4, cols=4, bytes_per_beat=4)
    rng = np.random.default_rng(0)
    weight = rng.integers(-128, 128, (1030, 1, 2, 1), np.int8)
    scales = np.zeros(1030, np.int32), np.full(1030, 1 << 15), np.full(1030, 21)
    fixed = {"input_zero_point": 0, "zero_point": 0, "lo": -128, "hi": 127}
    network = network_of(
        (2, 3, 5),
        conv("a", "input", 1030, 5),
        Depthwise("d", "a", weight, *scales, stride=(1, 1), padding=(0, 0, 0, 0), **fixed),
        AveragePool("p", "d", (2, 2), (1, 1), 0, 1 << 15, 16, 0, -128, 127),
        conv("b", "p", 1030, 1030),
        added("s", "b", "b"),
    )
    compiled(network, config)
    made = outline(network, config)
    found = [
        (facts.name, facts.groups, layer.groups, layer.last_columns)
        for facts, layer in zip(made.interface.layers, made.program, strict=True)
    ]
    parts = [(name, 2, *part) for name in ("a", "d", "p", "b", "s", "s out") for part in ((129, 4), (129, 2))]
    assert found == parts
    for parts in ((Cut("k", "a", 0, 500), Cut("q", "a", 500, 530)), (Cut("k", "a", 8, 600), conv("q", "a", 3, 1030))):
        wide = network_of((2, 3, 5), conv("a", "input", 1030, 5), *parts, joined("c", "k", "q"))
        channels = sum(part.channels if isinstance(part, Cut) else 3 for part in parts)
        compiled(replace(wide, layers=(*wide.layers, conv("e", "c", 8, channels, shift=np.full(8, 27)))), config)
    network = network_of((2, 1, 5), conv("a", "input", 1030, 5))
    with pytest.raises(
        DeeplockError, match="^layer a out: an output of 2 pixels must have at most 1020 channels, not 1030$"
    ):
        compile_network(network, config)
