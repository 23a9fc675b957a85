"""From real scales to the integers of the arithmetic contract: bias, multiplier, shift, clamp. docs/architecture.md.

Source of the scheme: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference" (arXiv 1712.05877), sections 2.2 to 2.4, per channel.
"""

from math import inf

import numpy as np

from pymodel.errors import DeeplockError
from pymodel.network import Conv, Quantisation

__all__ = ["MULTIPLIER_BITS", "MAX_SHIFT", "multiplier_and_shift", "integer_conv"]

MULTIPLIER_BITS = 16
MAX_SHIFT = 47


def multiplier_and_shift(layer: str, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """m in [2**15, 2**16) and s in 1..47 with m * 2**-s nearest to each factor: float64 [out] to two int32 [out].

    The relative error is at most 2**-16. `DeeplockError` names the layer and channel whose factor is out of reach.
    """
    fraction, exponent = np.frexp(factors)
    multiplier = np.rint(np.ldexp(fraction, MULTIPLIER_BITS))
    carried = multiplier == 2**MULTIPLIER_BITS
    multiplier = np.where(carried, 2 ** (MULTIPLIER_BITS - 1), multiplier)
    shift = MULTIPLIER_BITS - exponent - carried
    good = np.isfinite(factors) & (factors > 0) & (shift >= 1) & (shift <= MAX_SHIFT)
    if not good.all():
        channel = int(np.argmin(good))
        raise DeeplockError(
            f"layer {layer}, channel {channel}: requantisation factor {factors[channel]:.3g} must be in "
            f"[2**{MULTIPLIER_BITS - 1 - MAX_SHIFT}, 2**{MULTIPLIER_BITS - 1})"
        )
    return multiplier.astype(np.int32), shift.astype(np.int32)


def _integer_bias(layer: str, weight: np.ndarray, real: np.ndarray, zero_point: int) -> np.ndarray:
    """int32 [out]: the real bias in units of the accumulator, the input's zero point folded in.

    Proves that the accumulator stays in int32 whatever the ifmap: 128 * sum|w| + |bias| < 2**31 for every channel.
    """
    weight = weight.reshape(len(weight), -1).astype(np.int64)
    bias = np.rint(real) - zero_point * weight.sum(1)
    reach = 128 * np.abs(weight).sum(1) + np.abs(bias)
    if not (reach < 2**31).all():
        channel = int(np.argmin(reach < 2**31))
        raise DeeplockError(
            f"layer {layer}, channel {channel}: the accumulator may reach {reach[channel]:.0f}, must stay below 2**31"
        )
    return bias.astype(np.int32)


def integer_conv(
    name: str,
    source: str,
    weight: np.ndarray,
    weight_scale: np.ndarray,
    bias: np.ndarray,
    input: Quantisation,
    output: Quantisation,
    *,
    stride: int = 1,
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    lo: float = -inf,
    hi: float = inf,
) -> Conv:
    """The layer in integers.

    weight        int8 [out, kernel height, kernel width, in]
    weight_scale  float64 [out]
    bias, lo, hi  real numbers: float64 [out], and what the activation function clamps to
    """
    unit = input.scale * weight_scale
    multiplier, shift = multiplier_and_shift(name, unit / output.scale)
    bounds = np.clip(np.rint(np.array([lo, hi]) / output.scale) + output.zero_point, -128, 127)
    return Conv(
        name=name,
        source=source,
        weight=np.ascontiguousarray(weight),
        bias=_integer_bias(name, weight, bias / unit, input.zero_point),
        multiplier=multiplier,
        shift=shift,
        stride=stride,
        padding=padding,
        input_zero_point=input.zero_point,
        zero_point=output.zero_point,
        lo=int(bounds[0]),
        hi=int(bounds[1]),
    )
