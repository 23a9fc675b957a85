"""The quantised network: the integers that the golden model, the PyTorch reference and the compiler share.

A `Network` is a list of layers in execution order. Activations are int8 tensors in NHWC order; weights are int8 in OHWI
order. A dense layer is a convolution whose kernel is its whole input, so that flatten is no layer.
Arithmetic: docs/architecture.md, "Arithmetic contract".
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from deeplock.pymodel.network.layer import Layer
from deeplock.pymodel.spec.tensor import Output, Pixels, Quantisation, Shape

__all__ = ["Network", "lower_bound", "macs", "needed_pixels", "output_shapes"]


@dataclass(frozen=True, eq=False)
class Network:
    """A whole quantised network.

    Each of a layer's sources is "input" or the name of an earlier layer. The last layer is the output.

    input_shape  (height, width, channels) of one ifmap
    input, output  how real numbers map to the int8 ifmap and ofmap
    classes      names of the output channels, empty if unknown
    dataset      name of the data set it was trained on, "" if unknown
    pixels       how raw pixels map to real numbers, if there is no such data set
    outputs      if there are several: the last layer is of operator `outputs`, and gives them one after the other. `output`
                 is then the first one's
    """

    name: str
    input_shape: Shape
    input: Quantisation
    output: Quantisation
    layers: tuple[Layer, ...]
    classes: tuple[str, ...] = ()
    dataset: str = ""
    pixels: Pixels | None = None
    outputs: tuple[Output, ...] = ()

    @property
    def computed(self) -> tuple[Layer, ...]:
        """Its layers without the one that gathers several outputs."""
        return self.layers[:-1] if self.outputs else self.layers

    @property
    def ends(self) -> tuple[str, ...]:
        """The names of the layers that give its outputs."""
        return tuple(output.name for output in self.outputs) or (self.layers[-1].name,)


def output_shapes(network: Network) -> dict[str, Shape]:
    """Shape (height, width, channels) of the input and of every layer's output, by name."""
    shapes = {"input": network.input_shape}
    for layer in network.layers:
        shapes[layer.name] = layer.output_shape(*(shapes[name] for name in layer.sources))
    return shapes


def macs(network: Network) -> dict[str, int]:
    """Multiply-accumulates of every layer of one inference, by name."""
    shapes = output_shapes(network)
    return {layer.name: layer.macs(np.ones(shapes[layer.name][:2], bool)) for layer in network.layers}


def needed_pixels(network: Network) -> dict[str, np.ndarray]:
    """Which pixels of the input and of every layer's output the network's output depends on: bool [height, width], by name."""
    shapes = output_shapes(network)
    needed = {name: np.zeros(shape[:2], bool) for name, shape in shapes.items()}
    needed[network.layers[-1].name][:] = True
    for layer in reversed(network.layers):
        reads = layer.reads(needed[layer.name], *(shapes[name] for name in layer.sources))
        for name, pixels in zip(layer.sources, reads, strict=True):
            needed[name] |= pixels
    return needed


def lower_bound(
    network: Network, rows: int, cols: int, bytes_per_beat: int, shared: Collection[str] = (), batch: int = 1
) -> int:
    """Least cycles per ifmap of a rows x cols array that receives `bytes_per_beat` parameter bytes a cycle.

    Sum over layers of max(MACs / (rows * cols), weight bytes / bytes_per_beat), each layer rounded up; of a depthwise layer
    MACs / rows. MACs of pixels that the output does not depend on, such as those that no pooling window uses, do not count. The
    layers named in `shared` take their weights once for `batch` ifmaps.
    """
    needed = needed_pixels(network)

    def least(layer: Layer) -> int:
        work = layer.macs(needed[layer.name])
        shares = batch if layer.name in shared else 1
        products = rows if layer.depthwise else rows * cols
        return max(-(-work // products), -(-layer.weight_bytes // (bytes_per_beat * shares)))

    return sum(map(least, network.layers))
