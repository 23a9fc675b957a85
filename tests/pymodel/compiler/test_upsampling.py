"""Layers whose outputs are larger than their inputs: what the hardware runs in their places, against the golden model."""

from dataclasses import replace

import numpy as np
import pytest

from deeplock.pymodel.compiler import interpreter
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network import golden
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.network.operators.cut import Cut
from deeplock.pymodel.network.operators.depth_to_space import DepthToSpace
from deeplock.pymodel.network.operators.transposed import Transposed
from deeplock.pymodel.network.operators.upsample import Upsample
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.entry import ENTRY
from tests.pymodel.compiler.test_views import CONFIG, LEAN, NO_DIAGONAL, added, compiled, conv, joined
from tests.random_networks import network_of

SHAPE = (5, 6, 8)


def turned(name: str, source: str, out: int, kernel, stride, padding=(0, 0, 0, 0), channels: int = 8) -> Transposed:
    weight = np.random.default_rng(out).integers(-128, 128, (out, *kernel, channels), np.int8)
    scales = np.arange(out, dtype=np.int32), np.full(out, 1 << 15), np.full(out, 22)
    return Transposed(name, source, weight, *scales, stride, padding, 3, 1, -128, 127)


def steps(network: Network, config: Config = CONFIG) -> list[tuple[str, int]]:
    """Names of the steps and their words, after every byte has been checked."""
    compiled(network, config)
    return [(fact.name, fact.words) for fact in compile_network(network, config).interface.layers]


def test_a_kernel_as_large_as_its_stride_is_a_convolution_for_each_row():
    """2 x 2: all columns of a block read one pixel. 30 pixels of 2 words, 2 x 5 channels in 2 groups; rows of 12 x 5 bytes."""
    found = steps(network_of(SHAPE, turned("up", "input", 5, (2, 2), (2, 2)), conv("a", "up", 8, 5)))
    assert found == [
        *[(f"up phase {row} 0", 30 * 2 * 2) for row in (0, 1)],
        *[(f"row {row} of up", 5 * 2 * -(-60 // 8)) for row in (0, 1)],
        ("a", 120 * 2),
    ]


def test_other_kernels_are_a_convolution_for_each_place_and_have_no_zeros():
    """3 x 3 at stride 2 with padding 1 and an odd output: 4, 2, 2 and 1 of the kernel's 9 places."""
    layer = turned("up", "input", 8, (3, 3), (2, 2), (1, 1, 1, 1))
    found = steps(network_of(SHAPE, layer, conv("a", "up", 8)))
    names = [f"up phase {row} {column}" for row in (0, 1) for column in (0, 1)]
    assert [name for name, _ in found] == [*names, "row 0 of up", "row 1 of up", "a"]
    assert [words for _, words in found] == [30 * 2, 30 * 4, 30 * 4, 30 * 8, 5 * 22, 4 * 22, 99 * 2]
    loadable = compile_network(network_of(SHAPE, layer, conv("a", "up", 8)), CONFIG, np.random.default_rng(0))
    weights = sum(fact.parameter_bytes for fact in loadable.interface.layers[:4]) - 4 * 8 * ENTRY.size
    assert weights == layer.weight.size


def test_upsampling_copies_pixels_beside_and_rows_below_themselves():
    network = network_of(SHAPE, conv("a", "input", 8), Upsample("up", "a", (3, 2)), conv("b", "up", 8))
    assert steps(network) == [
        ("a", 30 * 2),
        ("a in up in rows from channel 8", 30 * 2),
        *[(f"row {row} of up", 5 * 2 * 12) for row in range(3)],
        ("b", 15 * 12 * 2),
    ]


@pytest.mark.parametrize("apart", [0, 1])
def test_a_shuffle_right_behind_a_convolution_is_part_of_it(apart):
    network = network_of(SHAPE, conv("a", "input", 8), DepthToSpace("up", "a", 2, apart), conv("b", "up", 8, 2))
    assert [name for name, _ in steps(network)] == ["a row 0", "a row 1", "row 0 of up", "row 1 of up", "b"]


def test_elsewhere_channels_are_copied_or_the_shuffle_is_refused():
    def network(apart: int) -> Network:
        shuffle = DepthToSpace("up", "a", 2, apart)
        return network_of(
            SHAPE,
            conv("a", "input", 8),
            shuffle,
            Upsample("b", "a", (2, 2)),
            joined("c", "up", "b"),
            conv("d", "c", 4, 10),
        )

    names = [name for name, _ in steps(network(0))]
    assert {"up row 0 for up", "up row 1 for up", "row 1 of up", "up in c from channel 0"} < set(names)
    with pytest.raises(DeeplockError, match="layer up: pixels that lie side by side .* which nothing else reads"):
        compile_network(network(1), CONFIG)


def test_columns_alone_need_no_copies():
    """Pixels side by side are a row. Upsampling copies them, here twice, since they are in rows already."""
    line = turned("up", "input", 8, (1, 4), (1, 2), (0, 1, 0, 1))
    network = network_of((1, 9, 8), line, Upsample("b", "up", (1, 2)), Cut("c", "b", 2, 5), conv("d", "c", 6, 5))
    phases = [(f"up phase 0 {column}", 9 * 2 * 2) for column in (0, 1)]
    copies = [(f"up in b in rows from channel {channel}", 18 * 2) for channel in (0, 8)]
    assert steps(network) == [*phases, *copies, ("d", 36 * 2)]
    twice = turned("up", "input", 8, (2, 2), (1, 2), (0, 0, 1, 0)), turned("b", "up", 8, (1, 2), (1, 2))
    names = [name for name, _ in steps(network_of(SHAPE, *twice, added("s", "b", "b"), conv("d", "s", 6)))]
    assert names == ["up phase 0 0", "b phase 0 0", "s", "d"]


def test_what_is_made_of_rows_is_read_as_any_tensor():
    """In a concatenation, in part, in a sum, by another upsampling, and as the network's output. The ifmap as a source."""
    up, again = Upsample("up", "input", (1, 2)), turned("again", "up", 8, (2, 3), (2, 1), (0, 1, 0, 1))
    layers = (up, again, Cut("part", "again", 3, 4), conv("a", "again", 4))
    compiled(network_of(SHAPE, *layers, added("s", "part", "a"), joined("c", "again", "s"), conv("d", "c", 8, 12)))
    compiled(network_of(SHAPE, conv("a", "input", 8), DepthToSpace("up", "a", 2), Upsample("twice", "up", (2, 1))))


def test_rows_of_more_bytes_than_groups_are_copied_in_parts():
    """A row of 2 x 40 pixels of 32 channels, 2,560 bytes; 255 groups of 8 are 2,040."""
    config = replace(CONFIG, accumulators=128)
    names = [
        name
        for name, _ in steps(
            network_of((2, 40, 8), turned("up", "input", 32, (2, 2), (2, 2)), conv("a", "up", 3, 32)), config
        )
    ]
    assert [name for name in names if name.startswith("row")] == [
        f"row {row} of up from byte {first}" for row in (0, 1) for first in (0, 2040)
    ]


@pytest.mark.parametrize("batch", [2, 3])
def test_dense_layers_of_a_batch_find_each_ifmaps_rows(batch):
    """5 rows of blocks of 2, of which the last is cut off: the next ifmap's tensor begins there."""
    layer = turned("up", "input", 3, (3, 3), (2, 2), (1, 1, 1, 1))
    network = network_of(SHAPE, layer, conv("a", "up", 7, 3, (9, 11)))
    ifmaps = np.random.default_rng(1).integers(-128, 128, (6, *SHAPE), np.int8)
    loadable = compile_network(network, CONFIG, batch=batch)
    assert np.array_equal(interpreter.run(loadable, b"", ifmaps, CONFIG), golden.run(network, ifmaps)["a"])


def test_what_an_accelerator_that_leaves_something_out_cannot_do_is_refused():
    three = network_of(SHAPE, turned("up", "input", 3, (2, 2), (2, 2)), conv("a", "up", 8, 3))
    with pytest.raises(
        DeeplockError, match="layer up: .* leaves out dense, and pixels of 3 channels, which must be a multiple of 4"
    ):
        compile_network(three, LEAN)
    with pytest.raises(
        DeeplockError, match="layer row 0 of up: the accelerator leaves out diagonal, and has no operator copy"
    ):
        compile_network(three, NO_DIAGONAL)


def test_without_dense_pixels_of_multiples_of_the_rows_work():
    compiled(network_of(SHAPE, turned("up", "input", 4, (3, 2), (2, 2), (1, 0, 0, -1)), conv("a", "up", 8, 4)), LEAN)
    compiled(network_of(SHAPE, Upsample("up", "input", (2, 2)), conv("a", "up", 8)), LEAN)
