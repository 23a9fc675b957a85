"""A function of one number, as a table."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import inf

import numpy as np

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.fixed_point import clamp
from deeplock.pymodel.network.layer import INT8, Layer
from deeplock.pymodel.network.lowering import Lowered
from deeplock.pymodel.spec.tensor import Quantisation, Shape

__all__ = ["OPERATOR", "Table", "integer_table"]

_VALUES = np.arange(-128, 128)


@dataclass(frozen=True, eq=False)
class Table(Layer):
    """A function of each value on its own.

    table  int8 [256]: what -128, -127 and so on become
    """

    kind = "table"
    mapping = (
        "looked up behind the requantisers of the layer before it, if that requantises and nothing else reads it; else a "
        "pass of its own over the tensor. The accelerator needs `tables`"
    )
    table: np.ndarray = field(metadata=INT8)

    def rules(self) -> Iterator[tuple[str, bool]]:
        yield "table shape", self.table.shape == _VALUES.shape

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def run(self, ifmaps: np.ndarray) -> np.ndarray:
        return self.table[ifmaps.astype(np.int16) + 128]

    def lower(self) -> Lowered:
        return Lowered(table=self.table.tobytes())


OPERATOR = Table


def integer_table(
    name: str,
    source: str,
    function: Callable[[np.ndarray], np.ndarray],
    input: Quantisation,
    *,
    output: Quantisation,
    lo: float = -inf,
    hi: float = inf,
) -> Table:
    """The function in integers; DeeplockError if it does not give a number for each of the input's.

    function  of real numbers, float64 [256]
    lo, hi    real numbers to which its result is clamped
    """
    bounds = clamp(output, lo, hi)
    real = function(input.dequantise(_VALUES))
    if not np.isfinite(real).all():
        raise DeeplockError(f"layer {name}: its function must give a number for each of its input's")
    return Table(name, source, output.quantise(real).clip(bounds["lo"], bounds["hi"]))
