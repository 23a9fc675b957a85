"""What the specification says of ConvTranspose, Resize and DepthToSpace, for files in int8 and in float alike."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from deeplock.pymodel.frontends.onnx.graph import Node

__all__ = ["apart", "cuts_of", "factors_of"]

_EXACT = {
    ("asymmetric", "floor"),
    *(("half_pixel", rounds) for rounds in ("round_prefer_floor", "round_prefer_ceil")),
    *(("pytorch_half_pixel", rounds) for rounds in ("round_prefer_floor", "round_prefer_ceil")),
}
"""Ways to find the nearest pixel that agree where sizes are multiples."""


def cuts_of(node: Node, kernel: Sequence[int], sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Pixels that a ConvTranspose cuts off before and behind its whole output, in each dimension; behind it may add some.

    sizes  of the input
    """
    given: dict[str, Any] = node.attributes
    axes, auto = len(kernel), given.get("auto_pad", b"NOTSET")
    strides, more = given.get("strides") or [1] * axes, given.get("output_padding") or [0] * axes
    pads, wanted = given.get("pads") or [0] * 2 * axes, list(given.get("output_shape") or ())
    if auto in (b"SAME_UPPER", b"SAME_LOWER") and not wanted:
        wanted = [size * stride for size, stride in zip(sizes, strides, strict=True)]
    if not wanted:
        pads = [0] * 2 * axes if auto == b"VALID" else pads
        return [(pads[axis], pads[axes + axis] - more[axis]) for axis in range(axes)]
    found = []
    for size, each, stride, out, added in zip(sizes, kernel, strides, wanted[-axes:], more, strict=True):
        total = (size - 1) * stride + each + added - out
        before = total // 2 if auto == b"SAME_UPPER" else total - total // 2
        found.append((before, total - before - added))
    return found


def factors_of(node: Node, shape: Sequence[int], scales: np.ndarray | None, sizes: np.ndarray | None) -> list[int]:
    """Of a Resize, for each dimension. shape: of its input, with the batch, which it keeps whatever its sizes say."""
    given: dict[str, Any] = node.attributes
    mode = given.get("mode", b"nearest").decode()
    way = tuple(
        given.get(name, default).decode()
        for name, default in (
            ("coordinate_transformation_mode", b"half_pixel"), ("nearest_mode", b"round_prefer_floor")
        )
    )  # fmt: skip
    if mode != "nearest" or way not in _EXACT:
        given_way = ", ".join((mode, *way))
        raise node.unsupported(f"must be nearest, asymmetric with floor or half_pixel with a rounding, not {given_way}")
    if given.get("axes") is not None:
        raise node.unsupported("must have scales or sizes of all dimensions")
    if sizes is not None:
        asked = [1.0, *(sizes[1:] / np.array(shape[1:]))]
    elif scales is not None:
        asked = scales.reshape(-1).tolist()
    else:
        raise node.unsupported("its scales or sizes must be constants")
    if len(asked) != len(shape) or not all(float(each).is_integer() and each >= 1 for each in asked):
        raise node.unsupported(f"its factors must be whole numbers, not {asked}")
    if asked[:2] != [1, 1]:
        raise node.unsupported(f"must keep batch and channels, not multiply them by {asked[:2]}")
    return [int(each) for each in asked]


def apart(node: Node) -> int:
    """Whether the pixels of a channel lie side by side among the channels that a DepthToSpace reads: mode CRD."""
    mode = node.attributes.get("mode", b"DCR")
    if mode not in (b"DCR", b"CRD"):
        raise node.unsupported(f"mode must be DCR or CRD, not {mode.decode()}")
    return int(mode == b"CRD")
