"""What is read is held against the program that it came from: a wrong folding or a broken reader is caught."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.frontends import pt2e
from deeplock.pymodel.frontends.operators import Pending
from deeplock.pymodel.frontends.quantise import quantise
from deeplock.pymodel.frontends.quantizer import ADDS, AVERAGES, CLAMPS, MACS, POOLS
from deeplock.pymodel.network import reference
from deeplock.pymodel.network.operators.add import Add
from deeplock.pymodel.zoo import preprocess
from tests.pymodel.frontends.networks import (
    Net,
    also_added,
    dense,
    inputs_of,
    relu_through_a_view,
    shared,
    sum_through_a_view,
    tied,
    trained_norms,
)


@pytest.mark.parametrize(
    "build", [shared, tied, also_added, dense, relu_through_a_view, sum_through_a_view], ids=lambda f: f.__name__
)
def test_shared_parameters_shared_sums_and_views_changed_in_place_are_read_right(build):
    """Each of them was wrong by 50 LSB and more once, in silence. Held against the float network alone."""
    torch.manual_seed(1)
    module, inputs = trained_norms(build()), inputs_of((2, 8, 8))
    network, agreement = quantise(module, inputs, "net")
    with torch.no_grad():
        expected = module(inputs).flatten(1).numpy()
    ofmaps = reference.run(network, preprocess.quantise_input(network, inputs.permute(0, 2, 3, 1).numpy()))
    found = ofmaps[network.layers[-1].name].permute(0, 3, 1, 2).flatten(1).numpy()
    lsb = np.abs(network.output.dequantise(found) - expected) / network.output.scale
    assert lsb.max() < 8 and lsb.mean() < 1  # the largest ones are clipped
    assert agreement.output_lsb == pytest.approx(lsb.mean(), rel=1e-4)
    assert agreement.graph_error < 1e-5 and set(agreement.layer_lsb) == {layer.name for layer in network.layers}


def test_a_batch_norm_that_is_folded_wrongly_is_caught(monkeypatch):
    """As PT2E's preparation folds it, where parameters or sums are shared."""
    monkeypatch.setattr("deeplock.pymodel.frontends.quantise._unshare", lambda graph: None)
    for build in (shared, tied, also_added, dense):
        torch.manual_seed(1)
        with pytest.raises(DeeplockError, match="preparing the network for quantisation changed it: .* at most 0.0001"):
            quantise(trained_norms(build()), inputs_of((2, 8, 8)), "net")


def _broken(function, **changes):
    """The reader's function, but for some fields of what it gives; those of a layer that is still to be made, too."""

    def broken(*args, **kwargs):
        result = function(*args, **kwargs)
        if isinstance(result, Pending) and not changes.keys() <= {"lo", "hi"}:
            return replace(result, make=lambda **scale: replace(result.make(**scale), **changes))
        return replace(result, **changes)

    return broken


def _break_readers(monkeypatch, targets, **changes) -> None:
    for target in targets:
        monkeypatch.setitem(pt2e.READERS, target, _broken(pt2e.READERS[target], **changes))


@pytest.fixture(scope="module")
def read_right() -> nn.Module:
    """A network with layers of every kind."""

    def forward(m, x):
        x = F.relu(m.conv1(x))
        x = F.max_pool2d(x + m.conv2(x), 2)
        return F.avg_pool2d(x, 2)

    torch.manual_seed(4)
    net = Net(forward, conv1=nn.Conv2d(2, 6, 3, padding=1), conv2=nn.Conv2d(6, 6, 3, padding=1))
    quantise(net, inputs_of((2, 8, 8)), "net")
    return net


@pytest.mark.parametrize(
    ("targets", "changes", "message"),
    [
        (CLAMPS, {"lo": 0.5}, "layer conv1 was misread: it differs from PyTorch's quantised graph by "),
        (CLAMPS, {"hi": 0.1}, "layer conv1 was misread: it differs .* by .* LSB, must be at most 1"),
        (MACS, {"padding": (2, 2, 0, 0)}, "layer conv1 was misread: it differs"),
        (MACS, {"input_zero_point": 99}, "layer conv1 was misread: it differs"),
        (
            POOLS,
            {"stride": (1, 1)},
            r"layer max_pool2d was misread: its output is \[6, 7, 7\], that of .* \[6, 4, 4\]",
        ),
        (AVERAGES, {"bias": 0}, "layer avg_pool2d was misread: it differs"),
        (ADDS, {"other": "conv1"}, "layer add was misread: it differs"),
        (ADDS, {"weights": (100, 50)}, "layer add was misread: it differs"),
    ],
)
def test_a_reader_that_is_broken_is_caught(read_right, monkeypatch, targets, changes, message):
    if targets is CLAMPS:
        monkeypatch.setattr(pt2e, "clamped", _broken(pt2e.clamped, **changes))
    else:
        _break_readers(monkeypatch, targets, **changes)
    with pytest.raises(DeeplockError, match=message) as error:
        quantise(read_right, inputs_of((2, 8, 8)), "net")
    assert "\n" not in str(error.value)


def test_a_layer_that_the_reader_drops_is_caught(monkeypatch):
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.MaxPool2d(2))
    for target in POOLS:
        monkeypatch.delitem(pt2e.READERS, target)
    monkeypatch.setattr(pt2e, "DROPOUTS", POOLS)
    with pytest.raises(DeeplockError, match="misread: the network has 1 layers, PyTorch's quantised graph 2"):
        quantise(net, inputs_of((2, 8, 8)), "net")


def test_a_sum_that_cancels_may_differ_by_what_seven_bits_of_ratio_leave_and_no_more(monkeypatch):
    """Scales of ratio 0.9961 get weights 127 and 127: off by 0.4 %, in a sum that is 0.4 % of its inputs."""
    net = Net(lambda m, x: m.a(x) + m.b(x), a=nn.Conv2d(2, 2, 1, bias=False), b=nn.Conv2d(2, 2, 1, bias=False))
    net.b.weight.data = -0.9961 * net.a.weight.data  # pyright: ignore
    network, agreement = quantise(net, inputs_of((2, 8, 8)), "net")
    assert agreement.layer_lsb["add"] > 20 and max(agreement.layer_lsb[name] for name in ("a", "b")) <= 1
    add = network.layers[-1]
    assert isinstance(add, Add)
    _break_readers(monkeypatch, ADDS, bias=add.bias + 127)
    with pytest.raises(DeeplockError, match="layer add was misread"):
        quantise(net, inputs_of((2, 8, 8)), "net")
