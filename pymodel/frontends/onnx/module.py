"""An ONNX file in float as a program of PyTorch, to be quantised as any."""

from collections.abc import Callable, Sequence
from math import inf, prod
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import nn
from torch.nn import functional
from torch.utils._pytree import tree_leaves

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.frontends.onnx.graph import Graph, Node, read_graph
from deeplock.pymodel.frontends.onnx.parts import part_of
from deeplock.pymodel.frontends.onnx.upsampling import apart, cuts_of, factors_of
from deeplock.pymodel.frontends.quantise import export
from deeplock.pymodel.spec.tensor import halves_of_same

__all__ = ["SUPPORTED", "read_module"]

_LARGEST_ERROR = 1e-4
"""Of the outputs against onnxruntime's, relative to the largest output. Rounding causes 1e-6."""

_Function = Callable[..., torch.Tensor]


def _around(node: Node, kernel: Sequence[int], sizes: Sequence[int]) -> list[int]:
    """Padding as PyTorch's `pad` takes it, the last dimension first: before, behind.

    kernel  pixels under it in each dimension
    sizes   of the input in these dimensions
    """
    given: dict[str, Any] = node.attributes
    auto, axes = given.get("auto_pad", b"NOTSET"), len(kernel)
    pads = list(given.get("pads") or [0] * 2 * axes)
    if auto == b"VALID":
        pads = [0] * 2 * axes
    elif auto != b"NOTSET":
        small, large = halves_of_same(sizes, kernel, given.get("strides") or [1] * axes)
        pads = small + large if auto == b"SAME_UPPER" else large + small
    return [pads[axis + end * axes] for axis in reversed(range(axes)) for end in (0, 1)]


def _conv(node: Node) -> _Function:
    """Padding that is the same on both sides is the convolution's own; else a pad comes before."""
    given: dict[str, Any] = node.attributes

    def run(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        axes = x.dim() - 2
        dilation = given.get("dilations") or [1] * axes
        kernel = [(size - 1) * step + 1 for size, step in zip(weight.shape[2:], dilation, strict=True)]
        pads = _around(node, kernel, x.shape[2:])
        own = pads[::-2] if pads[::2] == pads[1::2] else [0] * axes
        x = x if any(own) or not any(pads) else functional.pad(x, pads)
        run_conv = functional.conv1d if axes == 1 else functional.conv2d
        return run_conv(x, weight, bias, given.get("strides") or 1, own, dilation, given.get("group", 1))

    return run


def _transposed(node: Node) -> _Function:
    given: dict[str, Any] = node.attributes

    def run(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        cuts = cuts_of(node, weight.shape[2:], x.shape[2:])
        own, more = [before for before, _ in cuts], [before - behind for before, behind in cuts]
        if min(more) < 0:
            raise node.unsupported(f"must not cut off more at the end than at the beginning, as {cuts} do")
        run_conv = functional.conv_transpose1d if len(cuts) == 1 else functional.conv_transpose2d
        group, dilation = given.get("group", 1), given.get("dilations") or 1
        return run_conv(x, weight, bias, given.get("strides") or 1, own, more, group, dilation)

    return run


def _resize(node: Node) -> _Function:
    def run(x: torch.Tensor, roi=None, scales: np.ndarray | None = None, sizes: np.ndarray | None = None):
        factors = factors_of(node, x.shape, scales, sizes)
        return functional.interpolate(x, scale_factor=[float(each) for each in factors[2:]])

    return run


def _blocks(node: Node) -> _Function:
    if not apart(node):
        raise node.unsupported("mode must be CRD, which PyTorch has, unless the file is in int8")
    return lambda x: functional.pixel_shuffle(x, node.attributes["blocksize"])


def _dense(node: Node) -> _Function:
    given = node.attributes
    if (given.get("alpha", 1.0), given.get("beta", 1.0), given.get("transA", 0)) != (1.0, 1.0, 0):
        raise node.unsupported("alpha and beta must be 1, transA 0")
    return functional.linear


def _norm(node: Node) -> _Function:
    epsilon = node.attributes.get("epsilon", 1e-5)
    return lambda x, scale, bias, mean, var: functional.batch_norm(x, mean, var, scale, bias, False, 0.0, epsilon)


def _pool(node: Node) -> _Function:
    given: dict[str, Any] = node.attributes
    kernel = tuple(given["kernel_shape"])
    pads = given.get("pads") or [0] * 2 * len(kernel)
    if pads[: len(kernel)] != pads[len(kernel) :] or given.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        raise node.unsupported(f"pads must be given, and be the same on both sides, not {pads}")
    if given.get("ceil_mode", 0) or set(given.get("dilations", [1])) != {1}:
        raise node.unsupported("ceil_mode must be 0, dilations 1")
    more: dict[str, Any] = {"stride": given.get("strides") or 1, "padding": pads[: len(kernel)]}
    if node.kind == "AveragePool":
        more["count_include_pad"] = bool(given.get("count_include_pad", 0))
    pools = {
        ("MaxPool", 1): functional.max_pool1d, ("MaxPool", 2): functional.max_pool2d,
        ("AveragePool", 1): functional.avg_pool1d, ("AveragePool", 2): functional.avg_pool2d,
    }  # fmt: skip
    if (node.kind, len(kernel)) not in pools:
        raise node.unsupported(f"must have one dimension or two, not {len(kernel)}")
    pool = pools[node.kind, len(kernel)]
    return lambda x: pool(x, kernel, **more)


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


def _over(node: Node) -> _Function:
    """A mean or a maximum over some dimensions."""
    over = torch.amax if "Max" in node.kind else torch.mean
    if node.kind.startswith("Global"):
        return lambda x: over(x, list(range(2, x.dim())), keepdim=True)
    axes, keeps = node.attributes.get("axes"), bool(node.attributes.get("keepdims", 1))
    return lambda x, given=axes: over(x, [int(axis) for axis in given], keepdim=keeps)  # pyright: ignore


def _reshape(node: Node) -> _Function:
    """All sizes but the batch."""
    if node.kind == "Flatten":
        return lambda x: x.flatten(node.attributes.get("axis", 1))
    return lambda x, shape: x.reshape(x.shape[0], *(int(size) for size in shape[1:]))


def _dimensions(node: Node) -> _Function:
    """Squeeze or Unsqueeze."""

    def run(x: torch.Tensor, axes: np.ndarray | None = None) -> torch.Tensor:
        places = [int(axis) for axis in (node.attributes.get("axes", []) if axes is None else axes)]
        if node.kind == "Squeeze":
            return x.squeeze(places)
        for place in sorted(place % (x.dim() + len(places)) for place in places):
            x = x.unsqueeze(place)
        return x

    return run


def _pad(node: Node) -> _Function:
    if node.attributes.get("mode", b"constant") != b"constant":
        raise node.unsupported("must pad with 0")

    def run(x: torch.Tensor, pads: np.ndarray, value: np.ndarray | None = None, axes: np.ndarray | None = None):
        if axes is not None or (value is not None and np.any(value)):
            raise node.unsupported("must pad all dimensions with 0")
        sizes = [int(size) for size in pads.reshape(2, -1).T[::-1].ravel()]
        while sizes and not any(sizes[-2:]):
            del sizes[-2:]  # of the batch and the channels
        return functional.pad(x, sizes)

    return run


def _slice(node: Node) -> _Function:
    def run(x: torch.Tensor, starts: np.ndarray, ends: np.ndarray, axes=None, steps=None) -> torch.Tensor:
        axes = range(len(starts)) if axes is None else axes
        if steps is not None and set(steps.tolist()) != {1}:
            raise node.unsupported("steps must be 1")
        for start, end, axis in zip(starts, ends, axes, strict=True):
            axis = int(axis) % x.dim()
            first, behind, _ = slice(int(start), int(end)).indices(x.shape[axis])
            x = x.narrow(axis, first, behind - first)
        return x

    return run


def _split(node: Node) -> _Function:
    return lambda x, sizes=None: x.narrow(1, *part_of(node, x.shape, sizes))


SUPPORTED: dict[str, Callable[[Node], _Function]] = {
    "Conv": _conv,
    "ConvTranspose": _transposed,
    "Gemm": _dense,
    "MatMul": _dense,
    "BatchNormalization": _norm,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "GlobalAveragePool": _over,
    "ReduceMean": _over,
    "GlobalMaxPool": _over,
    "ReduceMax": _over,
    "Concat": lambda node: lambda *x: torch.cat(x, node.attributes["axis"]),
    "Slice": _slice,
    "Split": _split,
    "Resize": _resize,
    "DepthToSpace": _blocks,
    "Pad": _pad,
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
    "Mul": lambda node: torch.mul,
    "Flatten": _reshape,
    "Reshape": _reshape,
    "Squeeze": _dimensions,
    "Unsqueeze": _dimensions,
    "Identity": lambda node: lambda x: x,
    "Dropout": lambda node: lambda x, *_: x,
}
_ARGUMENTS = {
    **dict.fromkeys(("Reshape", "ReduceMean", "ReduceMax", "Split", "Squeeze", "Unsqueeze"), (1,)),
    "Clip": (1, 2), "Pad": (1, 2, 3), "Slice": (1, 2, 3, 4), "Resize": (1, 2, 3),
}  # fmt: skip
"""Inputs that are no tensors of the module, but numbers that it is made with."""


class _Step(nn.Module):
    """A node and its constants. The module's path names the layer."""

    def __init__(self, node: Node, graph: Graph) -> None:
        super().__init__()
        self.function = SUPPORTED[node.kind](node)
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
        self.input, self.outputs = graph.input, graph.outputs
        self.names: list[tuple[str, str]] = []
        for node in graph.nodes:
            if node.kind not in SUPPORTED:
                raise node.unsupported(f"supported in float: {', '.join(SUPPORTED)}")
            name = "".join(letter if letter.isalnum() else "_" for letter in node.name.strip("/"))
            name = name if name and not hasattr(self, name) else node.title
            self.add_module(name, _Step(node, graph))
            self.names.append((name, node.output))

    def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        values = {self.input: x}
        for name, output in self.names:
            values[output] = getattr(self, name)(values)
        first, *others = (values[name] for name in self.outputs)
        return (first, *others) if others else first


def _error(found: torch.Tensor, expected: np.ndarray) -> float:
    """The largest difference, relative to the largest value expected."""
    if found.shape != expected.shape:
        return inf
    return float(np.abs(found.numpy() - expected).max() / (np.abs(expected).max() or 1))


def read_module(path: Path, inputs: torch.Tensor) -> torch.export.ExportedProgram:
    """The network of a file in float. `DeeplockError` if its outputs for these inputs are not onnxruntime's.

    inputs  float32 [n, channels, height, width]; without dimensions of 1, if the file's input has fewer
    """
    graph = read_graph(path)
    if inputs.shape[1:].numel() == prod(graph.shape) and 1 in inputs.shape[2:]:
        inputs = inputs.reshape(-1, *graph.shape)
    if tuple(inputs.shape[1:]) != graph.shape or len(inputs) % graph.batch:
        raise DeeplockError(f"the network takes {[graph.batch, *graph.shape]}, the images are {list(inputs.shape)}")
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # its classes derive from nothing else
        raise DeeplockError(f"onnxruntime does not take the file: {error}") from None
    module = _Module(graph).eval()
    batch = session.get_inputs()[0].shape[0]  # a name, if it is dynamic
    for some in inputs.split(batch if isinstance(batch, int) else 64):
        expected = map(np.asarray, session.run(None, {graph.input: some.numpy()}))
        try:
            with torch.no_grad():
                found = tree_leaves(module(some))
        except (LookupError, RuntimeError, TypeError, ValueError) as error:
            raise DeeplockError(f"the network was misread: {str(error).splitlines()[0]}") from None
        error = max(map(_error, found, expected))
        if not error <= _LARGEST_ERROR:
            raise DeeplockError(
                f"the network was misread: its outputs in float differ from onnxruntime's by {error:.2g} of the largest, "
                f"must be at most {_LARGEST_ERROR:g}"
            )
    return export(module, graph.shape)
