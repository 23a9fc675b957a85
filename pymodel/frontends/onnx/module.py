"""An ONNX file in float as a PyTorch module, to be quantised as an exported program is."""

from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import nn
from torch.nn import functional

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.frontends.onnx.graph import Graph, Node, read_graph

__all__ = ["read_module"]

_LARGEST_ERROR = 1e-4
"""Of the outputs against onnxruntime's, relative to the largest output. Rounding causes 1e-6."""

_Function = Callable[..., torch.Tensor]


def _symmetric(node: Node) -> tuple[int, int]:
    """Padding above and left, which must be that below and right."""
    if node.attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        raise node.unsupported("auto_pad must be NOTSET: give pads")
    top, left, bottom, right = node.attributes.get("pads", (0, 0, 0, 0))
    if (top, left) != (bottom, right):
        raise node.unsupported(f"pads must be the same on both sides, not {[top, left, bottom, right]}")
    return top, left


def _conv(node: Node) -> _Function:
    given: dict[str, Any] = node.attributes
    more = given.get("strides", (1, 1)), _symmetric(node), given.get("dilations", (1, 1)), given.get("group", 1)
    return lambda x, weight, bias=None: functional.conv2d(x, weight, bias, *more)


def _dense(node: Node) -> _Function:
    given = node.attributes
    if (given.get("alpha", 1.0), given.get("beta", 1.0), given.get("transA", 0)) != (1.0, 1.0, 0):
        raise node.unsupported("alpha and beta must be 1, transA 0")
    return functional.linear


def _norm(node: Node) -> _Function:
    epsilon = node.attributes.get("epsilon", 1e-5)
    return lambda x, scale, bias, mean, var: functional.batch_norm(x, mean, var, scale, bias, False, 0.0, epsilon)


def _pool(node: Node) -> _Function:
    given = node.attributes
    if any(_symmetric(node)) or given.get("ceil_mode", 0) or set(given.get("dilations", [1])) != {1}:
        raise node.unsupported("pads and ceil_mode must be 0, dilations 1")
    pool = functional.max_pool2d if node.kind == "MaxPool" else functional.avg_pool2d
    return lambda x: pool(x, tuple(given["kernel_shape"]), tuple(given.get("strides", (1, 1))))


def _clip(node: Node) -> _Function:
    low, high = node.attributes.get("min", -inf), node.attributes.get("max", inf)
    return lambda x, lo=None, hi=None: functional.hardtanh(
        x, float(low if lo is None else lo), float(high if hi is None else hi)
    )


def _hard_sigmoid(node: Node) -> _Function:
    alpha, beta = node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5)
    if abs(alpha - 1 / 6) > 1e-6 or beta != 0.5:
        raise node.unsupported(f"alpha and beta must be 1/6 and 0.5, not {alpha:.4g} and {beta:.4g}")
    return functional.hardsigmoid


def _mean(node: Node) -> _Function:
    if node.kind == "GlobalAveragePool":
        return lambda x: x.mean((2, 3), keepdim=True)
    axes, keeps = node.attributes.get("axes"), bool(node.attributes.get("keepdims", 1))
    return lambda x, given=axes: x.mean([int(axis) for axis in given], keepdim=keeps)  # pyright: ignore


def _reshape(node: Node) -> _Function:
    """All sizes but the batch."""
    if node.kind == "Flatten":
        return lambda x: x.flatten(node.attributes.get("axis", 1))
    return lambda x, shape: x.reshape(x.shape[0], *(int(size) for size in shape[1:]))


_BUILD: dict[str, Callable[[Node], _Function]] = {
    "Conv": _conv,
    "Gemm": _dense,
    "MatMul": _dense,
    "BatchNormalization": _norm,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "GlobalAveragePool": _mean,
    "ReduceMean": _mean,
    "Relu": lambda node: functional.relu,
    "Clip": _clip,
    "Sigmoid": lambda node: torch.sigmoid,
    "Tanh": lambda node: torch.tanh,
    "HardSwish": lambda node: functional.hardswish,
    "HardSigmoid": _hard_sigmoid,
    "LeakyRelu": lambda node: lambda x: functional.leaky_relu(x, node.attributes.get("alpha", 0.01)),
    "Elu": lambda node: lambda x: functional.elu(x, node.attributes.get("alpha", 1.0)),
    "Gelu": lambda node: lambda x: functional.gelu(x, approximate=node.attributes.get("approximate", b"none").decode()),
    "Add": lambda node: torch.add,
    "Flatten": _reshape,
    "Reshape": _reshape,
    "Identity": lambda node: lambda x: x,
    "Dropout": lambda node: lambda x, *_: x,
}
_ARGUMENTS = {"Reshape": (1,), "ReduceMean": (1,), "Clip": (1, 2)}
"""Inputs that are no tensors of the module, but numbers that it is made with."""


class _Step(nn.Module):
    """A node and its constants. The module's path names the layer."""

    def __init__(self, node: Node, graph: Graph) -> None:
        super().__init__()
        self.function = _BUILD[node.kind](node)
        self.sources: list[str | int | np.ndarray | None] = []  # a tensor, a parameter, an argument, or left out
        for number, name in enumerate(node.inputs):
            constant = graph.constants.get(name)
            if number in _ARGUMENTS.get(node.kind, ()):
                if name and constant is None:
                    raise node.unsupported(f"its input {name} must be a constant")
                self.sources.append(constant)
            elif constant is None:
                self.sources.append(name or None)
            else:
                turned = number == 1 and node.kind in ("Gemm", "MatMul") and not node.attributes.get("transB", 0)
                weight = torch.from_numpy(np.array(constant.T if turned else constant))
                self.register_parameter(f"input_{number}", nn.Parameter(weight, False))
                self.sources.append(number)

    def forward(self, values: dict[str, torch.Tensor]) -> torch.Tensor:
        found = []
        for source in self.sources:
            own = getattr(self, f"input_{source}") if isinstance(source, int) else source
            found.append(values[own] if isinstance(own, str) else own)
        return self.function(*found)


class _Module(nn.Module):
    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.input, self.output = graph.input, graph.output
        self.names: list[tuple[str, str]] = []
        for node in graph.nodes:
            if node.kind not in _BUILD:
                raise node.unsupported(f"supported in float: {', '.join(_BUILD)}")
            name = "".join(letter if letter.isalnum() else "_" for letter in node.name.strip("/"))
            name = name if name and not hasattr(self, name) else f"{node.kind.lower()}_{node.index}"
            self.add_module(name, _Step(node, graph))
            self.names.append((name, node.output))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = {self.input: x}
        for name, output in self.names:
            values[output] = getattr(self, name)(values)
        return values[self.output]


def read_module(path: Path, inputs: torch.Tensor) -> nn.Module:
    """The network of a file in float. `DeeplockError` if its outputs for these inputs are not onnxruntime's.

    inputs  float32 [n, channels, height, width]
    """
    graph = read_graph(path)
    if tuple(inputs.shape[1:]) != graph.shape or len(inputs) % graph.batch:
        raise DeeplockError(f"the network takes {[graph.batch, *graph.shape]}, the images are {list(inputs.shape)}")
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # its classes derive from nothing else
        raise DeeplockError(f"onnxruntime does not take the file: {error}") from None
    module = _Module(graph).eval()
    for some in inputs.split(graph.batch if graph.batch > 1 else 64):
        expected = np.asarray(session.run(None, {graph.input: some.numpy()})[0])
        try:
            with torch.no_grad():
                found = module(some).numpy()
        except (LookupError, RuntimeError, TypeError) as error:
            raise DeeplockError(f"the network was misread: {str(error).splitlines()[0]}") from None
        error = inf
        if found.shape == expected.shape:
            error = float(np.abs(found - expected).max() / (np.abs(expected).max() or 1))
        if not error <= _LARGEST_ERROR:
            raise DeeplockError(
                f"the network was misread: its outputs in float differ from onnxruntime's by {error:.2g} of the largest, "
                f"must be at most {_LARGEST_ERROR:g}"
            )
    return module
