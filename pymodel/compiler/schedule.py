"""The steps that the hardware runs for a network, with fused pooling, and the unfolding of the ifmap."""

from dataclasses import dataclass, replace

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.lowering import Lowered, Streamed
from deeplock.pymodel.network.network import Network, output_shapes
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.tensor import Shape

__all__ = ["Step", "Unfold", "plan_input", "plan_steps", "share"]

_LARGEST_STRIDE = 15


@dataclass(frozen=True, eq=False)
class Step:
    """One layer as the hardware runs it, with the pooling that is fused into it.

    name, kind      names of the layer and of its operator
    inputs, output  names of the tensors that it reads, and of the one that it writes
    shape, out      (height, width, channels) of each tensor that it reads, and of the one that it writes
    narrow          accumulator + bias is a 24-bit number for every ifmap
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    output: str
    shape: Shape
    out: Shape
    lowered: Lowered
    narrow: bool = False


def _readers(network: Network) -> dict[str, list[str]]:
    """Names of the layers that read each tensor."""
    readers: dict[str, list[str]] = {name: [] for name in output_shapes(network)}
    for layer in network.layers:
        for name in layer.sources:
            readers[name].append(layer.name)
    return readers


def plan_steps(network: Network, config: Config) -> list[Step]:
    """The steps in order.

    A pooling is fused into a layer with weights that nothing else reads, if its windows do not overlap and a row of them
    fits the accumulators.
    """
    if not network.layers:
        raise DeeplockError(f"network {network.name} has no layers")
    if not any(layer.weight_bytes for layer in network.layers):
        raise DeeplockError(f"network {network.name} has no parameters: there is nothing to lock")
    shapes, readers = output_shapes(network), _readers(network)
    for name in [layer.name for layer in network.layers[:-1]]:
        if not readers[name]:
            raise DeeplockError(f"layer {name}: nothing reads it, and it is not the last")
    lowered = {layer.name: layer.lower() for layer in network.layers}
    pools = {layer.source: layer.name for layer in network.layers if lowered[layer.name].only_pools}
    steps: list[Step] = []
    fused: set[str] = set()
    for layer in network.layers:
        name, does = layer.name, lowered[layer.name]
        if name in fused:
            continue
        step = Step(name, layer.kind, layer.sources, name, shapes[layer.source], shapes[name], does)
        pool = pools.get(name)
        if pool and readers[name] == [pool] and isinstance(does.weights, Streamed):
            size, stride = window = lowered[pool].window
            if stride >= size and shapes[pool][1] * size**2 <= config.accumulators:
                fused.add(pool)
                step = replace(step, output=pool, out=shapes[pool], lowered=replace(does, window=window))
        steps.append(step)
    return steps


def share(steps: list[Step], batch: int) -> tuple[list[Step], list[Step]]:
    """Split a batch's steps into those that run once for each ifmap, and the dense ones at the end, which run once for all.

    A shared step sees the tensors of the batch as one, stacked in height. A dense layer thus becomes a convolution whose
    stride is the height of its kernel. The first step is never shared, since it reads the ifmap.
    """
    first = len(steps)
    while first > 1 and _is_dense(steps[first - 1]) and steps[first - 1].inputs == (steps[first - 2].output,):
        first -= 1
    stacked = []
    for step in steps[first:]:
        (height, width, depth), (_, _, channels) = step.shape, step.out
        below = replace(step.lowered, stride=height)
        stacked.append(replace(step, shape=(batch * height, width, depth), out=(batch, 1, channels), lowered=below))
    return steps[:first], stacked


def _is_dense(step: Step) -> bool:
    """Whether it is a convolution whose kernel is its whole input."""
    does = step.lowered
    conv = isinstance(does.weights, Streamed) and not any(does.padding) and does.window == (1, 1)
    return conv and does.kernel == step.shape[:2] and step.shape[0] <= _LARGEST_STRIDE


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


def _windows(does: Lowered, shape: Shape) -> Unfold:
    (tall, wide), depth = does.kernel, shape[2]
    top, left, bottom, right = does.padding
    height, width = shape[0] + top + bottom, shape[1] + left + right
    pitch = width * depth
    return Unfold(
        run_bytes=wide * depth,
        runs=tall,
        run_pitch=pitch,
        x_pitch=does.stride * depth,
        y_pitch=does.stride * pitch,
        windows_x=(width - wide) // does.stride + 1,
        windows_y=(height - tall) // does.stride + 1,
        ifmap_bytes=height * pitch,
        padding=does.padding,
        pad_value=does.pad_value,
    )


def plan_input(steps: list[Step], config: Config) -> tuple[list[Step], Unfold]:
    """Unfold the first layer's windows if that makes fewer tiles and fits, and nothing else reads the ifmap; else copy it."""
    first, rows = steps[0], config.rows
    unfold, does = _copy(first.shape), first.lowered
    if isinstance(does.weights, Streamed) and not any("input" in step.inputs for step in steps[1:]):
        windows = _windows(does, first.shape)
        taps = windows.run_bytes * windows.runs
        fewer = -(-taps // rows) < does.kernel[0] * does.kernel[1] * -(-first.shape[2] // rows)
        if fewer and windows.ifmap_bytes <= config.ifmap_bytes and windows.words(rows) <= config.activation_words // 2:
            unfold = windows
            weight = does.weights.weight.reshape(-1, 1, taps)
            does = replace(
                does, weights=replace(does.weights, weight=weight), kernel=(1, 1), stride=1, padding=(0, 0, 0, 0)
            )
            first = replace(first, shape=(windows.windows_y, windows.windows_x, taps), lowered=does)
    if unfold.ifmap_bytes > config.ifmap_bytes:
        raise DeeplockError(f"ifmap takes {unfold.ifmap_bytes} bytes, the ifmap buffer has {config.ifmap_bytes}")
    return [first, *steps[1:]], unfold
