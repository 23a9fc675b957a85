"""The steps that the hardware runs for a network, with fused tables and pooling."""

from dataclasses import replace

import numpy as np

from deeplock.pymodel.compiler.step import Step, View, strips_of
from deeplock.pymodel.compiler.views import Views, copy_of, in_memory
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.convolution import MOST_STRIDE
from deeplock.pymodel.network.layer import Layer
from deeplock.pymodel.network.lowering import Gathered, Lowered, Product, Streamed
from deeplock.pymodel.network.network import Network, needed_pixels, output_shapes
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Descriptor
from deeplock.pymodel.spec.tensor import Shape

__all__ = ["plan_steps", "share", "staged"]

_SLIDING = (1, 2)
_MANY_STRIPS = 4
"""So many times the strips are not worth the column groups that they save."""
_MOST_GROUPS = Descriptor.layout.fields["groups"].range[1]


def _readers(network: Network) -> dict[str, list[str]]:
    """Names of the layers that read each tensor."""
    readers: dict[str, list[str]] = {name: [] for name in output_shapes(network)}
    for layer in network.layers:
        for name in layer.sources:
            readers[name].append(layer.name)
    return readers


def plan_steps(network: Network, config: Config) -> list[Step]:
    """The steps in order. Of each tensor only what the output depends on is computed, without what lies right of it or below.

    A table behind a layer that nothing else reads is fused into it, unless that is a maximum, a table or a product.

    A pooling behind a layer with weights that nothing else reads is fused into it, if a row of it fits the accumulators:
    whole if its windows do not overlap; if they share one column, in its rows, and its columns are a step of their own.
    """
    if not network.layers:
        raise DeeplockError(f"network {network.name} has no layers")
    if not any(layer.weight_bytes for layer in network.layers):
        raise DeeplockError(f"network {network.name} has no parameters: there is nothing to lock")
    network = staged(network)
    readers = _readers(network)
    for name in [layer.name for layer in network.layers[:-1]]:
        if not readers[name]:
            raise DeeplockError(f"layer {name}: nothing reads it, and it is not the last")
    lowered = {layer.name: layer.lower() for layer in network.layers}
    shapes = _needed_shapes(network, [name for name, does in lowered.items() if not isinstance(does, Lowered)])
    views = Views(network, lowered, shapes, config)
    computed = {name: does for name, does in lowered.items() if isinstance(does, Lowered)}
    pools = {
        layer.source: layer for layer in network.layers if layer.name in computed and computed[layer.name].only_pools
    }
    tables = {
        layer.source: layer for layer in network.layers if layer.name in computed and computed[layer.name].only_maps
    }
    steps: list[Step] = []
    fused: set[str] = set()
    for layer in network.layers:
        name = layer.name
        steps += views.copies.get(name, ())
        if name in fused or name not in computed:
            continue
        does, table = computed[name], tables.get(name)
        spread = _spread(layer, shapes, views, config)
        steps += spread
        others = [copy.output for copy in spread] or layer.sources[1:]
        sources = layer.source, *others
        step = Step(name, layer.kind, sources, name, shapes[layer.source], shapes[name], does)
        own = does.table or isinstance(does.weights, Product)  # its opcode is its own
        requantised = does.window == (1, 1) and not own  # and neither pooled nor looked up
        if table is not None and readers[name] == [table.name] and requantised:
            does = replace(does, table=computed[table.name].table)
            step = replace(step, output=table.name, out=shapes[table.name], lowered=does)
            fused.add(table.name)
        elementwise = len(step.inputs) > 1 or does.only_maps
        parts = [_flat(step, config) if elementwise and views.whole(*step.inputs, step.output) else step]
        pool = pools.get(step.output)
        if pool is not None and readers[step.output] == [pool.name] and isinstance(does.weights, Streamed):
            parts = _fused(step, pool, computed[pool.name], shapes[pool.name], config, views.whole(pool.name))
        fused.add(parts[-1].output)
        steps += parts
    last = network.layers[-1]
    ends = last.sources if isinstance(lowered[last.name], Gathered) else (last.name,)
    return in_memory(_leaving(steps, ends, shapes, views, config), views, config)


def _leaving(
    steps: list[Step], ends: tuple[str, ...], shapes: dict[str, Shape], views: Views, config: Config
) -> list[Step]:
    """The steps, and behind them those that copy the network's outputs to the stream. The last output needs none if the last
    step makes it, whole, and it is needed once."""
    copies = [copy_of(name, shapes[name], f"{name} out", Lowered()) for name in ends]
    copies = [_flat(copy, config) if views.whole(copy.inputs[0]) else copy for copy in copies]
    last = steps[-1]
    one = last.lowered.groups == 1 and last.out[2] <= _MOST_GROUPS * config.cols  # descriptor makes it
    written = views.of(last.output)[0]  # other outputs may be parts of it, or it of them
    if last.output == ends[-1] and one and all(views.of(name)[0] != written for name in ends[:-1]):
        return [*steps[:-1], *copies[:-1], last]
    return [*steps, *copies]


def staged(network: Network) -> Network:
    """The network as the hardware runs it: layers that it has, in the places of those that are made of them."""
    shapes, readers = output_shapes(network), _readers(network)
    found: dict[str, tuple[Layer, ...]] = {}
    for layer in network.layers:
        before = found.get(layer.source, ())
        alone = readers[layer.source] == [layer.name]
        together = layer.behind(before[0], shapes[before[0].source]) if len(before) == 1 and alone else None
        if together is not None:
            found[layer.source] = ()
        found[layer.name] = together or layer.stages(shapes[layer.source])
    return replace(network, layers=tuple(stage for stages in found.values() for stage in stages))


def _spread(layer: Layer, shapes: dict[str, Shape], views: Views, config: Config) -> list[Step]:
    """The step that copies the one pixel of a layer's second source to all pixels of its first; none if they are alike."""
    first, *second = layer.sources
    if not second or shapes[second[0]] == shapes[first]:
        return []
    (source,), (height, width, channels) = second, shapes[first]
    copy = copy_of(source, shapes[source], f"{source} for all pixels of {layer.name}", Lowered(stride=(0, 0)))
    copy = replace(copy, out=shapes[first])
    pixels, rest = divmod(channels, config.cols)
    if config.dense and views.whole(source) and not rest and 1 < pixels <= config.accumulators:
        # a row of pixels of as many channels as the array has columns: one group, whose tile stays
        shape, out = (1, pixels, config.cols), (height * width, pixels, config.cols)
        copy = replace(copy, shape=shape, out=out, lowered=Lowered(stride=(0, 1)))
    return [copy]


def _needed_shapes(network: Network, moving: list[str]) -> dict[str, Shape]:
    """Shapes of all tensors without rows and columns at their ends that the output does not depend on.

    The two tensors of an addition or product keep their shapes. So do those of layers that only move, or say where
    bytes are (`moving`).
    """
    shapes = output_shapes(network)
    alike = [layer for layer in network.layers if len(layer.sources) > 1 or layer.name in moving]
    whole = {"input", *moving} | {name for layer in alike for name in layer.sources}
    for name, needed in needed_pixels(network).items():
        if name not in whole and needed.any():
            height, width = (int(np.flatnonzero(needed.any(axis=axis))[-1]) + 1 for axis in (1, 0))
            shapes[name] = (height, width, shapes[name][2])
    return shapes


def _fused(step: Step, pool: Layer, does: Lowered, out: Shape, config: Config, whole: bool) -> list[Step]:
    """A layer with the pooling behind it, or alone if that cannot be fused.

    whole  the pooling's output has a tensor of its own in memory
    """
    (tall, wide), (down, right) = does.window, does.window_stride
    if down >= tall and right >= wide and out[1] * tall * wide <= config.accumulators:
        lowered = replace(step.lowered, window=does.window, window_stride=does.window_stride)
        return [replace(step, output=pool.name, out=out, lowered=lowered)]
    height, _, channels = step.out
    flat = out[1] * channels
    room = out[1] * right + 1 <= config.accumulators and flat <= _MOST_GROUPS * config.cols
    if not (whole and right == wide - 1 and right in _SLIDING and room and config.dense and config.diagonal):
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
    """A layer of single values with pixels of as many channels as the array has columns, so that it wastes none; as it is, if
    it wastes none anyway and so takes far fewer descriptors."""
    height, width, channels = step.shape
    pixels, rest = divmod(width * channels, config.cols)
    whole = step.out[1] == width  # else the output's rows are shorter
    if not config.dense or not whole or rest or pixels > config.accumulators:
        return step
    flat = replace(step, shape=(height, pixels, config.cols), out=(step.out[0], pixels, config.cols))
    fits = channels % config.cols == 0 and channels <= _MOST_GROUPS * config.cols and width <= config.accumulators
    if fits and len(strips_of(flat, config)) > _MANY_STRIPS * len(strips_of(step, config)):
        return step
    return flat


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
    whole = step.reads == step.writes == View()
    conv = whole and does.mixes and not any(does.padding) and not pools
    return conv and does.kernel == step.shape[:2] and step.shape[0] <= MOST_STRIDE
