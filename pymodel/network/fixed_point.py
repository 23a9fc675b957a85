"""From real scales to the integers of the arithmetic contract: bias, multiplier, shift, clamp. docs/architecture.md.

Source of the scheme: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference" (arXiv 1712.05877), sections 2.2 to 2.4, per channel.
"""

from math import inf

import numpy as np

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.network import Add, AveragePool, Conv, Quantisation

__all__ = [
    "MULTIPLIER_BITS",
    "MAX_SHIFT",
    "MAX_WEIGHT",
    "MAX_WINDOW",
    "MAX_RATIO_ERROR",
    "multiplier_and_shift",
    "ratio_weights",
    "integer_conv",
    "integer_average",
    "integer_add",
]

MULTIPLIER_BITS = 16
MAX_SHIFT = 47
MAX_WEIGHT = 127
MAX_WINDOW = 2**16 - 1
"""Pixels of an average pool's window: 128 times as much is the most that its bias of 24 bits can hold."""
MAX_RATIO_ERROR = 0.01
"""Of an addition's input that has the smaller scale, against the other one."""


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
    *,
    output: Quantisation,
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
        **_clamp(output, lo, hi),
    )


def _clamp(output: Quantisation, lo: float, hi: float) -> dict[str, int]:
    bounds = np.clip(np.rint(np.array([lo, hi]) / output.scale) + output.zero_point, -128, 127)
    return {"lo": int(bounds[0]), "hi": int(bounds[1])}


def _scalars(layer: str, factor: float, output: Quantisation, lo: float, hi: float) -> dict[str, int]:
    """What a layer with one scale for all channels requantises with, but for its bias."""
    multiplier, shift = multiplier_and_shift(layer, np.array([factor]))
    scales = {"multiplier": int(multiplier[0]), "shift": int(shift[0]), "zero_point": output.zero_point}
    return scales | _clamp(output, lo, hi)


def integer_average(
    name: str,
    source: str,
    kernel: tuple[int, int],
    stride: int,
    input: Quantisation,
    *,
    output: Quantisation,
    lo: float = -inf,
    hi: float = inf,
) -> AveragePool:
    """The mean in integers: the division by the number of pixels is in the multiplier."""
    pixels = kernel[0] * kernel[1]
    if pixels > MAX_WINDOW:
        raise DeeplockError(f"layer {name}: a window must have at most {MAX_WINDOW} pixels, not {pixels}")
    scalars = _scalars(name, input.scale / (pixels * output.scale), output, lo, hi)
    return AveragePool(name, source, kernel, stride, bias=-pixels * input.zero_point, **scalars)


def ratio_weights(layer: str, scales: tuple[float, float]) -> tuple[int, int]:
    """Weights in 1..127, the larger one 64 or more, whose ratio is nearest to that of the scales.

    Up to a ratio of 127 the relative error is below 1 %, mostly far below; `DeeplockError` if it is more.
    """
    small, large = sorted(scales)
    ratio = small / large
    tops = np.arange(MAX_WEIGHT // 2 + 1, MAX_WEIGHT + 1)
    bottoms = np.clip(np.rint(tops * ratio), 1, MAX_WEIGHT)
    errors = np.abs(bottoms / (tops * ratio) - 1)
    best = int(np.argmin(errors))
    if not errors[best] <= MAX_RATIO_ERROR:
        raise DeeplockError(
            f"layer {layer}: the scales of its inputs, {scales[0]:.3g} and {scales[1]:.3g}, must be at most "
            f"{MAX_WEIGHT} to 1 apart: weights of 7 bits hold no such ratio within {MAX_RATIO_ERROR:.0%}"
        )
    of_small, of_large = int(bottoms[best]), int(tops[best])
    return (of_small, of_large) if scales[0] <= scales[1] else (of_large, of_small)


def integer_add(
    name: str,
    sources: tuple[str, str],
    inputs: tuple[Quantisation, Quantisation],
    *,
    output: Quantisation,
    lo: float = -inf,
    hi: float = inf,
) -> Add:
    """The sum in integers, exact in the scale of the input that has the larger one. |bias| <= 2 * 127 * 128."""
    weights = ratio_weights(name, (inputs[0].scale, inputs[1].scale))
    bias = -sum(weight * input.zero_point for weight, input in zip(weights, inputs, strict=True))
    unit = max((input.scale, weight) for input, weight in zip(inputs, weights, strict=True))
    return Add(name, *sources, weights, bias=bias, **_scalars(name, unit[0] / unit[1] / output.scale, output, lo, hi))
