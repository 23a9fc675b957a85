"""The accelerator's `Quantizer` for PyTorch's PT2E flow: which tensors of an exported graph become int8, and how.

Used with torchao.quantization.pt2e.quantize_pt2e's prepare_pt2e, prepare_qat_pt2e and convert_pt2e. Written after
PyTorch's "How to Write a Quantizer for PyTorch 2 Export Quantization" and torchao 0.18.
"""

import torch
from torch import fx
from torch.fx.traceback import NodeSource
from torchao.quantization.pt2e import (
    FusedMovingAvgObsFakeQuantize,
    HistogramObserver,
    MovingAverageMinMaxObserver,
    MovingAveragePerChannelMinMaxObserver,
)
from torchao.quantization.pt2e.observer import PerChannelMinMaxObserver
from torchao.quantization.pt2e.quantizer import (
    QuantizationAnnotation,
    QuantizationSpec,
    QuantizationSpecBase,
    Quantizer,
    SharedQuantizationSpec,
)
from torchao.quantization.pt2e.quantizer.quantizer import Q_ANNOTATION_KEY

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.frontends.limits import PYTORCH

__all__ = [
    "AcceleratorQuantizer",
    "BLOCKS",
    "CONCATS",
    "CONVS",
    "CUTS",
    "MAXIMA",
    "MACS",
    "NORMS",
    "CLAMPS",
    "FUNCTIONS",
    "ADDS",
    "AVERAGES",
    "MEANS",
    "MULTIPLIES",
    "PADS",
    "POOLS",
    "LAYERS",
    "RESHAPES",
    "DROPOUTS",
    "SYMBOLS",
    "TRANSPOSED",
    "UPSAMPLES",
    "origin",
    "unsupported",
]

_aten = torch.ops.aten

CONVS = frozenset({_aten.conv2d.default, _aten.conv2d.padding, _aten.conv1d.default, _aten.conv1d.padding})
TRANSPOSED = frozenset({_aten.conv_transpose2d.input, _aten.conv_transpose1d.default})
MACS = CONVS | TRANSPOSED | {_aten.linear.default}
NORMS = frozenset({_aten.batch_norm.default})
CLAMPS = frozenset(
    {
        _aten.relu.default,
        _aten.relu_.default,
        _aten.relu6.default,
        _aten.relu6_.default,
        _aten.hardtanh.default,
        _aten.hardtanh_.default,
    }
)
_FUNCTIONS = ["sigmoid", "tanh", "silu", "hardswish", "hardsigmoid", "gelu", "leaky_relu", "elu", "mish", "softplus"]
FUNCTIONS = frozenset(
    getattr(_aten, each).default for name in _FUNCTIONS for each in (name, f"{name}_") if hasattr(_aten, each)
)
"""Functions of one number. Any other is as good, if it takes every number."""
MEANS = frozenset({_aten.mean.dim})
AVERAGES = MEANS | {
    _aten.avg_pool2d.default,
    _aten.adaptive_avg_pool2d.default,
    _aten.avg_pool1d.default,
    _aten.adaptive_avg_pool1d.default,
}
ADDS = frozenset({_aten.add.Tensor, _aten.add_.Tensor})
MULTIPLIES = frozenset({_aten.mul.Tensor, _aten.mul_.Tensor})
MAXIMA = frozenset({_aten.amax.default})
POOLS = MAXIMA | {_aten.max_pool2d.default, _aten.max_pool1d.default}
CONCATS = frozenset({_aten.cat.default})
CUTS = frozenset({_aten.slice.Tensor})
UPSAMPLES = frozenset(
    {
        _aten.upsample_nearest2d.vec,
        _aten.upsample_nearest1d.vec,
        _aten._upsample_nearest_exact2d.vec,
        _aten._upsample_nearest_exact1d.vec,
    }
)
BLOCKS = UPSAMPLES | {_aten.pixel_shuffle.default}
"""Each pixel becomes several ones."""
LAYERS = MACS | AVERAGES | ADDS | MULTIPLIES | POOLS | BLOCKS | CONCATS | CUTS | FUNCTIONS
"""Each becomes a layer."""
PADS = frozenset({_aten.pad.default})
"""Becomes part of the convolutions behind it."""
RESHAPES = frozenset(
    {
        _aten.flatten.using_ints,
        _aten.view.default,
        _aten.reshape.default,
        _aten.unsqueeze.default,
        _aten.squeeze.dim,
        _aten.squeeze.dims,
    }
)
DROPOUTS = frozenset(
    {_aten.dropout.default, _aten.dropout_.default, _aten.feature_dropout.default, _aten.clone.default}
)
"""In evaluation mode, the functional graph has a clone in place of a dropout, or nothing."""
SYMBOLS = frozenset({_aten.sym_size.int})
"""Sizes that a dynamic batch brings into the graph: arguments of reshapes, not data."""

_COMMUTE = POOLS | BLOCKS | RESHAPES | DROPOUTS
"""Operators that a clamp may come before as well as behind."""
_SHARED = _COMMUTE | CUTS | PADS
"""Operators that act on int8 as on real numbers: their output has their input's quantisation."""

_SUMS = AVERAGES | ADDS | MULTIPLIES | FUNCTIONS
"""Operators without weights that requantise."""

_TRAINING = frozenset(
    {
        _aten._native_batch_norm_legit.no_stats,
        _aten._native_batch_norm_legit_functional.default,
        _aten.native_dropout.default,
    }
)
"""Operators of the functional graph that act as in training."""

_Inputs = dict[fx.Node, QuantizationSpecBase | None]

_EPS = 2.0**-20
"""Least scale. Keeps the int32 bias of a dead channel in range, and real weights of 1e-4 still use all 8 bits."""


def origin(node: fx.Node) -> fx.Node | NodeSource:
    """The node in the exported program, if `quantise` replaced it to make the graph functional; else the node itself."""
    return node.meta.get("origin", node)


def unsupported(node: fx.Node, why: str = "") -> DeeplockError:
    """The error for an unsupported operator, or for an argument of it (`why`), with the exported program's names."""
    what = why or f"supported: {', '.join(name for names in PYTORCH for name in names)}"
    source = origin(node)
    return DeeplockError(f"unsupported operator {source.target} at node {source.name}: {what}")


def _specs(qat: bool) -> tuple[QuantizationSpec, QuantizationSpec, QuantizationSpec]:
    """Quantisation of activations, of weights, and of those of transposed convolutions."""
    if qat:
        fake = FusedMovingAvgObsFakeQuantize
        activation = fake.with_args(observer=MovingAverageMinMaxObserver, eps=_EPS)
        weight = fake.with_args(observer=MovingAveragePerChannelMinMaxObserver, eps=_EPS)
    else:
        activation = HistogramObserver.with_args(eps=_EPS)
        weight = PerChannelMinMaxObserver.with_args(eps=_EPS)
    weights = [
        QuantizationSpec(torch.int8, weight, -127, 127, torch.per_channel_symmetric, ch_axis=axis) for axis in (0, 1)
    ]
    return QuantizationSpec(torch.int8, activation, -128, 127, torch.per_tensor_affine), weights[0], weights[1]


def _operand(node: fx.Node, index: int) -> fx.Node:
    operand = node.args[index]
    assert isinstance(operand, fx.Node)
    return operand


def _only_user(node: fx.Node, targets: frozenset) -> fx.Node | None:
    """The node's user, if it is the only one and has one of the targets."""
    users = list(node.users)
    return users[0] if len(users) == 1 and users[0].target in targets else None


def _check_in_place(node: fx.Node) -> None:
    """Refuse a node that changes another one in place, if that one, or one that it is a view of, has another user."""
    if node.target not in CLAMPS | ADDS | MULTIPLIES | DROPOUTS | FUNCTIONS or not node.target._schema.is_mutable:  # pyright: ignore
        return
    changed = _operand(node, 0)
    while changed.target in RESHAPES | DROPOUTS and len(changed.users) == 1:
        changed = _operand(changed, 0)
    if changed.op != "get_attr" and len(changed.users) > 1:  # get_attr: a batch norm counts batches in place
        raise unsupported(node, f"changes {changed.name} in place, which has other users")


class AcceleratorQuantizer(Quantizer):
    """Activations int8 per tensor with zero point, weights int8 symmetric per output channel, biases float.

    Arguments
    ---------
    qat : True for prepare_qat_pt2e: fake quantisation with moving averages instead of observers
    """

    def __init__(self, *, qat: bool = False) -> None:
        super().__init__()
        self._activation, self._weight, self._turned = _specs(qat)

    def transform_for_annotation(self, model: fx.GraphModule) -> fx.GraphModule:
        """Move every clamp up to the operator that requantises, where it costs nothing: max(clamp(x)) = clamp(max(x)).

        This changes results only for a relu6 or hardtanh after a dropout in training: the dropout then scales after it.
        """
        for node in list(model.graph.nodes):
            while node.target in CLAMPS and (above := node.args[0]).target in _COMMUTE and len(above.users) == 1:
                node.replace_all_uses_with(above)
                node.replace_input_with(above, above.args[0])
                above.replace_input_with(above.args[0], node)
                above.prepend(node)
        model.recompile()
        return model

    def annotate(self, model: fx.GraphModule) -> fx.GraphModule:
        for node in model.graph.nodes:
            if node.target in MACS:
                weight = self._turned if node.target in TRANSPOSED else self._weight
                self._annotate_sum(node, {_operand(node, 0): self._activation, _operand(node, 1): weight})
            elif node.target in _SUMS and node.meta["val"].is_floating_point():  # a batch norm counts batches
                operands = [operand for operand in node.args[:2] if isinstance(operand, fx.Node)]
                self._annotate_sum(node, dict.fromkeys(operands, self._activation))
            elif node.target in CONCATS:
                self._annotate_concat(node)
            elif node.target in _SHARED:
                shared = SharedQuantizationSpec((_operand(node, 0), node))
                inputs = _Inputs({_operand(node, 0): self._activation})
                node.meta[Q_ANNOTATION_KEY] = QuantizationAnnotation(inputs, shared, _annotated=True)
        return model

    def _annotate_sum(self, node: fx.Node, inputs: _Inputs) -> None:
        """Annotate an operator that requantises, with its batch norm and activation function."""
        last = _only_user(node, NORMS) or node
        last = _only_user(last, CLAMPS) or last
        node.meta[Q_ANNOTATION_KEY] = QuantizationAnnotation(inputs, _annotated=True)
        annotation = last.meta.setdefault(Q_ANNOTATION_KEY, QuantizationAnnotation(_annotated=True))
        annotation.output_qspec = self._activation

    def _annotate_concat(self, node: fx.Node) -> None:
        """Its inputs share its scale, so that they need not be requantised, unless an activation function changes it."""
        operands = list(node.all_input_nodes)
        if _only_user(node, CLAMPS):
            self._annotate_sum(node, dict.fromkeys(operands, self._activation))
            return
        shared = SharedQuantizationSpec((operands[0], node))
        inputs = _Inputs(dict.fromkeys(operands[1:], shared)) | {operands[0]: self._activation}
        node.meta[Q_ANNOTATION_KEY] = QuantizationAnnotation(inputs, shared, _annotated=True)

    def validate(self, model: fx.GraphModule) -> None:
        """`DeeplockError` at the first operator that the accelerator does not have; nodes without a user are ignored."""
        inputs, outputs = model.graph.find_nodes(op="placeholder"), model.graph.output_node().args[0]
        if len(inputs) != 1:
            raise DeeplockError(f"the network must have one input, not {len(inputs)}")
        if not outputs or not all(isinstance(output, fx.Node) for output in outputs):  # pyright: ignore
            raise DeeplockError(f"the network's outputs must be tensors, not {outputs}")
        for node in model.graph.nodes:
            if node.op == "call_function":
                _check_in_place(node)
            if node.op != "call_function" or not node.users:
                continue
            if node.target in _TRAINING:
                raise unsupported(
                    node, "acts as in training: export in evaluation mode, batch norms with running statistics"
                )
            follows_conv = node.target in NORMS and node.args[0].target in CONVS | TRANSPOSED
            if not (follows_conv or node.target in LAYERS | CLAMPS | _SHARED | SYMBOLS):
                raise unsupported(node)
