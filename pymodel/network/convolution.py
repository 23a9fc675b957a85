"""What convolutions share: fields, shapes, rounding, and how real numbers become their integers."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Any, Self

import numpy as np

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.fixed_point import clamp, multiplier_and_shift, output_rules
from deeplock.pymodel.network.golden import padded_with, pixels_read, requantise, windows
from deeplock.pymodel.network.layer import Weighted
from deeplock.pymodel.network.lowering import Lowered, Streamed
from deeplock.pymodel.spec.descriptor import Descriptor
from deeplock.pymodel.spec.entry import Entries
from deeplock.pymodel.spec.tensor import Padding, Quantisation, Shape, span_of, windows_of

__all__ = ["MOST_STRIDE", "Convolution", "prove_sums", "scaled"]

MOST_STRIDE = Descriptor.layout.fields["stride"].range[1]


@dataclass(frozen=True, eq=False)
class Convolution(Weighted):
    """Accumulate in int32, add the bias, requantise, clamp (ReLU is in `lo` and `hi`).

    stride      in pixels: (down, right)
    padding     zero padding in pixels: (top, left, bottom, right); padded pixels read as `input_zero_point`
    accumulator_bits  accumulator + bias wraps to this many bits, 24 or 32; only a wrong key makes it wrap, because with the
                right one the sum is proved to fit
    dilation    pixels from one of a kernel's to the next: (down, right)
    """

    stride: tuple[int, int]
    padding: Padding
    input_zero_point: int
    zero_point: int
    lo: int
    hi: int
    accumulator_bits: int = 32
    dilation: tuple[int, int] = (1, 1)

    def rules(self) -> Iterator[tuple[str, bool]]:
        yield from super().rules()
        whole = len(self.stride) == 2 and len(self.padding) == 4
        yield "stride or padding", whole and min(self.stride) >= 1 and min(self.padding) >= 0
        yield "dilation", len(self.dilation) == 2 and min(self.dilation) >= 1
        yield "zero point", -128 <= self.input_zero_point <= 127
        yield from output_rules(self.zero_point, self.lo, self.hi)
        yield "accumulator_bits", self.accumulator_bits in (24, 32)

    @property
    def kernel(self) -> tuple[int, int]:
        """Height and width."""
        _, tall, wide, _ = self.weight.shape
        return tall, wide

    def output_shape(self, shape: Shape) -> Shape:
        return *windows_of(shape, span_of(self.kernel, self.dilation), self.stride, self.padding), len(self.weight)

    def reads(self, wanted: np.ndarray, shape: Shape) -> tuple[np.ndarray]:
        return (pixels_read(wanted, shape, self.kernel, self.stride, self.padding, self.dilation),)

    def run(self, ifmaps: np.ndarray) -> np.ndarray:
        padded = padded_with(ifmaps, self.padding, self.input_zero_point)
        sums = self.sums(windows(padded, self.kernel, self.stride, self.dilation))
        scale = self.bias, self.multiplier, self.shift
        return requantise(sums, *scale, self.zero_point, self.lo, self.hi, self.accumulator_bits)

    @abstractmethod
    def sums(self, columns: np.ndarray) -> np.ndarray:
        """Sums of products, int64 [n, height, width, out].

        columns  windows, int8 [n, height, width, kernel height, kernel width, in]
        """

    @abstractmethod
    def streamed(self, entries: Entries) -> Streamed:
        """Its parameters as the hardware takes them."""

    def lower(self) -> Lowered:
        return Lowered(
            self.streamed(Entries(self.bias, self.multiplier, self.shift)),
            kernel=self.kernel,
            stride=self.stride,
            padding=self.padding,
            pad_value=self.input_zero_point,
            zero_point=self.zero_point,
            lo=self.lo,
            hi=self.hi,
            dilation=self.dilation,
        )

    @classmethod
    def integer(
        cls,
        name: str,
        source: str,
        weight: np.ndarray,
        weight_scale: np.ndarray,
        bias: np.ndarray,
        input: Quantisation,
        *,
        output: Quantisation,
        stride: tuple[int, int] = (1, 1),
        padding: Padding = (0, 0, 0, 0),
        lo: float = -inf,
        hi: float = inf,
        **more: Any,
    ) -> Self:
        """The layer in integers.

        weight        int8 [out, kernel height, kernel width, in]
        weight_scale  float64 [out]
        bias          float64 [out], real numbers; or int64 [out], in units of the accumulator, which no float changes
        lo, hi        real numbers to which the activation function clamps
        more          other fields, as they are
        """
        scales = scaled(name, input.scale * weight_scale, bias, output, lo, hi)
        taps = weight.reshape(len(weight), -1).astype(np.int64)
        folded = scales["bias"] - input.zero_point * taps.sum(1)
        prove_sums(name, 128 * np.abs(taps).sum(1) + np.abs(folded))
        scales["bias"] = folded.astype(np.int32)
        return cls(
            name=name,
            source=source,
            weight=np.ascontiguousarray(weight),
            stride=stride,
            padding=padding,
            input_zero_point=input.zero_point,
            **scales,
            **more,
        )


def scaled(name: str, unit: np.ndarray, bias: np.ndarray, output: Quantisation, lo: float, hi: float) -> dict[str, Any]:
    """Fields of a layer with weights that its output's quantisation and its bias give; the bias is not folded yet.

    unit  float64 [out], what 1 in the accumulator stands for
    bias  see `Convolution.integer`
    """
    multiplier, shift = multiplier_and_shift(name, unit / output.scale)
    if bias.dtype != np.int64:
        bias = np.rint(bias / unit)
    scales = {"bias": bias, "multiplier": multiplier, "shift": shift, "zero_point": output.zero_point}
    return scales | clamp(output, lo, hi)


def prove_sums(layer: str, reach: np.ndarray) -> None:
    """Prove that the accumulator stays in int32 whatever the ifmap; `reach` bounds it for each channel."""
    if not (reach < 2**31).all():
        channel = int(np.argmin(reach < 2**31))
        raise DeeplockError(
            f"layer {layer}, channel {channel}: the accumulator may reach {reach[channel]:.0f}, must stay below 2**31"
        )
