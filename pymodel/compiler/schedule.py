"""The steps that the hardware runs for a network, with fused tables and pooling."""

from dataclasses import dataclass, replace

import numpy as np

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.convolution import MOST_STRIDE
from deeplock.pymodel.network.layer import Layer
from deeplock.pymodel.network.lowering import Lowered, Streamed
from deeplock.pymodel.network.network import Network, needed_pixels, output_shapes
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Descriptor
from deeplock.pymodel.spec.tensor import Shape

__all__ = ["Step", "plan_steps", "runs_of", "share", "words_of"]

_SLIDING = (1, 2)
_LONGEST_RUN = Descriptor.layout.fields["cblocks"].range[1]  # words
_LONGEST_ROW = Descriptor.layout.fields["row_bytes"].range[1]
_MOST_GROUPS = Descriptor.layout.fields["groups"].range[1]


@dataclass(frozen=True, eq=False)
class Step:
    """One layer as the hardware runs it, with the table and the pooling that are fused into it.

    name, kind      names of the layer and of its operator
    inputs, output  names of the tensors that it reads, and of the one that it writes
    shape, out      (height, width, channels) of each tensor that it reads, and of the one that it writes
    row_step        input rows from one kernel row to the next
    pitch           rows of the network's tensor from one input row to the next
    sliding         stride of pooling windows of a row that are one pixel wider; 0: others
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
    sliding: int = 0
    narrow: bool = False


def _readers(network: Network) -> dict[str, list[str]]:
    """Names of the layers that read each tensor."""
    readers: dict[str, list[str]] = {name: [] for name in output_shapes(network)}
    for layer in network.layers:
        for name in layer.sources:
            readers[name].append(layer.name)
    return readers


def plan_steps(network: Network, config: Config) -> list[Step]:
    """The steps in order. Of each tensor only what the output depends on is computed, without what lies right of it or below.

    A table behind a layer that nothing else reads is fused into it, unless that is a maximum or a table.

    A pooling behind a layer with weights that nothing else reads is fused into it, if a row of it fits the accumulators:
    whole if its windows do not overlap; if they share one column, in its rows, and its columns are a step of their own.
    """
    if not network.layers:
        raise DeeplockError(f"network {network.name} has no layers")
    if not any(layer.weight_bytes for layer in network.layers):
        raise DeeplockError(f"network {network.name} has no parameters: there is nothing to lock")
    shapes, readers = _needed_shapes(network), _readers(network)
    for name in [layer.name for layer in network.layers[:-1]]:
        if not readers[name]:
            raise DeeplockError(f"layer {name}: nothing reads it, and it is not the last")
    lowered = {layer.name: layer.lower() for layer in network.layers}
    pools = {layer.source: layer for layer in network.layers if lowered[layer.name].only_pools}
    tables = {layer.source: layer for layer in network.layers if lowered[layer.name].only_maps}
    steps: list[Step] = []
    fused: set[str] = set()
    for layer in network.layers:
        name, does = layer.name, lowered[layer.name]
        if name in fused:
            continue
        step = Step(name, layer.kind, layer.sources, name, shapes[layer.source], shapes[name], does)
        table = tables.get(name)
        last = does.window == (1, 1) and not does.table  # what it requantises is its result
        if table is not None and readers[name] == [table.name] and last:
            does = replace(does, table=lowered[table.name].table)
            step = replace(step, output=table.name, out=shapes[table.name], lowered=does)
            fused.add(table.name)
        parts = [_flat(step, config) if len(step.inputs) > 1 or does.only_maps else step]
        pool = pools.get(step.output)
        if pool is not None and readers[step.output] == [pool.name] and isinstance(does.weights, Streamed):
            parts = _fused(step, pool, lowered[pool.name], shapes[pool.name], config)
        fused.add(parts[-1].output)
        steps += parts
    return steps


def _needed_shapes(network: Network) -> dict[str, Shape]:
    """Shapes of all tensors without rows and columns at their ends that the output does not depend on.

    The two tensors of an addition keep their shapes, which must be alike.
    """
    shapes = output_shapes(network)
    whole = {"input"} | {name for layer in network.layers if len(layer.sources) > 1 for name in layer.sources}
    for name, needed in needed_pixels(network).items():
        if name not in whole and needed.any():
            height, width = (int(np.flatnonzero(needed.any(axis=axis))[-1]) + 1 for axis in (1, 0))
            shapes[name] = (height, width, shapes[name][2])
    return shapes


def _fused(step: Step, pool: Layer, does: Lowered, out: Shape, config: Config) -> list[Step]:
    """A layer with the pooling behind it, or alone if that cannot be fused."""
    (tall, wide), (down, right) = does.window, does.window_stride
    if down >= tall and right >= wide and out[1] * tall * wide <= config.accumulators:
        lowered = replace(step.lowered, window=does.window, window_stride=does.window_stride)
        return [replace(step, output=pool.name, out=out, lowered=lowered)]
    height, _, channels = step.out
    flat = out[1] * channels
    room = out[1] * right + 1 <= config.accumulators and flat <= _MOST_GROUPS * config.cols
    if not (right == wide - 1 and right in _SLIDING and room and config.dense and config.diagonal):
        return [step]
    between = f"{step.name} pooled in rows"
    rows = replace(step, output=between, out=(height, out[1], channels), sliding=right)
    # elementwise in columns, so a row is one pixel of `flat` channels
    columns = Step(
        name=pool.name,
        kind=pool.kind,
        inputs=(between,),
        output=pool.name,
        shape=(height, 1, flat),
        out=(out[0], 1, flat),
        lowered=Lowered(window=(tall, 1), window_stride=(down, 1)),
    )
    return [rows, columns]


def _flat(step: Step, config: Config) -> Step:
    """An addition or a table with pixels of as many channels as the array has columns, so that it wastes none."""
    height, width, channels = step.shape
    pixels, rest = divmod(width * channels, config.cols)
    whole = step.out[1] == width  # else the output's rows are shorter
    if not config.dense or not whole or rest or pixels > config.accumulators:
        return step
    return replace(step, shape=(height, pixels, config.cols), out=(step.out[0], pixels, config.cols))


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
        below = replace(step.lowered, stride=(height, 1))
        stacked.append(replace(step, shape=(batch * height, width, depth), out=(batch, 1, channels), lowered=below))
    return steps[:first], stacked


def _is_dense(step: Step) -> bool:
    """Whether it is a convolution whose kernel is its whole input."""
    does = step.lowered
    pools = does.window != (1, 1) or does.window_stride != (1, 1)
    conv = does.mixes and not any(does.padding) and not pools
    return conv and does.kernel == step.shape[:2] and step.shape[0] <= MOST_STRIDE


def runs_of(step: Step, config: Config) -> tuple[int, int, int]:
    """How the feeder reads a window: rows and columns of runs, and the bytes of a run, which lie side by side in memory."""
    does, (_, width, channels) = step.lowered, step.shape
    tall, wide = does.kernel
    if not does.mixes:
        return tall, wide, config.cols
    if not config.dense:
        return tall, wide, channels
    window, longest = tall * wide * channels, min(_LONGEST_RUN * config.rows, _LONGEST_ROW)
    whole = wide == width and step.row_step == 1 and not any(does.padding)  # its rows lie side by side, too
    if whole and window <= longest:
        return 1, 1, window
    return tall, 1, wide * channels


def words_of(step: Step, config: Config) -> int:
    """Activation words that a window takes."""
    tall, wide, size = runs_of(step, config)
    return tall * wide * -(-size // config.rows)
