"""The compiler against the golden model, through the interpreter, on random networks and geometries."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deeplock.pymodel.compiler import fast_interpreter, interpreter
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.compiler.schedule import staged
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network import golden
from deeplock.pymodel.network.convolution import MOST_STRIDE
from deeplock.pymodel.network.lowering import Lowered
from deeplock.pymodel.network.network import output_shapes
from deeplock.pymodel.network.operators.add import Add
from deeplock.pymodel.network.operators.average_pool import AveragePool
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.network.operators.max_pool import MaxPool
from deeplock.pymodel.spec.config import Config
from tests.features import LEAN
from tests.random_networks import chains, convs, network_of

CONFIGS = [
    Config(rows=4, cols=4, bytes_per_beat=4, accumulators=16, activation_words=2048, tables=True, products=True),
    Config(rows=4, cols=8, bytes_per_beat=8, lanes=2, accumulators=32),
    Config(rows=4, cols=16, bytes_per_beat=4, lanes=1, accumulators=64, tables=True, products=True),
    Config(rows=4, cols=4, bytes_per_beat=4, sum_bits=24, tables=True, products=True),
    Config(rows=4, cols=8, bytes_per_beat=4, **LEAN),
    Config(rows=4, cols=8, bytes_per_beat=4, folding=False, tables=True, products=True),
    Config(rows=4, cols=4, bytes_per_beat=4, padding=False),
    Config(rows=4, cols=8, bytes_per_beat=8, diagonal=False, tables=True, products=True),
    Config(rows=4, cols=4, bytes_per_beat=4, dense=False, single_port=True, activation_words=4096),
    Config(rows=8, cols=16, bytes_per_beat=8, dense=False, tables=True, products=True),
    Config(tables=True, products=True),
    Config(),
    Config(rows=8, cols=16, bytes_per_beat=16, accumulators=32, products=True),
    Config(rows=16, cols=16, bytes_per_beat=16),
]

LIMITS = (
    "one row of output takes",
    "activation words, a bank has",
    "program_words",
    "sum_bits",
    "leaves out",
    "which nothing else reads",
)


def conv(name: str, source: str, shape: tuple[int, int, int, int], **options) -> Conv:
    out = shape[0]
    fixed = {"stride": (1, 1), "padding": (0, 0, 0, 0), "input_zero_point": 0, "zero_point": 0, "lo": -128, "hi": 127}
    return Conv(
        name, source, np.ones(shape, np.int8), np.zeros(out, np.int32), np.full(out, 1 << 15), np.full(out, 15),
        **(fixed | options),
    )  # fmt: skip


@settings(max_examples=120)
@given(chains(with_tables=True, with_products=True, with_outputs=True), st.sampled_from(CONFIGS), st.integers(0, 2**32))
def test_a_compiled_network_computes_what_the_network_computes(case, config, seed):
    network, ifmaps = case
    try:
        loadable = compile_network(network, config, np.random.default_rng(seed))
    except DeeplockError as error:
        assume(not any(limit in str(error) for limit in LIMITS))
        raise
    assert all(getattr(config, name) for name in loadable.features)
    expected = golden.run(network, ifmaps)[network.layers[-1].name]
    assert np.array_equal(interpreter.run(loadable, b"", ifmaps, config), expected)
    key = np.random.default_rng(seed).bytes(16)
    locked = loadable.locked("deep-lock", key)
    assert np.array_equal(interpreter.run(locked, key, ifmaps, config), expected)
    assert locked.unlocked(key).stream == loadable.stream


@settings(max_examples=60)
@given(
    chains(most_channels=9, most_pixels=7, with_tables=True, with_products=True),
    st.sampled_from(CONFIGS),
    st.integers(2, 5),
    st.integers(1, 3),
    st.data(),
)
def test_a_batch_computes_what_its_ifmaps_do_alone(case, config, batch, depth, data):
    """With 1..3 dense layers at the end, and 2 ifmaps times anything, so that the last batch may not be full. A dense layer
    that reads a part of a tensor, or one that is made of parts, is not shared."""
    network, ifmaps = case
    computed = isinstance(staged(network).layers[-1].lower(), Lowered)
    for index in range(depth):
        source = network.layers[-1].name
        height, width, channels = output_shapes(network)[source]
        assume(height <= MOST_STRIDE)  # that of the ifmaps of a batch, one below the other
        layer = data.draw(convs(f"dense{index}", source, channels, (height, width), False, 20))
        layer = replace(layer, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1))
        network = replace(network, layers=(*network.layers, layer))
    config = replace(config, program_words=4096, activation_words=1 << 14, accumulators=max(config.accumulators, 64))
    ifmaps = ifmaps.repeat(data.draw(st.integers(1, 3)), axis=0)
    ifmaps ^= np.arange(len(ifmaps), dtype=np.int8)[:, None, None, None]
    try:
        loadable = compile_network(network, config, np.random.default_rng(0), batch)
    except DeeplockError as error:
        assume(computed or depth > 1 or "this network has none behind its first layer" not in str(error))
        assume(not any(limit in str(error) for limit in LIMITS))
        raise
    expected = golden.run(network, ifmaps)[network.layers[-1].name]
    assert np.array_equal(interpreter.run(loadable, b"", ifmaps, config), expected)
    stream = np.frombuffer(loadable.parameters, np.uint8)
    assert np.array_equal(fast_interpreter.run(loadable, stream, ifmaps, config), expected)


def test_a_batch_behind_a_pooling_of_single_pixels_is_right():
    """The convolution before it has its whole input as kernel, but does not run once for all: it pools."""
    rng = np.random.default_rng(0)
    first = replace(conv("a", "input", (5, 1, 1, 1)), weight=rng.integers(-128, 128, (5, 1, 1, 1), np.int8))
    last = replace(conv("c", "b", (3, 1, 1, 5)), weight=rng.integers(-128, 128, (3, 1, 1, 5), np.int8))
    network = network_of(
        (1, 1, 1), conv("0", "input", (1, 1, 1, 1)), replace(first, source="0"), MaxPool("b", "a", (1, 1), (2, 2)), last
    )
    ifmaps, config = rng.integers(-128, 128, (4, 1, 1, 1), np.int8), Config()
    loadable = compile_network(network, config, rng, batch=2)
    assert np.array_equal(interpreter.run(loadable, b"", ifmaps, config), golden.run(network, ifmaps)["c"])


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_sum_of_which_only_some_pixels_are_needed_is_right(stride):
    """8 channels a pixel, which are whole rows of the array."""
    rng, config = np.random.default_rng(0), Config()
    first = replace(conv("a", "input", (8, 1, 1, 8)), weight=rng.integers(-128, 128, (8, 1, 1, 8), np.int8))
    scales = {"bias": 0, "multiplier": 1 << 15, "shift": 17, "zero_point": 0, "lo": -128, "hi": 127}
    layers = first, Add("b", "a", "input", (1, 1), **scales), AveragePool("c", "b", (1, 1), (stride, stride), **scales)
    network = network_of((4, 6, 8), *layers)
    ifmaps = rng.integers(-128, 128, (2, 4, 6, 8), np.int8)
    loadable = compile_network(network, config, rng)
    assert np.array_equal(interpreter.run(loadable, b"", ifmaps, config), golden.run(network, ifmaps)["c"])


def test_a_batch_takes_dense_weights_once():
    first, second = conv("a", "input", (4, 3, 3, 1)), conv("b", "a", (16, 4, 4, 4))
    network, config = network_of((6, 6, 1), first, second), Config(rows=4, cols=4, bytes_per_beat=4)
    alone, batch = (compile_network(network, config, batch=count) for count in (1, 10))
    weights = first.weight.size + 4 * 8  # and an entry for each channel
    assert len(batch.parameters) - len(alone.parameters) == 9 * weights
    bounds = [loadable.interface.lower_bound for loadable in (alone, batch)]
    assert bounds == [36 + 256, 36 + 64]  # 16 pixels x 36 MACs / 16; 1024 bytes / 4; 1024 MACs / 16


@pytest.mark.parametrize(
    ("side", "batch", "dense", "places"),
    [
        (12, 4, True, [184, 220, 184, 220]),
        (12, 3, True, [220, 220, 220]),  # they would take turns from one batch to the next, too
        (12, 1, True, [220]),
        (12, 4, False, [220] * 4),
        (24, 2, True, [112, 112]),  # two do not fit
    ],
)
def test_the_ifmaps_of_a_batch_have_two_places_where_there_is_room(side, batch, dense, places):
    """At the end of a bank of 256 words. 12 x 12 bytes are 36 words; so are the 36 pixels that are read where pixels begin
    words."""
    first, second = (
        replace(conv("a", "input", (1, 1, 1, 1)), stride=(2, 2)),
        conv("b", "a", (4, side // 2, side // 2, 1)),
    )
    config = Config(rows=4, cols=4, bytes_per_beat=4, activation_words=512, dense=dense)
    header = compile_network(network_of((side, side, 1), first, second), config, batch=batch).header
    assert [header.first_word(number) for number in range(batch)] == places


@pytest.mark.parametrize("batch, message", [
    (0, "batch must be 1..255, not 0"),
    (256, "batch must be 1..255, not 256"),
    (2, "network test: a batch shares the weights of dense layers at the end, and this network has none"),
])  # fmt: skip
def test_a_batch_that_cannot_be_is_refused(batch, message):
    network = network_of((6, 6, 1), conv("a", "input", (4, 3, 3, 1)), conv("b", "a", (16, 3, 3, 4)))
    with pytest.raises(DeeplockError, match=message):
        compile_network(network, Config(), batch=batch)


def test_no_byte_of_the_parameters_follows_from_the_architecture():
    """Whatever the weights do not decide is random: over many compilations only weights, biases and scales stay the same."""
    config = Config(rows=8, cols=16, bytes_per_beat=16)
    network = network_of((3, 3, 3), conv("a", "input", (5, 3, 3, 3)), conv("b", "a", (18, 1, 1, 5)))
    streams = [
        np.frombuffer(compile_network(network, config, np.random.default_rng(seed)).parameters, np.uint8)
        for seed in range(40)
    ]
    fixed = np.ptp(np.stack(streams), axis=0) == 0
    weights = sum(layer.weight.size for layer in network.layers if isinstance(layer, Conv))
    channels = 5 + 18
    # a bias counts three bytes where 24 bits hold the accumulator, a multiplier two but for the top bit, a shift shares a byte
    # with random bits: bytes that never changed in 40 compilations are those of weights, biases and low multiplier bytes
    assert int(fixed.sum()) == weights + channels * (3 + 1)


def test_folding_spares_the_beats_of_padding_columns():
    config = Config(rows=16, cols=16, bytes_per_beat=16)
    network = network_of((1, 1, 800), conv("dense", "input", (100, 1, 1, 800)))
    loadable = compile_network(network, config)
    entries = 7 * config.cols * 8
    assert (
        len(loadable.parameters) - entries == 96 * 800 + 13 * 16 * 16
    )  # 4 columns x 800 rows, folded 4 times, in whole tiles


def test_a_layer_that_nothing_reads_is_refused():
    network = network_of((4, 4, 1), conv("a", "input", (4, 1, 1, 1)), conv("b", "input", (4, 1, 1, 1)))
    with pytest.raises(DeeplockError, match="layer a: nothing reads it, and it is not the last"):
        compile_network(network, Config())


def refusals():
    wide = network_of((40, 40, 1), conv("a", "input", (4, 3, 3, 1)))
    small = Config(rows=4, cols=4, bytes_per_beat=4, accumulators=16)
    yield wide, small, "layer a: one row of output takes 38 accumulators, the accelerator has 16"
    yield wide, replace(Config(), ifmap_bytes=1024), r"ifmap takes 1600 bytes, the ifmap buffer has 1024"
    deep = network_of((8, 8, 8), conv("a", "input", (64, 1, 1, 8)), conv("b", "a", (8, 8, 1, 64)))
    yield (
        deep,
        replace(Config(), activation_words=512),
        "layer a: its output takes 512 activation words, a bank has 256",
    )
    long = [conv(f"l{i}", f"l{i - 1}" if i else "input", (4, 1, 1, 4)) for i in range(9)]
    yield (
        network_of((1, 1, 4), *long),
        replace(Config(), program_words=128),
        "takes 9 descriptors, program_words 128 holds 8",
    )
    heavy = replace(conv("a", "input", (1, 1, 1, 1)), bias=np.array([2**31 - 100], np.int32))
    yield (
        network_of((1, 1, 1), heavy),
        Config(),
        "layer a: an accumulator can reach 2147483676, sum_bits 32 holds 2147483647",
    )
    short = replace(Config(), sum_bits=24)
    wide = replace(heavy, bias=np.array([128 - 2**23], np.int32))
    yield network_of((1, 1, 1), wide), short, "layer a: an accumulator can reach 8388608, sum_bits 24 holds 8388607"
    one = conv("a", "input", (1, 1, 1, 1))
    mean = AveragePool("mean", "a", (2, 2), (2, 2), 2**23 - 512, 1 << 15, 17, 0, -128, 127)
    yield (
        network_of((2, 2, 1), one, mean),
        short,
        "layer mean: an accumulator can reach 8388608, sum_bits 24 holds 8388607",
    )
    lean = Config(**LEAN)
    for layer, what in (
        (conv("b", "a", (1, 3, 3, 1), padding=(0, 0, 1, 0)), r"padding must be 0, not \(0, 0, 1, 0\)"),
        (
            MaxPool("b", "a", (2, 2), (1, 1)),
            "the accelerator leaves out diagonal, and pools only right behind a convolution",
        ),
        (
            AveragePool("b", "a", (2, 2), (2, 2), 0, 1 << 15, 17, 0, -128, 127),
            "the accelerator leaves out diagonal, and has no operator average_pool",
        ),
        (
            Add("b", "a", "input", (1, 1), 0, 1 << 15, 17, 0, -128, 127),
            "the accelerator leaves out diagonal, and has no operator add",
        ),
    ):
        yield network_of((4, 4, 1), conv("a", "input", (1, 1, 1, 1)), layer), lean, f"layer b: {what}"
    far = replace(conv("b", "a", (1, 1, 1, 1)), stride=(16, 1))
    yield (
        network_of((17, 17, 1), one, far),
        Config(),
        r"layer b is too large for the loadable format: descriptor: stride must be 0\.\.15 \(4 bits\), not 16",
    )
    many = [conv(f"l{i}", f"l{i - 1}" if i else "input", (4, 1, 1, 4)) for i in range(256)]
    yield (
        network_of((1, 1, 4), *many),
        replace(Config(), program_words=4096),
        "network test takes 256 descriptors, an accelerator counts at most 255",
    )
    yield network_of((4, 4, 1)), Config(), "network test has no layers"
    yield network_of((4, 4, 1), MaxPool("p", "input", (2, 2), (2, 2))), Config(), "network test has no parameters"


@pytest.mark.parametrize(("network", "config", "message"), list(refusals()))
def test_what_does_not_fit_is_refused_by_layer_and_limit(network, config, message):
    with pytest.raises(DeeplockError, match=message):
        compile_network(network, config)


def diagonal_networks():
    """Layers, and whether they are narrow."""
    scales = {"multiplier": 1 << 15, "shift": 30, "zero_point": 0, "lo": -128, "hi": 127}
    yield MaxPool("l", "a", (2, 2), (1, 1)), True
    yield Add("l", "a", "a", (127, 1), bias=2 * 127 * 128, **scales), True
    for bias, narrow in ((-(2**23), False), (512 - 2**23, False), (513 - 2**23, True), (2**23 - 513, True)):
        yield AveragePool("l", "a", (2, 2), (2, 2), bias=bias, **scales), narrow


@pytest.mark.parametrize(("layer", "narrow"), list(diagonal_networks()))
def test_a_diagonal_layer_is_narrow_where_its_sums_have_24_bits(layer, narrow):
    """And at the ends of its range the interpreters say what the network computes."""
    network, config = network_of((4, 4, 1), conv("a", "input", (1, 1, 1, 1)), layer), Config()
    loadable = compile_network(network, config)
    assert [fields.narrow for fields in loadable.program] == [1, int(narrow)]
    assert loadable.memory_needs["sum_bits"] == (24 if narrow else 32)
    ifmaps = np.stack([np.full((4, 4, 1), value, np.int8) for value in (-128, -1, 0, 127)])
    expected = golden.run(network, ifmaps)["l"]
    assert np.array_equal(interpreter.run(loadable, b"", ifmaps, config), expected)
    stream = np.frombuffer(loadable.parameters, np.uint8)
    assert np.array_equal(fast_interpreter.run(loadable, stream, ifmaps, config), expected)
    if narrow:
        assert compile_network(network, replace(config, sum_bits=24)).head == loadable.head


def test_layers_that_do_not_fit_the_accumulators_repeat_their_weights():
    config = Config(rows=4, cols=4, bytes_per_beat=4, accumulators=16)
    network = network_of((8, 8, 4), conv("a", "input", (4, 1, 1, 4)))
    loadable = compile_network(network, config)
    assert len(loadable.program) == 4 and len(loadable.parameters) == 4 * (4 * 8 + 16)
