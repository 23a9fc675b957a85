"""What the hardware runs of a network: layers, with the pooling that is fused into them, and the ifmap's way in."""

from dataclasses import dataclass, replace

import numpy as np

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.network import Add, AveragePool, Conv, MaxPool, Network, Shape, output_shapes, sources
from deeplock.pymodel.spec.config import Config

__all__ = ["Step", "Unfold", "plan_input", "plan_steps", "share"]

_LARGEST_STRIDE = 15


@dataclass(frozen=True, eq=False)
class Step:
    """One layer as the hardware runs it, with the pooling that is fused into it.

    output   name of the tensor that it writes; inputs, of those that it reads
    shape    of what it reads (height, width, channels), out of what it writes
    weight   int8 [out, kernel positions, channels]; None for layers whose weights are diagonal
    padding  top, left, bottom, right
    narrow   accumulator + bias is a 24-bit number, whatever the ifmap
    """

    layer: Conv | MaxPool | AveragePool | Add
    pool: MaxPool | None
    inputs: tuple[str, ...]
    output: str
    shape: Shape
    out: Shape
    kernel: tuple[int, int]
    stride: int = 1
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    weight: np.ndarray | None = None
    narrow: bool = False

    @property
    def name(self) -> str:
        return self.layer.name

    @property
    def window(self) -> tuple[int, int]:
        """Size and stride of the pooling window in pixels."""
        return (self.pool.kernel, self.pool.stride) if self.pool else (1, 1)


def _readers(network: Network) -> dict[str, list[str]]:
    """Names of the layers that read each tensor."""
    readers: dict[str, list[str]] = {name: [] for name in output_shapes(network)}
    for layer in network.layers:
        for name in sources(layer):
            readers[name].append(layer.name)
    return readers


def plan_steps(network: Network, config: Config) -> list[Step]:
    """The steps in order. A pooling is fused if it alone reads a convolution, its windows don't overlap and a row fits."""
    if not network.layers:
        raise DeeplockError(f"network {network.name} has no layers")
    if not any(isinstance(layer, Conv) for layer in network.layers):
        raise DeeplockError(f"network {network.name} has no parameters: there is nothing to lock")
    shapes, readers = output_shapes(network), _readers(network)
    pools = {layer.source: layer for layer in network.layers if isinstance(layer, MaxPool)}
    for name in [layer.name for layer in network.layers[:-1]]:
        if not readers[name]:
            raise DeeplockError(f"layer {name}: nothing reads it, and it is not the last")
    steps: list[Step] = []
    fused: set[str] = set()
    for layer in network.layers:
        if layer.name in fused:
            continue
        shape, out = shapes[layer.source], shapes[layer.name]
        step = Step(layer, None, sources(layer), layer.name, shape, out, (1, 1))
        match layer:
            case Conv():
                channels, tall, wide, depth = layer.weight.shape
                step = replace(
                    step,
                    kernel=(tall, wide),
                    stride=layer.stride,
                    padding=layer.padding,
                    weight=layer.weight.reshape(channels, tall * wide, depth),
                )
                pool = pools.get(layer.name)
                alone = pool and readers[layer.name] == [pool.name] and pool.stride >= pool.kernel
                if pool and alone and shapes[pool.name][1] * pool.kernel**2 <= config.accumulators:
                    fused.add(pool.name)
                    step = replace(step, pool=pool, output=pool.name, out=shapes[pool.name])
            case MaxPool():
                step = replace(step, pool=layer)
            case AveragePool():
                step = replace(step, kernel=layer.kernel, stride=layer.stride)
            case Add():
                step = replace(step, kernel=(2, 1))  # kernel row 0 reads one tensor, row 1 the other
        steps.append(step)
    return steps


def share(steps: list[Step], batch: int) -> tuple[list[Step], list[Step]]:
    """Split the steps into those that run once for each ifmap of a batch and the dense ones at the end that run once for all.

    A shared step sees the tensors of the batch as one, the ifmaps' parts below each other: so a dense layer becomes a
    convolution whose stride is the height of its kernel. The first step is never shared, since it reads the ifmap.
    """
    first = len(steps)
    while first > 1 and _is_dense(steps[first - 1]) and steps[first - 1].inputs == (steps[first - 2].output,):
        first -= 1
    stacked = []
    for step in steps[first:]:
        (height, width, depth), (_, _, channels) = step.shape, step.out
        stacked.append(replace(step, shape=(batch * height, width, depth), out=(batch, 1, channels), stride=height))
    return steps[:first], stacked


def _is_dense(step: Step) -> bool:
    """A convolution whose kernel is its whole input."""
    conv = isinstance(step.layer, Conv) and not any(step.layer.padding) and step.pool is None
    return conv and step.kernel == step.shape[:2] and step.shape[0] <= _LARGEST_STRIDE


@dataclass(frozen=True)
class Unfold:
    """How the ifmap becomes activation words: see spec/header.py."""

    run_bytes: int
    runs: int
    run_pitch: int
    x_pitch: int
    y_pitch: int
    windows_x: int
    windows_y: int
    ifmap_bytes: int
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    pad_value: int = 0

    def words(self, rows: int) -> int:
        return self.windows_x * self.windows_y * -(-self.run_bytes * self.runs // rows)


def _copy(shape: Shape) -> Unfold:
    height, width, channels = shape
    return Unfold(channels, 1, 0, channels, width * channels, width, height, height * width * channels)


def _windows(conv: Conv, shape: Shape) -> Unfold:
    (tall, wide), depth = conv.weight.shape[1:3], shape[2]
    top, left, bottom, right = conv.padding
    height, width = shape[0] + top + bottom, shape[1] + left + right
    pitch = width * depth
    return Unfold(
        run_bytes=wide * depth,
        runs=tall,
        run_pitch=pitch,
        x_pitch=conv.stride * depth,
        y_pitch=conv.stride * pitch,
        windows_x=(width - wide) // conv.stride + 1,
        windows_y=(height - tall) // conv.stride + 1,
        ifmap_bytes=height * pitch,
        padding=conv.padding,
        pad_value=conv.input_zero_point,
    )


def plan_input(steps: list[Step], config: Config) -> tuple[list[Step], Unfold]:
    """Unfold the first layer's windows if that makes fewer tiles and fits, and nothing else reads the ifmap; else copy it."""
    first, rows = steps[0], config.rows
    unfold = _copy(first.shape)
    if isinstance(first.layer, Conv) and not any("input" in step.inputs for step in steps[1:]):
        windows = _windows(first.layer, first.shape)
        taps = windows.run_bytes * windows.runs
        fewer = -(-taps // rows) < first.kernel[0] * first.kernel[1] * -(-first.shape[2] // rows)
        if fewer and windows.ifmap_bytes <= config.ifmap_bytes and windows.words(rows) <= config.activation_words // 2:
            unfold = windows
            first = replace(
                first,
                weight=first.layer.weight.reshape(len(first.layer.weight), 1, taps),
                shape=(windows.windows_y, windows.windows_x, taps),
                kernel=(1, 1),
                stride=1,
                padding=(0, 0, 0, 0),
            )
    if unfold.ifmap_bytes > config.ifmap_bytes:
        raise DeeplockError(f"ifmap takes {unfold.ifmap_bytes} bytes, the ifmap buffer has {config.ifmap_bytes}")
    return [first, *steps[1:]], unfold
