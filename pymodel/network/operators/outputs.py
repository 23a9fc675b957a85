"""The end of a network that has several outputs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.layer import Layer
from deeplock.pymodel.network.lowering import Gathered
from deeplock.pymodel.spec.tensor import Output, Shape

__all__ = ["OPERATOR", "Outputs", "ending"]


@dataclass(frozen=True)
class Outputs(Layer):
    """The bytes of its sources, one source after the other. Only the last layer may be one; `Network.outputs` has what the
    bytes mean."""

    kind = "outputs"
    mapping = (
        "each output is copied to the ofmap stream by a diagonal layer, but the last one, which leaves by itself if it is made "
        "last and nothing else reads it"
    )
    others: tuple[str, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.source, *self.others)

    def fits(self, *shapes: Shape) -> bool:
        return True

    def output_shape(self, *shapes: Shape) -> Shape:
        return 1, 1, sum(height * width * channels for height, width, channels in shapes)

    def reads(self, wanted: np.ndarray, *shapes: Shape) -> tuple[np.ndarray, ...]:
        return tuple(np.full(shape[:2], wanted.any()) for shape in shapes)

    def run(self, *ifmaps: np.ndarray) -> np.ndarray:
        count = len(ifmaps[0])
        return np.concatenate([each.reshape(count, 1, 1, -1) for each in ifmaps], axis=3)

    def lower(self) -> Gathered:
        return Gathered()


OPERATOR = Outputs


def ending(layers: Sequence[Layer], outputs: Sequence[Output]) -> tuple[tuple[Layer, ...], tuple[Output, ...]]:
    """`Network.layers` and `Network.outputs` of a network that gives these outputs, in this order.

    Raises:
        DeeplockError: an output is the network's input, or there is only one and not of the last layer.
    """
    names = [output.name for output in outputs]
    if len(outputs) > 1:
        if "input" in names:
            raise DeeplockError("one of the network's outputs is its input, as it came: leave it out")
        name = next(name for name in ("outputs", "outputs_") if all(layer.name != name for layer in layers))
        return (*layers, Outputs(name, names[0], tuple(names[1:]))), tuple(outputs)
    if not layers or names != [layers[-1].name]:
        raise DeeplockError(f"the network's output must be its last layer, not {names[0]}")
    return tuple(layers), ()
