"""Rewrites a float graph so that the readers of operators meet fewer kinds.

`graph_error` of agreement.py holds the result against the program.
"""

import operator
from sys import maxsize

import torch
from torch import fx, nn

from deeplock.pymodel.frontends.operators import arguments
from deeplock.pymodel.frontends.quantizer import CONVS, MACS, MULTIPLIES

__all__ = ["MAXIMA", "NORM", "SPLITS", "rewrite"]

_aten = torch.ops.aten
NORM = _aten._native_batch_norm_legit_no_training.default
"""A batch norm with running statistics, in a graph without in-place operators."""
SPLITS = (_aten.split.Tensor, _aten.split_with_sizes.default)
_GATED = (_aten.sigmoid.default, _aten.silu.default), (_aten.hardsigmoid.default, _aten.hardswish.default)
"""Functions of x, and what x times each is."""
MAXIMA = (_aten.adaptive_max_pool1d.default, _aten.adaptive_max_pool2d.default)


def rewrite(graph: fx.GraphModule) -> None:
    """Change the graph in place. What a rewrite does not understand stays, and is refused by name if no reader knows it."""
    for node in list(graph.graph.nodes):
        if node.target is NORM and node.args[0].target not in MACS:
            _norm(graph, node)
        elif node.target in SPLITS:
            _split(graph, node)
        elif node.target in MAXIMA:
            _maximum(graph, node)
        elif node.target in MULTIPLIES:
            _multiply(graph, node)
        elif node.target is _aten.slice.Tensor:
            _slice(graph, node)
    graph.graph.eliminate_dead_code()
    graph.recompile()


def _like(new: fx.Node, old: fx.Node) -> fx.Node:
    """Give a new node the meaning of an old one, in whose place it is."""
    new.meta = old.meta.copy()
    return new


def _constant(graph: fx.GraphModule, name: str, tensor: torch.Tensor) -> fx.Node:
    graph.register_parameter(name, nn.Parameter(tensor, requires_grad=False))
    return graph.graph.get_attr(name)


def _results(node: fx.Node) -> list[tuple[int, fx.Node]]:
    """The results of an operator of several that are used, by number."""
    return [(user.args[1], user) for user in node.users if user.target is operator.getitem]  # pyright: ignore


def _norm(graph: fx.GraphModule, node: fx.Node) -> None:
    """A batch norm that no layer takes in: a depthwise convolution of one pixel."""
    given, (value, *_) = arguments(node), node.all_input_nodes
    names = ("weight", "bias", "running_mean", "running_var")
    gain, bias, mean, variance = (None if given[name] is None else _tensor(graph, given[name]) for name in names)
    rank = value.meta["val"].dim()
    results = _results(node)
    if mean is None or variance is None or [number for number, _ in results] != [0] or rank not in (2, 3, 4):
        return
    factor = torch.rsqrt(variance.double() + given["eps"]) * (1 if gain is None else gain.double())
    shift = -mean.double() * factor + (0 if bias is None else bias.double())
    ((_, result),) = results
    _put_depthwise(graph, result, value, factor, shift)


def _put_depthwise(
    graph: fx.GraphModule, node: fx.Node, value: fx.Node, factor: torch.Tensor, shift: torch.Tensor
) -> None:
    """In place of a node, `value` times a factor for each channel, plus a shift: a depthwise convolution of one pixel."""
    rank = value.meta["val"].dim()
    kernel = factor.reshape(-1, 1, *[1] * max(1, rank - 2)).float()
    with graph.graph.inserting_before(node):
        if rank == 2:
            value = _like(graph.graph.call_function(_aten.unsqueeze.default, (value, 2)), node)
            value.meta["val"] = node.meta["val"].unsqueeze(2)
        conv = _aten.conv2d.default if rank == 4 else _aten.conv1d.default
        parameters = (
            _constant(graph, f"{node.name}_factor", kernel),
            _constant(graph, f"{node.name}_shift", shift.float()),
        )
        ones = [1] * max(1, rank - 2)
        inputs = (value, *parameters, ones, [0] * len(ones), ones, len(kernel))
        new = _like(graph.graph.call_function(conv, inputs), node)
        if rank == 2:
            new.meta["val"] = value.meta["val"]
            new = _like(graph.graph.call_function(_aten.squeeze.dim, (new, 2)), node)
    node.replace_all_uses_with(new)


def _multiply(graph: fx.GraphModule, node: fx.Node) -> None:
    """x * sigmoid(x) is a function of one number. A product of an activation and a number, or a number for each channel, is a
    depthwise convolution of one pixel."""
    first, second = node.args
    for value, gate in ((first, second), (second, first)):
        for function, whole in _GATED:
            if isinstance(gate, fx.Node) and gate.target is function and gate.args == (value,):
                with graph.graph.inserting_before(node):
                    new = _like(graph.graph.call_function(whole, (value,)), node)
                node.replace_all_uses_with(new)
                return
        if not isinstance(value, fx.Node) or value.op == "get_attr" or value.meta["val"].dim() not in (2, 3, 4):
            continue
        _, channels, *pixels = value.meta["val"].shape
        if isinstance(gate, fx.Node) and gate.op == "get_attr":
            factor = _tensor(graph, gate).detach()
        elif isinstance(gate, int | float):
            factor = torch.tensor(float(gate))
        else:
            continue
        sizes = [1] * (2 + len(pixels) - factor.dim()) + list(factor.shape)
        if sizes in ([1, 1, *[1] * len(pixels)], [1, channels, *[1] * len(pixels)]):
            factor = factor.double().reshape(-1).expand(channels)
            _put_depthwise(graph, node, value, factor, torch.zeros(channels))
        return


def _tensor(graph: fx.GraphModule, node: object) -> torch.Tensor:
    assert isinstance(node, fx.Node)
    found = graph
    for part in str(node.target).split("."):
        found = getattr(found, part)
    return found  # pyright: ignore


def _split(graph: fx.GraphModule, node: fx.Node) -> None:
    """Each result is a slice."""
    given = arguments(node)
    value, dim = given["self"], given["dim"]
    sizes = given["split_size"] if "split_size" in given else given["split_sizes"]
    for number, result in _results(node):
        first = number * sizes if isinstance(sizes, int) else sum(sizes[:number])
        size = result.meta["val"].shape[dim]
        with graph.graph.inserting_before(result):
            new = _like(graph.graph.call_function(_aten.slice.Tensor, (value, dim, first, first + size)), result)
        result.replace_all_uses_with(new)


def _maximum(graph: fx.GraphModule, node: fx.Node) -> None:
    """An adaptive maximum over all pixels, whose places nobody asks for."""
    results = _results(node)
    if {*node.args[1]} != {1} or [number for number, _ in results] != [0]:  # pyright: ignore
        return
    ((_, result),) = results
    dims = list(range(2, result.meta["val"].dim()))
    with graph.graph.inserting_before(node):
        new = _like(graph.graph.call_function(_aten.amax.default, (node.args[0], dims, True)), result)
    result.replace_all_uses_with(new)


def _slice(graph: fx.GraphModule, node: fx.Node) -> None:
    """A slice that takes all goes. One that cuts the end off a convolution, and is its only reader, becomes less padding."""
    given, (value, *_) = arguments(node), node.all_input_nodes
    before, behind = value.meta["val"], node.meta["val"]
    axis = given["dim"] % before.dim() - 2
    all_of_them = not given["start"] and given["end"] in (None, maxsize) and given["step"] == 1
    same_sizes = axis > -2 and before.shape[1:] == behind.shape[1:]  # of a dynamic batch, comparing would fix the size
    if all_of_them or same_sizes:
        node.replace_all_uses_with(value)
        graph.graph.erase_node(node)
        return
    if value.target not in CONVS or len(value.users) > 1 or axis < 0 or given["start"] or given["step"] != 1:
        return
    conv = arguments(value)
    source, around = conv["input"], conv["padding"]
    if isinstance(around, str):
        return
    axes = before.dim() - 2
    around, stride, dilation = (list(each) * (axes // len(each)) for each in (around, conv["stride"], conv["dilation"]))
    reach = (
        (behind.shape[axis + 2] - 1) * stride[axis]
        + (conv["weight"].meta["val"].shape[axis + 2] - 1) * dilation[axis]
        + 1
    )
    after = reach - source.meta["val"].shape[axis + 2] - around[axis]
    if after < 0:
        return
    pads = [size for each in reversed(range(axes)) for size in (around[each], after if each == axis else around[each])]
    with graph.graph.inserting_before(value):
        padded = _like(graph.graph.call_function(_aten.pad.default, (source, pads)), source)
        size, sums = source.meta["val"].shape, [sum(pads[2 * each : 2 * each + 2]) for each in reversed(range(axes))]
        sizes = [old + more for old, more in zip(size[2:], sums, strict=True)]
        padded.meta["val"] = source.meta["val"].new_empty((*size[:2], *sizes))
        target = _aten.conv2d.default if axes == 2 else _aten.conv1d.default
        parameters = conv["weight"], conv["bias"], stride, [0] * axes, dilation, conv["groups"]
        new = _like(graph.graph.call_function(target, (padded, *parameters)), value)
    new.meta["val"] = behind
    node.replace_all_uses_with(new)
