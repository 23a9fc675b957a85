"""The smallest accelerator: it takes the network as the largest memories would, and nothing smaller does."""

from dataclasses import replace

import numpy as np
import pytest

from deeplock.pymodel.compiler import interpreter
from deeplock.pymodel.compiler.compiler import compile_network, outline
from deeplock.pymodel.compiler.cycles import expected_cycles
from deeplock.pymodel.compiler.smallest import smallest
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network import golden
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.spec.accelerator import array_of
from deeplock.pymodel.spec.config import MOST, Config
from deeplock.pymodel.zoo import trained
from tests.pymodel.compiler.test_cycles import conv
from tests.random_networks import network_of
from tests.sim import tiny

MEMORIES = ("activation_words", "accumulators", "program_words", "ifmap_bytes")


def cost(network: Network, config: Config, batch: int) -> tuple[int, int]:
    loadable = outline(network, config, batch)
    return sum(expected_cycles(loadable, config)), loadable.header.parameter_beats


@pytest.mark.parametrize(
    ("name", "given", "batch"),
    [
        ("digits", {}, 1),
        ("digits", {"rows": 16}, 1),
        ("digits", {"dense": False}, 1),
        ("mnist", {"rows": 8}, 4),
        ("gtsrb", {}, 1),
    ],
)
def test_no_memory_can_be_halved_for_nothing(name, given, batch):
    network = trained.load(name)
    config = smallest(network, given, batch)
    assert {key: getattr(config, key) for key in given} == given
    largest = replace(config, **{memory: MOST[memory] for memory in MEMORIES})
    least = cost(network, config, batch)
    assert least == cost(network, largest, batch)
    for memory in MEMORIES:
        try:
            halved = cost(network, replace(config, **{memory: getattr(config, memory) // 2}), batch)
        except DeeplockError:
            continue  # too small for any accelerator, or for the network
        assert halved[0] > least[0] or halved[1] > least[1], memory


def test_it_computes_what_the_network_computes():
    network, ifmaps = tiny.tiny_network(), tiny.ifmaps(4)
    config = smallest(network, {})
    assert (config.rows, config.cols, config.bytes_per_beat) == (4, 4, 4)
    found = interpreter.run(compile_network(network, config), b"", ifmaps, config)
    assert np.array_equal(found, golden.run(network, ifmaps)[network.layers[-1].name])


def test_what_is_given_stays():
    network = trained.load("digits")
    config = smallest(network, {"rows": 4, "cols": 16, "accumulators": 512, "sum_bits": 32, "padding": False})
    assert (config.rows, config.cols, config.bytes_per_beat) == (4, 16, 16)
    assert (config.accumulators, config.sum_bits, config.padding) == (512, 32, False)
    assert smallest(network, {"bytes_per_beat": 8}).cols == 8  # the first array with so many columns
    with pytest.raises(DeeplockError, match="^rows must be 4, 8 or 16, not 5$"):
        smallest(network, {"rows": 5})


def test_an_array_that_is_too_small_is_left_out():
    """231,200 bytes between two layers, of which the second reads all rows at once: half of 65,536 words of 4 bytes do not hold
    them, of 8 bytes they do."""
    config = smallest(network_of((170, 170, 1), conv("a", "input", (8, 1, 1, 1)), conv("b", "a", (4, 170, 1, 8))), {})
    assert (config.rows, config.cols, config.activation_words) == (8, 8, 65536)


def test_what_no_array_takes_is_refused():
    with pytest.raises(DeeplockError, match="^ifmap takes 76800 bytes, the ifmap buffer has 32768$"):
        smallest(network_of((160, 480, 1), conv("a", "input", (4, 1, 1, 1))), {})
    with pytest.raises(DeeplockError, match="accumulators, the accelerator has 16$"):
        smallest(trained.load("mnist"), {"accumulators": 16})


def test_sizes_of_an_array_follow_from_each_other():
    def sizes(*given: int | None) -> tuple[int, ...]:
        return tuple(array_of(*given).values())

    assert sizes(None, None, None) == (8, 8, 8)
    assert [sizes(rows, None, None) for rows in (4, 8, 16)] == [(4, 4, 4), (8, 8, 8), (16, 16, 16)]
    assert [sizes(None, cols, None) for cols in (4, 8, 16, 32)] == [(4, 4, 4), (8, 8, 8), (8, 16, 16), (8, 32, 16)]
    assert sizes(16, 32, 4) == (16, 32, 4)
