"""A network as the readers of int8 files (TFLite, ONNX) make it, layer by layer. Needs neither PyTorch nor their packages."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf, prod
from typing import Any

import numpy as np

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.convolution import Convolution
from deeplock.pymodel.network.fixed_point import MAX_SHIFT, MULTIPLIER_BITS
from deeplock.pymodel.network.layer import Layer, Weighted
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.network.operators.multiply import integer_multiply
from deeplock.pymodel.network.operators.outputs import ending
from deeplock.pymodel.network.operators.transposed import Transposed
from deeplock.pymodel.spec.tensor import Output, Padding, Quantisation, Shape

__all__ = ["Activation", "Draft", "Imported", "Pending", "conv_of_integers", "product_of"]

_LEAST_FACTOR = 2.0 ** (MULTIPLIER_BITS - 1 - MAX_SHIFT)
_LONGEST_NAME = 40


@dataclass(frozen=True)
class Activation:
    """Ofmap of the layer `source`, or the ifmap "input".

    rank     its dimensions in the file without the batch: 3; 2 without height, which is 1; or 1, [n, features]
    padding  pixels that a padding operator has put around it
    clamps   that have become part of its layer
    """

    source: str
    shape: Shape
    quantisation: Quantisation
    rank: int = 3
    padding: Padding = (0, 0, 0, 0)
    clamps: int = 0

    @property
    def flat(self) -> bool:
        return self.rank == 1


@dataclass(frozen=True)
class Pending:
    """A layer whose output's quantisation is not known yet.

    make    gives the layer for `output`, `lo` and `hi`, the latter real numbers
    inputs  what it reads
    before  the file's quantisation of its output between the layer and the clamp, where the file rounds twice
    """

    name: str
    make: Callable[..., Layer]
    inputs: tuple[Activation, ...]
    rank: int = 3
    lo: float = -inf
    hi: float = inf
    before: Quantisation | None = None

    def clamped(self, lo: float, hi: float) -> "Pending":
        return replace(self, lo=max(self.lo, lo), hi=min(self.hi, hi))


@dataclass(frozen=True, eq=False)
class Imported:
    """A network that was read from an int8 file.

    quantisations  of the input and of every layer's output, by name
    tensors        what the file calls these
    slack          LSB more than 1 by which a layer may differ from the file's engine, by name, where not 0
    notes          what was left out, one line each
    """

    network: Network
    quantisations: dict[str, Quantisation]
    tensors: dict[str, Any]
    slack: dict[str, float]
    notes: tuple[str, ...]


def _output_shape(layer: Layer, *inputs: Activation) -> Shape:
    shape = layer.output_shape(*(value.shape for value in inputs))
    if min(shape) < 1:
        raise DeeplockError(f"layer {layer.name}: its window is larger than its input {list(inputs[0].shape)}")
    return shape


class Draft:
    """Collects layers, in execution order, and what the file calls their outputs."""

    def __init__(self) -> None:
        self._layers: dict[str, Layer] = {}
        self._pending: dict[str, Pending] = {}
        self._quantisations: dict[str, Quantisation] = {}
        self._tensors: dict[str, Any] = {}
        self._slack: dict[str, float] = {}
        self._clamps: dict[str, int] = {}
        self._read: set[str] = set()
        self.notes: list[str] = []

    def name(self, proposed: str, fallback: str) -> str:
        """A name for a layer that no other one has: of `proposed` what can be read, else the fallback, which is unique."""
        short = re.sub(r"[^\w./-]+", "_", proposed, flags=re.ASCII).strip("_./-")
        if short and len(short) <= _LONGEST_NAME and short not in {"input", *self._layers}:
            return short
        return next(name for name in (fallback, f"{fallback}_") if name not in self._layers)

    def input(self, activation: Activation, tensor: Any) -> Activation:
        self._note("input", activation.quantisation, tensor)
        return activation

    def _note(self, name: str, quantisation: Quantisation, tensor: Any) -> None:
        self._quantisations[name], self._tensors[name] = quantisation, tensor

    def _reads(self, *values: Activation) -> None:
        """Note what a layer reads. A clamp may have become part of what made it, which the file's other readers do not see."""
        for value in values:
            if value.clamps != self._clamps.get(value.source, 0):
                raise DeeplockError(
                    f"layer {value.source}: a clamp behind it must be the only user of its result, which is read or given "
                    "without the clamp too"
                )
            self._read.add(value.source)

    def add(self, layer: Layer, value: Activation, tensor: Any, rank: int | None = None) -> Activation:
        """A layer that acts on int8 as on real numbers: its output has its input's quantisation and, by default, rank."""
        self._reads(value)
        self._layers[layer.name] = layer
        self._note(layer.name, value.quantisation, tensor)
        shape = _output_shape(layer, value)
        return Activation(layer.name, shape, value.quantisation, value.rank if rank is None else rank)

    def requantise(self, pending: Pending, output: Quantisation, tensor: Any) -> Activation:
        """The layer is whole: its output is known."""
        self._reads(*pending.inputs)
        layer = pending.make(output=output, lo=pending.lo, hi=pending.hi)
        clamps = self._clamps[layer.name] = self._clamps.get(layer.name, -1) + 1
        self._layers[layer.name], self._pending[layer.name] = layer, pending
        self._note(layer.name, output, tensor)
        if pending.before not in (None, output):
            self._slack[layer.name] = pending.before.scale / output.scale / 2
        return Activation(layer.name, _output_shape(layer, *pending.inputs), output, pending.rank, clamps=clamps)

    def reopened(self, value: Activation, lo: float, hi: float) -> Pending | None:
        """The layer that made this activation, with a clamp behind it, to be requantised once for both; None if it has none.

        The file's engine rounds to the activation's scale and then to the clamp's; here the first rounding falls away.
        Nothing else may use the activation.
        """
        pending = self._pending.get(value.source) if value.source not in self._read else None
        return pending and replace(pending.clamped(lo, hi), rank=value.rank, before=value.quantisation)

    def finished(self, name: str, shape: Shape, found: Sequence[Activation]) -> Imported:
        """shape: of the ifmap. found: the network's outputs"""
        if any(output.flat and output.shape[0] * output.shape[1] > 1 for output in found):
            raise DeeplockError("the network's output must not be flattened, unless it has one pixel")
        self._reads(*found)
        outputs = [Output(output.source, output.shape, output.quantisation) for output in found]
        layers, several = ending([*self._layers.values()], outputs)
        given, first = self._quantisations["input"], found[0].quantisation
        network = Network(name, shape, given, first, layers, outputs=several)
        return Imported(network, self._quantisations, self._tensors, self._slack, tuple(self.notes))


def conv_of_integers(
    operator: type[Convolution] | type[Transposed],
    name: str,
    value: Activation,
    weight: np.ndarray,
    weight_scale: np.ndarray,
    bias: np.ndarray,
    *,
    output: Quantisation,
    lo: float = -inf,
    hi: float = inf,
    **more: Any,
) -> Weighted:
    """Convolution, transposed or not, of int8 weights as a file has them. Arguments: see `Convolution.integer`; one scale
    serves all channels.

    A channel whose factor is below 2**-32 is dead: an int32 sum times that rounds to 0, so it gives the zero point. It gets
    zero weights, which gives the same.
    """
    scale = np.broadcast_to(weight_scale, len(weight)).astype(np.float64)
    dead = value.quantisation.scale * scale / output.scale < _LEAST_FACTOR
    weight, bias = weight.copy(), bias.copy()
    weight[dead], bias[dead] = 0, 0
    scale[dead] = output.scale / value.quantisation.scale
    return operator.integer(
        name,
        value.source,
        weight,
        scale,
        bias,
        value.quantisation,
        output=output,
        lo=lo,
        hi=hi,
        **more,
    )


def product_of(name: str, value: Activation, other: Activation) -> Pending | None:
    """The product of two activations of one shape, or of which one has one pixel, which multiplies all of the other's; else
    None."""
    first, second = sorted((value, other), key=lambda each: -prod(each.shape[:2]))
    if second.shape not in (first.shape, (1, 1, first.shape[2])):
        return None
    quantisations = first.quantisation, second.quantisation
    make = partial(integer_multiply, name, (first.source, second.source), quantisations)
    return Pending(name, make, (first, second), rank=first.rank)
