"""Several outputs: the layer that gathers them, its file, and what front ends make of a network's outputs."""

import re
from dataclasses import replace

import numpy as np
import pytest

from deeplock.pymodel.compiler import interpreter
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network import golden
from deeplock.pymodel.network.network import Network, output_shapes
from deeplock.pymodel.network.network_file import load_network, save_network
from deeplock.pymodel.network.operators.cut import Cut
from deeplock.pymodel.network.operators.outputs import Outputs, ending
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.loadable import read_loadable, write_loadable
from deeplock.pymodel.spec.tensor import Output, Quantisation, split_outputs
from tests.pymodel.compiler.test_views import added, compiled, conv, joined
from tests.random_networks import network_of

LAYERS = conv("a", "input", 3, 2), conv("b", "a", 2, 3), conv("c", "a", 4, 3, (2, 2))
SHAPES = {"a": (3, 2, 3), "b": (3, 2, 2), "c": (2, 1, 4)}


def heads(*names: str) -> Network:
    outputs = [Output(name, SHAPES[name], Quantisation(0.5 + number, number)) for number, name in enumerate(names)]
    layers, several = ending(LAYERS, outputs)
    return replace(network_of((3, 2, 2), *layers), outputs=several)


def test_each_output_is_its_layers_ofmap():
    network = heads("c", "a", "b")
    ifmaps = np.random.default_rng(0).integers(-128, 128, (4, 3, 2, 2), np.int8)
    ofmaps = golden.run(network, ifmaps)
    assert ofmaps["outputs"].shape == (4, 1, 1, 8 + 18 + 12)
    parts = split_outputs(ofmaps["outputs"], network.outputs)
    for name, part in zip(("c", "a", "b"), parts, strict=True):
        assert np.array_equal(part, ofmaps[name])


@pytest.mark.parametrize(
    ("names", "copies"),
    [
        (("a", "b", "c"), ["a out", "b out"]),  # c is made last, and leaves by itself
        (("c", "b"), ["c out", "b out"]),
        (("c", "c", "b", "c"), ["c out", "c out", "b out", "c out"]),
    ],
)
def test_outputs_leave_in_their_order_and_all_but_one_made_last_are_copied(names, copies):
    network = heads(*names)
    found, _ = compiled(network, Config(rows=4, cols=4, bytes_per_beat=4))
    assert found == copies
    program = compile_network(network, Config()).program
    assert [layer.to_stream for layer in program] == [0] * (len(program) - len(names)) + [1] * len(names)


@pytest.mark.parametrize(
    ("layers", "names", "order"),
    [
        ((conv("a", "input", 8, 2), Cut("k", "a", 0, 4)), ("k", "a"), ["a", "k out", "a out"]),
        ((*LAYERS[:2], joined("c", "a", "b")), ("c", "b"), ["a", "b", "c out", "b out"]),
        (
            (conv("a", "input", 3, 2), conv("d", "a", 3, 3, (3, 3), dilation=(2, 2), padding=(2, 2, 2, 2))),
            ("a", "d"),
            ["a", "a padded for d", "a out", "d"],
        ),
        (
            (*LAYERS[:2], Cut("k", "a", 0, 2), Cut("q", "b", 0, 2), added("s", "k", "q")),
            ("a", "s"),
            ["a", "b", "k alone", "q alone", "a out", "s"],
        ),
    ],
    ids=["a part of the last", "the last is a part", "rows of padding", "a copy before a sum"],
)
def test_outputs_leave_behind_all_that_is_written_to_memory(layers, names, order):
    network = network_of((3, 2, 2), *layers)
    shapes = output_shapes(network)
    layers, several = ending(network.layers, [Output(name, shapes[name], Quantisation(1.0, 0)) for name in names])
    network, config = replace(network, layers=layers, outputs=several), Config(rows=4, cols=4, bytes_per_beat=4)
    loadable = compile_network(network, config)
    assert [facts.name for facts in loadable.interface.layers] == order
    ifmaps = np.random.default_rng(1).integers(-128, 128, (2, 3, 2, 2), np.int8)
    assert np.array_equal(interpreter.run(loadable, b"", ifmaps, config), golden.run(network, ifmaps)["outputs"])


def test_an_accelerator_without_diagonal_has_no_copies():
    config = Config(diagonal=False)
    with pytest.raises(
        DeeplockError, match="^layer c out: the accelerator leaves out diagonal, and has no operator copy$"
    ):
        compile_network(heads("c", "b"), config)


def test_batches_are_refused():
    with pytest.raises(DeeplockError, match="^network test has several outputs: batch must be 1, not 2$"):
        compile_network(heads("a", "b", "c"), Config(), batch=2)


def test_the_file_keeps_them(tmp_path):
    network = heads("c", "b")
    save_network(tmp_path / "net", network)
    read = load_network(tmp_path / "net")
    assert read.outputs == network.outputs and read.layers[-1] == network.layers[-1]
    assert [layer.name for layer in read.computed] == ["a", "b", "c"] and read.ends == ("c", "b")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda network: {"outputs": network.outputs[::-1]}, "outputs are not those of the last layer"),
        (lambda network: {"outputs": ()}, "outputs are not those of the last layer"),
        (lambda network: {"layers": network.layers[:-1]}, "outputs are not those of the last layer"),
        (
            lambda network: {"layers": (*network.layers, conv("d", "outputs", 1, 20))},
            "only the last layer may give several outputs",
        ),
    ],
)
def test_files_that_break_the_rules_are_refused(change, message, tmp_path):
    network = heads("c", "b")
    save_network(tmp_path / "net", replace(network, **change(network)))
    with pytest.raises(DeeplockError, match=f"^network file {re.escape(str(tmp_path / 'net'))}: {message}$"):
        load_network(tmp_path / "net")


def test_a_loadable_whose_outputs_are_not_its_ofmap_is_refused(tmp_path):
    loadable = compile_network(heads("c", "b"), Config())
    shorter = replace(loadable.interface, outputs=loadable.interface.outputs[:1])
    write_loadable(tmp_path / "net", replace(loadable, interface=shorter))
    with pytest.raises(DeeplockError, match="outputs have 8 bytes, an ofmap 20"):
        read_loadable(tmp_path / "net")


def test_one_output_is_the_last_layers_and_none_is_the_input():
    outputs = {name: Output(name, (1, 1, 1), Quantisation(1.0, 0)) for name in ("input", "a", "b", "c")}
    assert ending(LAYERS, [outputs["c"]]) == (LAYERS, ())
    with pytest.raises(DeeplockError, match="^the network's output must be its last layer, not b$"):
        ending(LAYERS, [outputs["b"]])
    with pytest.raises(DeeplockError, match="^one of the network's outputs is its input, as it came: leave it out$"):
        ending(LAYERS, [outputs["c"], outputs["input"]])
    named = (*LAYERS[:2], replace(LAYERS[2], name="outputs"))
    assert ending(named, [outputs["b"], replace(outputs["c"], name="outputs")])[0][-1] == Outputs(
        "outputs_", "b", ("outputs",)
    )
