"""What the specification says of Split, for files in int8 and in float alike."""

from collections.abc import Sequence

import numpy as np

from deeplock.pymodel.frontends.onnx.graph import Node

__all__ = ["part_of"]


def part_of(node: Node, shape: Sequence[int], sizes: np.ndarray | None) -> tuple[int, int]:
    """First channel and number of the channels that an output of a Split has.

    shape  of its input, with the batch
    sizes  of its outputs; None: an attribute or, without that, alike but for a smaller last one
    """
    axis, channels = node.attributes.get("axis", 0) % len(shape), shape[1]
    if axis != 1:
        raise node.unsupported(f"must be of channels, dimension 1, not {axis}")
    each = -(-channels // node.parts)
    alike = [min(each, channels - number * each) for number in range(node.parts)]
    given = list(node.attributes.get("split") or alike) if sizes is None else np.ravel(sizes).tolist()
    if len(given) != node.parts or sum(given) != channels or min(given) < 1:
        raise node.unsupported(f"its parts must be {node.parts} and make {channels} channels, not {given}")
    return sum(given[: node.part]), given[node.part]
