"""Turns real scales into the integers of the arithmetic contract: multiplier, shift, clamp. See docs/architecture.md.

Source of the scheme: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference" (arXiv 1712.05877), sections 2.2 to 2.4, per channel.
"""

from collections.abc import Iterator

import numpy as np

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.tensor import Quantisation

__all__ = ["MAX_SHIFT", "MULTIPLIER_BITS", "clamp", "multiplier_and_shift", "output_rules", "scalar_rules", "scalars"]

MULTIPLIER_BITS = 16
MAX_SHIFT = 47


def multiplier_and_shift(layer: str, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """m in [2**15, 2**16) and s in 1..47 with m * 2**-s nearest to each factor: float64 [out] to two int32 [out].

    The relative error is at most 2**-16. `DeeplockError` names the layer and channel whose factor is out of range.
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


def clamp(output: Quantisation, lo: float, hi: float) -> dict[str, int]:
    """`lo` and `hi` of a layer whose activation function clamps to real lo..hi."""
    bounds = np.clip(np.rint(np.array([lo, hi]) / output.scale) + output.zero_point, -128, 127)
    return {"lo": int(bounds[0]), "hi": int(bounds[1])}


def scalars(layer: str, factor: float, output: Quantisation, lo: float, hi: float) -> dict[str, int]:
    """Requantisation of a layer with one scale for all channels: all its fields but the bias."""
    multiplier, shift = multiplier_and_shift(layer, np.array([factor]))
    scales = {"multiplier": int(multiplier[0]), "shift": int(shift[0]), "zero_point": output.zero_point}
    return scales | clamp(output, lo, hi)


def output_rules(zero_point: int, lo: int, hi: int) -> Iterator[tuple[str, bool]]:
    """Rules (see Layer.rules) for a layer's clamp and zero point."""
    yield "clamp", -128 <= lo <= hi <= 127
    yield "zero point", -128 <= zero_point <= 127


def scalar_rules(
    bias: int, multiplier: int, shift: int, zero_point: int, lo: int, hi: int
) -> Iterator[tuple[str, bool]]:
    """Rules (see Layer.rules) for a layer with one scale for all channels."""
    yield "bias", -(2**23) <= bias < 2**23
    yield "multiplier", multiplier >> (MULTIPLIER_BITS - 1) == 1
    yield "shift", 1 <= shift <= MAX_SHIFT
    yield from output_rules(zero_point, lo, hi)
