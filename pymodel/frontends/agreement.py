"""Checks that a network computes what the user's program does: each step of the conversion is compared with PyTorch.

Misreading a graph is the worst fault, since golden model, reference and RTL then agree on the wrong thing. The error of
int8 against float cannot reveal it, because quantisation alone causes such errors. So two steps are checked:

- in float: the prepared graph, batch norms folded and operators moved, against the user's program;
- in integers: each layer against PyTorch's quantised graph, given that graph's own int8 inputs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean

import torch
from torch import fx
from torch.utils._pytree import tree_leaves

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.frontends.operators import sizes_of
from deeplock.pymodel.frontends.outliers import Codes, Outliers
from deeplock.pymodel.frontends.quantizer import CLAMPS, LAYERS
from deeplock.pymodel.network import reference
from deeplock.pymodel.network.layer import Layer
from deeplock.pymodel.network.network import Network, output_shapes
from deeplock.pymodel.network.operators.add import Add, ratio_errors
from deeplock.pymodel.spec.tensor import Quantisation

__all__ = ["Agreement", "against_float", "batches", "graph_error", "layer_lsb"]

GRAPH_ERROR = 1e-4
"""Largest change of an output that preparing the graph may cause, relative to the largest output. Rounding causes 1e-6."""

_QUANTISE = torch.ops.quantized_decomposed.quantize_per_tensor.default
_BATCH = 64


@dataclass(frozen=True)
class Agreement:
    """How well a network agrees with the program that it was made from, on the calibration inputs.

    graph_error  largest difference over largest output, prepared graph against program, both in float
    layer_lsb    largest difference of each layer, by name, to PyTorch's quantised graph, in units of the last bit
    output_lsb   mean difference of the outputs, int8 against float, in units of the last bit
    agreement    share (0..1) of outputs whose largest class is the same in int8 and in float
                 (both are means over the outputs, where there are several)
    outliers     tensors whose range outliers of the calibration inputs eat, in the network's order
    """

    graph_error: float
    layer_lsb: dict[str, int]
    output_lsb: float
    agreement: float
    outliers: tuple[Outliers, ...] = ()


def batches(graph: fx.GraphModule, inputs: torch.Tensor) -> Iterator[torch.Tensor]:
    """The inputs, split into batches of a size that the exported graph takes."""
    size = graph.graph.find_nodes(op="placeholder")[0].meta["val"].shape[0]
    yield from inputs.split(size if isinstance(size, int) else _BATCH)


def graph_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest difference of two graphs' outputs, relative to the largest output; `DeeplockError` above GRAPH_ERROR."""
    error = float((found - expected).abs().max() / (expected.abs().max() or 1))
    if not error <= GRAPH_ERROR:
        raise DeeplockError(
            f"preparing the network for quantisation changed it: its outputs in float differ by {error:.2g} of the "
            f"largest, must be at most {GRAPH_ERROR:g}"
        )
    return error


@dataclass(frozen=True, eq=False)
class _Tensor:
    """integers  float64 [n, channels, height, width], int8 values"""

    integers: torch.Tensor
    quantisation: Quantisation


class _Quantised(fx.Interpreter):
    """Runs PT2E's graph and keeps, in order, its quantised input and each layer's quantised output.

    Flatten, dropout and the like are not kept. Independent of how `pymodel.frontends.pt2e` reads the graph.
    """

    def __init__(self, converted: fx.GraphModule) -> None:
        super().__init__(converted)
        self.kept: list[tuple[torch.Tensor, Quantisation]] = []

    def run_node(self, n: fx.Node):
        result = super().run_node(n)
        made_by = n.args[0] if n.target is _QUANTISE else None
        if isinstance(made_by, fx.Node) and (made_by.op == "placeholder" or made_by.target in LAYERS | CLAMPS):
            _, scale, zero_point, *_ = n.args
            self.kept.append((result, Quantisation(float(scale), int(zero_point))))  # pyright: ignore
        return result


def _expected(network: Network, converted: fx.GraphModule, images: torch.Tensor) -> dict[str, _Tensor]:
    """PyTorch's integers of the input and every layer, by the network's names.

    Those of an output are computed from the graph's, so that nothing after that layer is overlooked.
    """
    interpreter, shapes = _Quantised(converted), output_shapes(network)
    shapes = {
        name: shape for name, shape in shapes.items() if name in {"input", *(layer.name for layer in network.computed)}
    }
    given = tree_leaves(interpreter.run(images))
    if len(given) != len(network.ends):
        raise DeeplockError(f"the graph was misread: it has {len(given)} outputs, the network {len(network.ends)}")
    outputs = dict(zip(network.ends, given, strict=True))
    if len(interpreter.kept) != len(shapes):
        raise DeeplockError(
            f"the graph was misread: the network has {len(shapes) - 1} layers, PyTorch's quantised graph "
            f"{len(interpreter.kept) - 1}"
        )
    found = {}
    for (name, (height, width, channels)), (integers, quantisation) in zip(
        shapes.items(), interpreter.kept, strict=True
    ):
        if name in outputs:
            integers = (outputs[name].double() / quantisation.scale).round() + quantisation.zero_point
        if tuple(integers.shape[1:]) not in sizes_of((height, width, channels)).values():
            raise DeeplockError(
                f"layer {name} was misread: its output is {[channels, height, width]}, that of PyTorch's quantised graph "
                f"{list(integers.shape[1:])}"
            )
        found[name] = _Tensor(integers.double().reshape(-1, channels, height, width), quantisation)
    return found


def _allowed(layer: Layer, tensors: dict[str, _Tensor]) -> torch.Tensor:
    """LSB by which each output of a correctly read layer may differ from PyTorch's.

    1, because halves are rounded up here and to even in PyTorch, and because the bias here is an integer. An addition may
    differ by more: its weights hold the ratio of its scales to 7 bits, and the change that this causes in the sum is added.
    """
    output = tensors[layer.name]
    changed = torch.zeros_like(output.integers)
    if isinstance(layer, Add):
        first, second = (tensors[name] for name in layer.sources)
        errors = ratio_errors(layer.weights, (first.quantisation.scale, second.quantisation.scale))
        for tensor, error in zip((first, second), errors, strict=True):
            changed += error / output.quantisation.scale * (tensor.integers - tensor.quantisation.zero_point)
    return 1 + changed.abs().floor()


@torch.no_grad()
def layer_lsb(
    network: Network, converted: fx.GraphModule, inputs: torch.Tensor
) -> tuple[dict[str, int], tuple[Outliers, ...]]:
    """Largest difference in LSB of every layer, by name, to the converted graph that the network was read from.

    Also the tensors whose range outliers eat, in the network's order.

    Each layer is given the graph's own integers, so that differences do not accumulate. `DeeplockError` names a layer that
    differs by more than rounding explains.

    inputs  float32 [n, channels, height, width]
    """
    most = {layer.name: 0 for layer in network.computed}
    codes: dict[str, Codes] = {}
    for images in batches(converted, inputs):
        tensors = _expected(network, converted, images)
        integers = {name: tensor.integers for name, tensor in tensors.items()}
        for name, tensor in tensors.items():
            codes.setdefault(name, Codes(tensor.quantisation)).add(tensor.integers)
        for layer in network.computed:
            lsb = (reference.ofmaps(layer, *(integers[name] for name in layer.sources)) - integers[layer.name]).abs()
            allowed = _allowed(layer, tensors)
            worst = (lsb - allowed).argmax()
            if lsb.flatten()[worst] > allowed.flatten()[worst]:
                raise DeeplockError(
                    f"layer {layer.name} was misread: it differs from PyTorch's quantised graph by "
                    f"{lsb.flatten()[worst]:.0f} LSB, must be at most {allowed.flatten()[worst]:.0f}"
                )
            most[layer.name] = max(most[layer.name], int(lsb.max()))
    return most, tuple(found for name, each in codes.items() if (found := each.outliers(name)))


def against_float(network: Network, inputs: torch.Tensor, expected: Sequence[torch.Tensor]) -> tuple[float, float]:
    """What int8 costs: `output_lsb` and `agreement` of an `Agreement`.

    inputs, expected  inputs and outputs of the float network: float32 [n, channels, height, width] and [n, classes, ...]
    """
    scales = [output.quantisation for output in network.outputs] or [network.output]
    error, same = [0.0] * len(scales), [0.0] * len(scales)
    for number, images in enumerate(inputs.split(_BATCH)):
        height, width, channels = network.input_shape
        real = images.reshape(-1, channels, height, width).permute(0, 2, 3, 1).numpy()
        found = reference.run(network, network.input.quantise(real))
        for at, (name, scale, whole) in enumerate(zip(network.ends, scales, expected, strict=True)):
            outputs = whole[number * _BATCH : (number + 1) * _BATCH]
            ofmaps = found[name].permute(0, 3, 1, 2).reshape(outputs.shape)
            real = torch.from_numpy(scale.dequantise(ofmaps.numpy()))
            error[at] += float((real - outputs).abs().sum()) / whole.numel() / scale.scale
            same[at] += int((ofmaps.argmax(1) == outputs.argmax(1)).sum()) * whole.shape[1] / whole.numel()
    return mean(error), mean(same)
