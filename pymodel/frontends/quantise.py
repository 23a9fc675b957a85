"""Turns a float PyTorch network into the int8 `Network`: export, calibrate, convert (PT2E), read, compare with PyTorch.

Quantisation-aware training is the same with torchao's own steps in the middle:

    prepared = prepare_qat_pt2e(export(module.train(), shape).module(), AcceleratorQuantizer(qat=True))
    ...  # train `prepared`
    move_exported_model_to_eval(prepared)
    converted = convert_pt2e(prepared)
    network = from_pt2e(converted, name)
    layer_lsb(network, converted, images)
"""

import warnings
from copy import deepcopy
from dataclasses import dataclass
from operator import attrgetter

import torch
from torch import fx, nn
from torch.utils._pytree import tree_leaves
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.frontends.agreement import Agreement, against_float, batches, graph_error, layer_lsb
from deeplock.pymodel.frontends.pt2e import from_pt2e
from deeplock.pymodel.frontends.quantizer import MACS, AcceleratorQuantizer
from deeplock.pymodel.frontends.rewrites import NORM, rewrite
from deeplock.pymodel.network.network import Network

__all__ = ["Converted", "convert", "export", "quantise"]


@dataclass(frozen=True, eq=False)
class Converted:
    """A float network, converted by PT2E.

    graph        float operators between quantise and dequantise, which PyTorch can run
    graph_error  see `Agreement`
    outputs      of the float network on the calibration inputs, in its order
    """

    graph: fx.GraphModule
    graph_error: float
    outputs: tuple[torch.Tensor, ...]


def export(module: nn.Module, shape: tuple[int, ...]) -> torch.export.ExportedProgram:
    """The module's program for any batch size, in the mode (training or evaluation) that the module is in.

    shape  of one input: (channels, height, width), (channels, width) or (features,)
    """
    dynamic = ({0: torch.export.Dim.AUTO},)
    try:
        return torch.export.export(module, (torch.zeros(2, *shape),), dynamic_shapes=dynamic)
    except Exception as error:  # also from the module's own code
        raise DeeplockError(
            f"torch.export does not take the network with one input {[2, *shape]}: {str(error).splitlines()[0]}"
        ) from error


def _functional(program: torch.export.ExportedProgram) -> fx.GraphModule:
    """The program's graph without in-place operators, which may change another node's value through a view.

    `quantizer.origin` gives what a node was in the program.
    """
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # PyTorch's, about its own code
        graph = program.run_decompositions({}).module(check_guards=False)
    assert isinstance(graph, fx.GraphModule)
    for node in graph.graph.nodes:
        if node.target is torch.ops.aten.view.default:
            node.target = torch.ops.aten.reshape.default  # the export made flatten a view, given the strides it saw
        for source in node.meta.get("from_node", ()):  # what it was before module(), and before run_decompositions
            node.meta["origin"] = source.from_node[0] if source.from_node else source
    return graph


def _unshare(graph: fx.GraphModule) -> None:
    """Give each batch norm a convolution or dense layer of its own, and each of these its own parameters.

    PT2E's preparation folds batch norms into these parameters, so nothing else may use them.
    """
    for norm in graph.graph.find_nodes(op="call_function", target=NORM):
        if (above := norm.args[0]).target in MACS and len(above.users) > 1:
            with graph.graph.inserting_before(above):
                norm.replace_input_with(above, graph.graph.node_copy(above))
    for node in list(graph.graph.nodes):
        for shared in node.all_input_nodes if node.target in MACS else ():
            if shared.op == "get_attr" and len(shared.users) > 1:
                name = f"{node.name}_{shared.name}"
                graph.register_parameter(name, nn.Parameter(attrgetter(shared.target)(graph), requires_grad=False))
                with graph.graph.inserting_before(node):
                    own = graph.graph.get_attr(name)
                own.meta = shared.meta.copy()
                node.replace_input_with(shared, own)
    graph.recompile()


def _as_taken(graph: fx.GraphModule, inputs: torch.Tensor) -> torch.Tensor:
    """The inputs, [n, channels, height, width] or as they are, with the dimensions that the graph takes."""
    taken = [node.meta["val"].dim() for node in graph.graph.find_nodes(op="placeholder")][:1]
    if taken == [3] and inputs.dim() == 4 and inputs.shape[2] == 1:
        return inputs.squeeze(2)
    return inputs.flatten(1) if taken == [2] and inputs.shape[2:].numel() == 1 else inputs


def convert(model: nn.Module | torch.export.ExportedProgram, calibration: torch.Tensor) -> Converted:
    """Prepare, calibrate and convert. `DeeplockError` if preparing the graph changed what it computes.

    model        float network; a module is used in evaluation mode and left as it is
    calibration  float32 [n, channels, height, width], [n, channels, width] or [n, features], inputs like those that the
                 network will see: each activation's range on them sets its scale. n must be a multiple of a program's
                 batch, if that is fixed. A program that takes fewer dimensions is given them without those of 1
    """
    if not 2 <= calibration.dim() <= 4 or not len(calibration):
        forms = "[n, channels, height, width], [n, channels, width] or [n, features]"
        raise DeeplockError(f"calibration must be {forms}, not {list(calibration.shape)}")
    if isinstance(model, torch.export.ExportedProgram):
        program, original = model, model.module(check_guards=False)
    else:
        original = deepcopy(model).eval()
        program = export(original, tuple(calibration.shape[1:]))
    graph = _functional(program)
    calibration = _as_taken(graph, calibration)
    if not all(torch.isfinite(tensor).all() for tensor in (calibration, *graph.state_dict().values())):
        raise DeeplockError("parameters and calibration inputs must be finite numbers")
    rewrite(graph)
    _unshare(graph)
    prepared = prepare_pt2e(graph, AcceleratorQuantizer())
    found, expected = [], []
    try:
        with torch.no_grad():
            for images in batches(prepared, calibration):
                expected.append(tree_leaves(original(images)))
                found.append(tree_leaves(prepared(images)))
    except RuntimeError as error:  # an observer's, at a NaN, or an operator's, at inputs of another shape or type
        raise DeeplockError(
            f"the network does not take the calibration inputs: {str(error).splitlines()[0]}"
        ) from error
    outputs = tuple(map(torch.cat, zip(*expected, strict=True)))
    errors = map(graph_error, map(torch.cat, zip(*found, strict=True)), outputs)
    return Converted(convert_pt2e(prepared), max(errors), outputs)


def quantise(
    model: nn.Module | torch.export.ExportedProgram,
    calibration: torch.Tensor,
    name: str,
    *,
    classes: tuple[str, ...] = (),
    dataset: str = "",
) -> tuple[Network, Agreement]:
    """The int8 `Network` of a float network, by post-training quantisation. Arguments: see `convert` and `from_pt2e`.

    `DeeplockError` if the accelerator lacks an operator, a layer does not fit the arithmetic, or the network does not
    compute what PyTorch does (`agreement.py`).
    """
    converted = convert(model, calibration)
    network = from_pt2e(converted.graph, name, classes=classes, dataset=dataset)
    lsb, outliers = layer_lsb(network, converted.graph, _as_taken(converted.graph, calibration))
    costs = against_float(network, calibration, converted.outputs)
    return network, Agreement(converted.graph_error, lsb, *costs, outliers)
