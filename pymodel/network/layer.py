"""Base classes of the operators: shapes, arithmetic, work, and how the hardware runs them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.fixed_point import MAX_SHIFT, MULTIPLIER_BITS
from deeplock.pymodel.network.lowering import Gathered, Interleaved, Joined, Lowered, Within
from deeplock.pymodel.spec.tensor import Shape

__all__ = ["INT32", "INT8", "Layer", "Weighted"]

INT8 = {"dtype": np.int8}
INT32 = {"dtype": np.int32}


@dataclass(frozen=True, eq=False)
class Layer(ABC):
    """A layer of a network. Each operator is a frozen dataclass derived from this class, in a file of operators/.

    Its fields are stored in the network file: strings, integers, tuples of either, and arrays, whose fields have INT8 or
    INT32 as metadata. Methods that take shapes or ifmaps take one for each of `sources`.

    kind        the operator's name in network files and messages, and the name of its Python file
    depthwise   it has weights, and an output channel reads only its own input channel
    mapping     how the accelerator runs it, in a sentence or two for the documentation
    name        of the layer, and of the tensor that it writes
    source      name of the tensor that it reads: "input" or the name of an earlier layer
    """

    kind: ClassVar[str]
    depthwise: ClassVar[bool] = False
    mapping: ClassVar[str] = ""
    name: str
    source: str

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the tensors that it reads."""
        return (self.source,)

    def rules(self) -> Iterator[tuple[str, bool]]:
        """Rules of the arithmetic contract for its fields: (name of what the rule is about, whether it holds)."""
        yield from ()

    def fits(self, *shapes: Shape) -> bool:
        """Whether it can read tensors of these shapes."""
        return len(set(shapes)) == 1

    @abstractmethod
    def output_shape(self, *shapes: Shape) -> Shape:
        """Shape of its output for inputs of these shapes."""

    def reads(self, wanted: np.ndarray, *shapes: Shape) -> tuple[np.ndarray, ...]:
        """Which pixels of its sources the wanted pixels of its output are made of: bool [height, width] all."""
        return (wanted,) * len(shapes)

    @abstractmethod
    def run(self, *ifmaps: np.ndarray) -> np.ndarray:
        """The golden model: ofmaps from ifmaps, both int8 [n, height, width, channels]."""

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return 0

    @property
    def weight_bytes(self) -> int:
        """Bytes of weights that the array takes for an inference."""
        return 0

    def macs(self, wanted: np.ndarray) -> int:
        """Multiply-accumulates of an inference, for the wanted pixels of its output: bool [height, width]."""
        return 0

    def stages(self, shape: Shape) -> "tuple[Layer, ...]":
        """The layers that the hardware runs in its place, if it has no such layer or none so large; else itself.

        Each reads `source` or earlier ones of them; the last one has its name.
        """
        return (self,)

    def behind(self, before: "Layer", shape: Shape) -> "tuple[Layer, ...] | None":
        """The layers that the hardware runs in place of `before` and itself, if they are better together; else None.

        before  its source, which nothing else reads
        shape   of what that one reads
        """
        return None

    def lower(self) -> Lowered | Joined | Interleaved | Within | Gathered:
        """How the hardware runs it; DeeplockError if it cannot."""
        raise DeeplockError(f"layer {self.name}: the accelerator has no operator {self.kind}")


@dataclass(frozen=True, eq=False)
class Weighted(Layer):
    """A layer with weights of its own, which the lock protects.

    weight      int8 [out, kernel height, kernel width, in]
    bias        int32 [out], the input's zero point folded in: bias - input_zero_point * sum(weight)
    multiplier  [out], each in [2**15, 2**16)
    shift       [out], each in 1..47
    """

    weight: np.ndarray = field(metadata=INT8)
    bias: np.ndarray = field(metadata=INT32)
    multiplier: np.ndarray = field(metadata=INT32)
    shift: np.ndarray = field(metadata=INT32)

    def rules(self) -> Iterator[tuple[str, bool]]:
        yield "weight shape", self.weight.ndim == 4
        channels = [array.shape == (len(self.weight),) for array in (self.bias, self.multiplier, self.shift)]
        yield "tensor shapes", all(channels)
        yield "multiplier", bool((self.multiplier >> (MULTIPLIER_BITS - 1) == 1).all())
        yield "shift", bool(((self.shift >= 1) & (self.shift <= MAX_SHIFT)).all())

    @property
    def parameters(self) -> int:
        return self.weight.size + self.bias.size

    @property
    def weight_bytes(self) -> int:
        return self.weight.size

    def macs(self, wanted: np.ndarray) -> int:
        return int(wanted.sum()) * self.weight.size
