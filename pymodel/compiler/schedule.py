"""The steps that the hardware runs for a network, with fused pooling, and the unfolding of the ifmap."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import gcd

import numpy as np

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.lowering import Lowered, Streamed
from deeplock.pymodel.network.network import Network, output_shapes
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Descriptor
from deeplock.pymodel.spec.tensor import Shape

__all__ = ["Step", "Unfold", "plan_input", "plan_steps", "runs_of", "share", "words_of"]

_LARGEST_STRIDE = 15
_LONGEST_RUN = Descriptor.layout.fields["cblocks"].range[1]  # words


@dataclass(frozen=True, eq=False)
class Step:
    """One layer as the hardware runs it, with the pooling that is fused into it.

    name, kind      names of the layer and of its operator
    inputs, output  names of the tensors that it reads, and of the one that it writes
    shape, out      (height, width, channels) of each tensor that it reads, and of the one that it writes
    row_step        input rows from one kernel row to the next
    pitch           rows of the network's tensor from one input row to the next
    narrow          accumulator + bias is a 24-bit number for every ifmap
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    output: str
    shape: Shape
    out: Shape
    lowered: Lowered
    row_step: int = 1
    pitch: int = 1
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
    """How the ifmap enters the activation memory: windows of `runs` runs of `run_bytes` bytes; see spec/header.py."""

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

    def words(self, config: Config) -> int:
        window, count = self.run_bytes * self.runs, self.windows_x * self.windows_y
        return -(-window * count // config.rows) if config.dense else -(-window // config.rows) * count


def plan_input(steps: list[Step], config: Config, rng: np.random.Generator) -> tuple[list[Step], Unfold]:
    """Choose how the ifmap enters the activation memory, and rewrite the first step to read it there.

    If the first step is a convolution and nothing else reads the ifmap, it may be rearranged so that a window takes fewer
    words (`_stacked` if pixels are dense, else `_windows`), and the host pads it if the feeder cannot.
    """
    first, does = steps[0], steps[0].lowered
    own = isinstance(does.weights, Streamed) and not any("input" in step.inputs for step in steps[1:])
    plans = [_copied(first, config, does.padding if own and not config.padding else (0, 0, 0, 0))]
    if own:
        plans += _stacked(first, rng) if config.dense else [_windows(first)]

    def fits(unfold: Unfold) -> bool:
        return unfold.ifmap_bytes <= config.ifmap_bytes and unfold.words(config) <= config.activation_words // 2

    fitting = [(step, unfold) for step, unfold in plans if fits(unfold)] or plans[:1]
    first, unfold = min(fitting, key=lambda plan: (words_of(plan[0], config), plan[1].words(config)))
    if unfold.ifmap_bytes > config.ifmap_bytes:
        raise DeeplockError(f"ifmap takes {unfold.ifmap_bytes} bytes, the ifmap buffer has {config.ifmap_bytes}")
    return [first, *steps[1:]], unfold


def runs_of(step: Step, config: Config) -> tuple[int, int, int]:
    """How the feeder reads a window: rows and columns of runs, and the bytes of a run, which lie side by side in memory."""
    does, (_, width, channels) = step.lowered, step.shape
    tall, wide = does.kernel
    if not isinstance(does.weights, Streamed):
        return tall, wide, config.cols
    if not config.dense:
        return tall, wide, channels
    whole = wide == width and step.row_step == 1 and not any(does.padding)
    if whole and tall * wide * channels <= _LONGEST_RUN * config.rows:  # its rows lie side by side, too
        return 1, 1, tall * wide * channels
    return tall, 1, wide * channels


def words_of(step: Step, config: Config) -> int:
    """Activation words that a window takes."""
    tall, wide, size = runs_of(step, config)
    return tall * wide * -(-size // config.rows)


def _copied(step: Step, config: Config, padding: tuple[int, int, int, int]) -> tuple[Step, Unfold]:
    """The ifmap as it is, after the host has padded it."""
    top, left, bottom, right = padding
    height, width, channels = step.shape[0] + top + bottom, step.shape[1] + left + right, step.shape[2]
    size = height * width * channels
    unfold = Unfold(size, 1, 0, 0, 0, 1, 1, size, padding, step.lowered.pad_value)
    if not config.dense:
        unfold = replace(
            unfold, run_bytes=channels, x_pitch=channels, y_pitch=width * channels, windows_x=width, windows_y=height
        )
    if any(padding):
        step = replace(step, lowered=replace(step.lowered, padding=(0, 0, 0, 0)))
    return replace(step, shape=(height, width, channels)), unfold


def _windows(step: Step) -> tuple[Step, Unfold]:
    """Every kernel window on its own, as a pixel of many channels."""
    does, depth = step.lowered, step.shape[2]
    tall, wide = does.kernel
    top, left, bottom, right = does.padding
    height, width = step.shape[0] + top + bottom, step.shape[1] + left + right
    pitch = width * depth
    unfold = Unfold(
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
    weights = _streamed(does).weight.reshape(-1, 1, tall * wide * depth)
    step = replace(
        step,
        shape=(unfold.windows_y, unfold.windows_x, weights.shape[2]),
        lowered=replace(
            does, weights=replace(does.weights, weight=weights), kernel=(1, 1), stride=1, padding=(0, 0, 0, 0)
        ),
    )
    return step, unfold


def _stacked(step: Step, rng: np.random.Generator) -> Iterator[tuple[Step, Unfold]]:
    """`deep` rows of the ifmap as one row of pixels with `deep` times the channels, so that several kernel rows make one run.

    If `deep` does not divide the kernel's height, some kernel rows are read twice; their weight is then split at random in
    two, since a byte that an attacker can predict (a zero) gives its key byte away.
    """
    does, depth = step.lowered, step.shape[2]
    tall, wide = does.kernel
    top, left, bottom, right = does.padding
    height, width = step.shape[0] + top + bottom, step.shape[1] + left + right
    for deep in range(2, tall + 1):
        rows = -(-tall // deep)  # of the new kernel
        shift, rest = divmod(tall - deep, rows - 1) if rows > 1 else (0, 0)  # ifmap rows from one to the next
        if rest:
            continue
        pitch = gcd(does.stride, shift)  # ifmap rows from one row of the new ifmap to the next
        unfold = Unfold(
            run_bytes=depth,
            runs=deep,
            run_pitch=width * depth,
            x_pitch=depth,
            y_pitch=pitch * width * depth,
            windows_x=width,
            windows_y=(height - deep) // pitch + 1,
            ifmap_bytes=height * width * depth,
            padding=does.padding,
            pad_value=does.pad_value,
        )
        weights = _streamed(does)
        old = weights.weight.reshape(-1, tall, wide, depth)
        new = np.zeros((len(old), rows, wide, deep, depth), np.int8)
        for row in range(rows):
            new[:, row] = old[:, row * shift : row * shift + deep].swapaxes(1, 2)
        for row in range(1, rows):
            twice = deep - shift
            shared = new[:, row, :, :twice]
            part = rng.integers(np.minimum(shared, 0), np.maximum(shared, 0), endpoint=True, dtype=np.int8)
            new[:, row - 1, :, shift:] -= part
            new[:, row, :, :twice] = part
        new = new.reshape(len(old), rows * wide, deep * depth)
        lowered = replace(
            does,
            weights=replace(weights, weight=new),
            kernel=(rows, wide),
            padding=(0, 0, 0, 0),
        )
        shape = (unfold.windows_y, width, deep * depth)
        yield replace(step, shape=shape, lowered=lowered, row_step=shift // pitch, pitch=pitch), unfold


def _streamed(does: Lowered) -> Streamed:
    assert isinstance(does.weights, Streamed)
    return does.weights
