"""Layers in bands of rows, where whole tensors do not fit the activation memory, against the golden model."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplock.pymodel.compiler import fast_interpreter, interpreter
from deeplock.pymodel.compiler.compiler import compile_network, outline
from deeplock.pymodel.compiler.cycles import expected_cycles
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network import golden
from deeplock.pymodel.network.network import Network, output_shapes
from deeplock.pymodel.network.operators.concat import side_by_side
from deeplock.pymodel.network.operators.max_pool import MaxPool
from deeplock.pymodel.spec.config import Config
from tests.pymodel.compiler.test_views import added, compiled, conv, joined
from tests.random_networks import (
    adds,
    average_pools,
    convs,
    depthwises,
    groupeds,
    max_pools,
    moves,
    network_of,
)

SMALL = Config(rows=4, cols=4, bytes_per_beat=4, activation_words=128, program_words=4096)
"""Banks of 256 bytes."""


def rows_of(network: Network, config: Config = SMALL) -> list[tuple[str, int, int]]:
    """Of each descriptor: layer, rows, and how many of them an earlier one computes too; every byte is checked."""
    compiled(network, config)
    return [(facts.name, facts.output[0], facts.again) for facts in outline(network, config).interface.layers]


def same(name: str, source: str, out: int, channels: int):
    """A convolution of 3 x 3 that keeps the size."""
    return conv(name, source, out, channels, (3, 3), padding=(1, 1, 1, 1))


def test_two_bands_share_the_rows_that_a_kernel_needs_of_both():
    """The tensor between has 8 x 4 pixels of 16 bytes, two banks; 5 rows are 320 bytes, 4 are one bank: 3 bands of 3, 3 and 2
    rows would need 5, so 4 bands of 2 rows, with 3, 4, 4 and 3."""
    network = network_of((8, 4, 2), same("a", "input", 16, 2), same("b", "a", 2, 16))
    assert rows_of(network) == [
        *[("a", 3, 0), ("b", 2, 0), ("a", 4, 2), ("b", 2, 0), ("a", 4, 2), ("b", 2, 0), ("a", 3, 2), ("b", 2, 0)],
        ("b out", 8, 0),
    ]


def test_nothing_runs_in_bands_that_fits():
    network = network_of((8, 4, 2), same("a", "input", 16, 2), same("b", "a", 2, 16), same("c", "b", 2, 2))
    assert [name for name, _, _ in rows_of(network, replace(SMALL, activation_words=256))] == ["a", "b", "c"]


def test_a_tensor_that_others_read_is_whole_and_computed_once():
    """`a` is added to what is made of it, so it stays; `b`, four times as wide, does not."""
    network = network_of(
        (8, 4, 2), same("a", "input", 4, 2), same("b", "a", 16, 4), same("c", "b", 4, 16),
        added("s", "a", "c"), conv("d", "s", 2, 4),
    )  # fmt: skip
    found = rows_of(network)
    again = {name: sum(more for each, _, more in found if each == name) for name, _, _ in found}
    assert again.pop("b") > 0 and not any(again.values())


def test_steps_of_other_rows_stay_whole():
    """Copies of the ifmap into a concatenation run whole, in front of the bands."""
    network = network_of(
        (8, 4, 2), joined("j", "input", "input"), same("a", "j", 16, 4), MaxPool("p", "a", (2, 2), (1, 1)),
        conv("b", "p", 4, 16), conv("c", "b", 2, 4),
    )  # fmt: skip
    assert sum(name == "a" for name, _, _ in rows_of(network)) > 1


def test_a_part_of_a_concatenation_that_is_read_before_the_other_part_is_written():
    """As in a DenseNet: what reads `a` needs more of its rows than of those of `b`, which lie beside them and come later."""
    network = network_of(
        (8, 4, 2), conv("a", "input", 2, 2), same("x", "a", 16, 2), conv("y", "x", 16, 16), conv("b", "y", 2, 16),
        joined("c", "a", "b"), conv("d", "c", 16, 4), conv("d2", "d", 4, 16), added("s", "d2", "c"), conv("e", "s", 2, 4),
    )  # fmt: skip
    assert sum(name == "x" for name, _, _ in rows_of(network)) > 1


def test_the_dense_layers_of_a_batch_stay_whole():
    network = network_of(
        (4, 4, 2),
        conv("a", "input", 4, 2, (4, 4)),
        conv("d1", "a", 128, 4),
        conv("d2", "d1", 4, 128),
        conv("d3", "d2", 12, 4),
    )
    with pytest.raises(DeeplockError, match="^layer d1: its output takes 128 activation words, a bank has 64$"):
        compile_network(network, SMALL, batch=4)
    compiled(network, SMALL)


def test_what_bands_do_not_help_is_told():
    """A dense layer needs all of its input at once, and bands take many descriptors."""
    wide = same("a", "input", 16, 2)
    network = network_of((8, 4, 2), wide, conv("b", "a", 2, 16, (8, 4)))
    with pytest.raises(DeeplockError, match="^layer a: its output takes 128 activation words, a bank has 64$"):
        compile_network(network, SMALL)
    network = network_of((8, 4, 2), wide, same("b", "a", 2, 16), same("c", "b", 2, 2))
    text = "a bank has 64; in bands the program takes 9 descriptors, program_words 64 holds 4$"
    with pytest.raises(DeeplockError, match=text):
        compile_network(network, replace(SMALL, program_words=64))


def test_the_ifmap_is_released_when_the_last_band_has_read_it():
    network = network_of((8, 4, 2), same("a", "input", 12, 2), same("b", "a", 2, 12), same("c", "b", 2, 2))
    config = replace(SMALL, activation_words=256)
    compiled(network, config)
    whole = outline(network, config)
    assert [layer.release_input for layer in whole.program] == [1, 0, 0]
    banded = outline(network, SMALL)
    readers = [number for number, facts in enumerate(banded.interface.layers) if facts.name == "a"]
    assert len(readers) > 1 and [layer.release_input for layer in banded.program].index(1) == readers[-1]
    assert sum(expected_cycles(banded, SMALL)) > sum(expected_cycles(whole, config))


@st.composite
def wide_inside(draw: st.DrawFn) -> tuple[Network, np.ndarray]:
    """Layers of up to 24 channels between an ifmap and an output of few."""
    shape = draw(st.tuples(st.integers(5, 14), st.integers(3, 8), st.integers(1, 3)))
    network, count = network_of(shape), draw(st.integers(2, 6))
    kinds = ["conv", "conv", "depthwise", "grouped", "max_pool", "average_pool", "add", "move", "beside"]
    for index in range(count):
        shapes = output_shapes(network)
        name, source = f"l{index}", network.layers[-1].name if index else "input"
        height, width, channels = shapes[source]
        kernel = draw(st.integers(1, min(height, 4))), draw(st.integers(1, min(width, 4)))
        match draw(st.sampled_from(kinds)) if 0 < index < count - 1 else "conv":
            case "depthwise":
                layer = draw(depthwises(name, source, channels, kernel, False))
            case "grouped":
                layer = draw(groupeds(name, source, channels, kernel, False))
            case "max_pool":
                layer = draw(max_pools(name, source, shapes[source]))
            case "average_pool":
                layer = draw(average_pools(name, source, shapes[source]))
            case "add":
                layer = draw(adds(name, source, [each for each in shapes if shapes[each] == shapes[source]]))
            case "move":
                layer = draw(moves(name, source, shapes))
            case "beside":  # as in a DenseNet
                new = draw(convs(f"{name}_new", source, channels, (1, 1), False))
                new = replace(new, stride=(1, 1), padding=(0, 0, 0, 0))
                network = replace(network, layers=(*network.layers, new))
                layer = side_by_side(name, (source, new.name))
            case _:
                out = draw(st.integers(1, 24)) if index < count - 1 else 2
                layer = draw(convs(name, source, channels, kernel, False, out=out))
        network = replace(network, layers=(*network.layers, layer))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return network, rng.integers(-128, 128, (1, *shape), np.int8)


@settings(max_examples=60)
@given(wide_inside(), st.booleans(), st.sampled_from([16, 64, 1024]))
def test_whatever_runs_in_bands_computes_what_the_network_computes(case, dense, accumulators):
    """In the smallest memory that takes the network at all, and in those of twice the size where it has bands."""
    network, ifmaps = case
    for words in (1024, 512, 256, 128, 64, 32):
        try:
            config = replace(SMALL, activation_words=words, dense=dense, accumulators=accumulators)
            loadable = compile_network(network, config, np.random.default_rng(0))
        except DeeplockError:
            break
        layers = [facts.name for facts in loadable.interface.layers]
        runs = 1 + sum(one != other for one, other in pairwise(layers))
        if runs == len(set(layers)):
            continue
        expected = golden.run(network, ifmaps)[network.layers[-1].name]
        assert np.array_equal(interpreter.run(loadable, b"", ifmaps, config), expected)
        stream = np.frombuffer(loadable.parameters, np.uint8)
        assert np.array_equal(fast_interpreter.run(loadable, stream, ifmaps, config), expected)
