"""Random quantised networks and ifmaps for hypothesis and for NumPy generators."""

from dataclasses import fields, replace

import numpy as np
from hypothesis import strategies as st

from deeplock.pymodel.network.layer import Layer
from deeplock.pymodel.network.network import Network, output_shapes
from deeplock.pymodel.network.operators.add import Add
from deeplock.pymodel.network.operators.average_pool import AveragePool
from deeplock.pymodel.network.operators.concat import Concat
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.network.operators.cut import Cut
from deeplock.pymodel.network.operators.depth_to_space import DepthToSpace
from deeplock.pymodel.network.operators.depthwise import Depthwise
from deeplock.pymodel.network.operators.grouped import Grouped
from deeplock.pymodel.network.operators.max_pool import MaxPool
from deeplock.pymodel.network.operators.multiply import Multiply
from deeplock.pymodel.network.operators.outputs import ending
from deeplock.pymodel.network.operators.table import Table
from deeplock.pymodel.network.operators.transposed import Transposed
from deeplock.pymodel.network.operators.upsample import Upsample
from deeplock.pymodel.spec.tensor import Output, Quantisation, Shape

__all__ = [
    "UNUSED",
    "adds",
    "average_pools",
    "moves",
    "cases",
    "chains",
    "convs",
    "depthwises",
    "first_layers",
    "groupeds",
    "max_pools",
    "multiplies",
    "network_of",
    "tables",
    "transposeds",
    "upsamples",
]

UNUSED = Quantisation(1.0, 0)


def network_of(shape: tuple[int, int, int], *layers: Layer) -> Network:
    return Network("test", shape, UNUSED, UNUSED, layers)


def strides(draw: st.DrawFn, most: int = 3) -> tuple[int, int]:
    """Mostly equal ones."""
    down = draw(st.integers(1, most))
    return down, draw(st.sampled_from([down, down, 1, 2]))


@st.composite
def convs(
    draw: st.DrawFn,
    name: str,
    source: str,
    channels: int,
    kernel: tuple[int, int],
    garbage: bool,
    most_channels: int = 5,
    out: int | None = None,
) -> Conv:
    """With `garbage` what a wrong key makes; else multiplier and shift that spread the ofmap over int8. Some kernels of several
    rows and columns are spread, and padded at least as much as that makes them larger."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    out = out or draw(st.integers(1, most_channels))
    lo, hi = sorted(draw(st.tuples(*[st.integers(-128, 127)] * 2)))
    shift = rng.integers(1, 65, out) if garbage else rng.integers(20, 26, out)
    bias = rng.integers(-(2**31), 2**31, out) if garbage else rng.integers(-(2**14), 2**14, out)
    dilation, least = (1, 1), (0, 0)
    if max(kernel) > 1 and draw(st.integers(0, 3)) == 0:
        dilation = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
        least = tuple((step - 1) * (size - 1) for step, size in zip(dilation, kernel, strict=True))
    around = draw(st.tuples(*[st.integers(0, 2)] * 4))
    return Conv(
        name=name,
        source=source,
        weight=rng.integers(-128, 128, (out, *kernel, channels), np.int8),
        bias=bias.astype(np.int32),
        multiplier=rng.integers(2**15, 2**16, out).astype(np.int32),
        shift=shift.astype(np.int32),
        stride=strides(draw),
        padding=(around[0], around[1], around[2] + least[0], around[3] + least[1]),
        dilation=dilation,
        input_zero_point=draw(st.integers(-128, 127)),
        zero_point=draw(st.integers(-128, 127)),
        lo=lo,
        hi=hi,
        accumulator_bits=draw(st.sampled_from([24, 32])),
    )


@st.composite
def depthwises(
    draw: st.DrawFn, name: str, source: str, channels: int, kernel: tuple[int, int], garbage: bool
) -> Depthwise:
    """As `convs`."""
    conv = draw(convs(name, source, 1, kernel, garbage, out=channels))
    return Depthwise(**{field.name: getattr(conv, field.name) for field in fields(conv)})


@st.composite
def groupeds(draw: st.DrawFn, name: str, source: str, channels: int, kernel: tuple[int, int], garbage: bool) -> Grouped:
    """As `convs`; each group makes up to 3 channels."""
    groups = draw(st.sampled_from([count for count in range(1, channels + 1) if channels % count == 0]))
    conv = draw(convs(name, source, channels // groups, kernel, garbage, out=groups * draw(st.integers(1, 3))))
    return Grouped(**{field.name: getattr(conv, field.name) for field in fields(conv)}, groups=groups)


@st.composite
def moves(draw: st.DrawFn, name: str, source: str, shapes: dict[str, Shape]) -> Concat | Cut:
    """What only moves bytes: channels of any tensors of one height and width side by side, or some channels of a tensor."""
    alike = [other for other, shape in shapes.items() if shape[:2] == shapes[source][:2]]
    if draw(st.booleans()):
        others = tuple(draw(st.lists(st.sampled_from(alike), max_size=3)))
        zero_point = draw(st.integers(-127, 127))
        scale = st.tuples(st.integers(-128, 127), st.integers(2**15, 2**16 - 1), st.integers(14, 17))
        scales = [draw(st.just((-zero_point, 2**15, 15)) | scale) for _ in (source, *others)]
        lo, hi = draw(st.sampled_from([(-128, 127), (zero_point, 127)]))
        bias, multiplier, shift = zip(*scales, strict=True)
        return Concat(name, source, others, bias, multiplier, shift, zero_point, lo, hi)
    first = draw(st.integers(0, shapes[source][2] - 1))
    return Cut(name, source, first, draw(st.integers(1, shapes[source][2] - first)))


@st.composite
def transposeds(
    draw: st.DrawFn, name: str, source: str, shape: Shape, garbage: bool, most_channels: int = 5
) -> Transposed:
    """As `convs`; strides 1..3, kernels as large or larger, outputs cut and extended as much as they may be."""
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    more = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    kernel = stride[0] + more[0], stride[1] + more[1]
    conv = draw(convs(name, source, shape[2], kernel, garbage, most_channels))
    top, left = (draw(st.integers(0, each)) for each in more)
    bottom, right = (
        draw(st.integers(1 - step, min(each, size * step + each - before - 1)))  # leaves a pixel
        for step, each, size, before in zip(stride, more, shape, (top, left), strict=False)
    )
    names = ("weight", "bias", "multiplier", "shift", "input_zero_point", "zero_point", "lo", "hi")
    fields = {each: getattr(conv, each) for each in names}
    return Transposed(name, source, **fields, stride=stride, padding=(top, left, bottom, right))


@st.composite
def upsamples(draw: st.DrawFn, name: str, network: Network, source: str) -> Upsample | DepthToSpace:
    """Factors 1..3; or blocks of channels where these allow, in any order behind a convolution."""
    if output_shapes(network)[source][2] % 4 == 0 and draw(st.booleans()):
        orders = 1 + any(isinstance(layer, Conv) and layer.name == source for layer in network.layers)
        return DepthToSpace(name, source, 2, draw(st.integers(0, orders - 1)))
    return Upsample(name, source, draw(st.tuples(st.integers(1, 3), st.integers(1, 3))))


def _scales(draw: st.DrawFn, gain: int) -> dict[str, int]:
    """What an average pool or an addition requantises with; sums that reach 128 * `gain` spread over int8."""
    lo, hi = sorted(draw(st.tuples(*[st.integers(-128, 127)] * 2)))
    return {
        "bias": draw(st.integers(-128 * gain, 128 * gain)),
        "multiplier": draw(st.integers(2**15, 2**16 - 1)),
        "shift": 15 + gain.bit_length() - draw(st.integers(0, 2)),
        "zero_point": draw(st.integers(-128, 127)),
        "lo": lo,
        "hi": hi,
    }


@st.composite
def average_pools(draw: st.DrawFn, name: str, source: str, shape: Shape) -> AveragePool:
    """Windows of any shape, the whole input among them; strides 1..3 may overlap."""
    whole = draw(st.booleans())
    tall, wide = shape[:2] if whole else (draw(st.integers(1, min(size, 4))) for size in shape[:2])
    around = draw(st.tuples(*[st.integers(0, 1)] * 4))
    pads = {"padding": around, "input_zero_point": draw(st.integers(-128, 127))}
    return AveragePool(name, source, (tall, wide), strides(draw), **_scales(draw, tall * wide), **pads)


@st.composite
def max_pools(draw: st.DrawFn, name: str, source: str, shape: Shape) -> MaxPool:
    """Mostly square windows without padding, as those that are fused into convolutions; strides 1..3 may overlap."""
    tall = draw(st.integers(1, min(shape[0], 3)))
    wide = min(tall, shape[1]) if draw(st.booleans()) else draw(st.integers(1, min(shape[1], 3)))
    padding = (0, 0, 0, 0)
    if draw(st.booleans()):
        padding = draw(st.tuples(*(st.integers(0, size - 1) for size in (tall, wide) * 2)))
    return MaxPool(name, source, (tall, wide), strides(draw), padding)


@st.composite
def adds(draw: st.DrawFn, name: str, source: str, others: list[str]) -> Add:
    weights = draw(st.tuples(*[st.integers(1, 127)] * 2))
    return Add(name, source, draw(st.sampled_from(others)), weights, **_scales(draw, sum(weights)))


@st.composite
def multiplies(draw: st.DrawFn, name: str, source: str, shapes: dict[str, Shape]) -> Multiply:
    """By any tensor of the same shape or of one pixel; zero points and multiplier that spread the product over int8."""
    height, width, channels = shapes[source]
    others = [other for other, shape in shapes.items() if shape in ((height, width, channels), (1, 1, channels))]
    scales = _scales(draw, 1 << draw(st.integers(5, 8)))
    del scales["bias"]
    zeros = draw(st.tuples(*[st.integers(-128, 127)] * 2))
    return Multiply(name, source, draw(st.sampled_from(others)), zeros, **scales)


@st.composite
def tables(draw: st.DrawFn, name: str, source: str) -> Table:
    """Any function, which is mostly not monotonic."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return Table(name, source, rng.integers(-128, 128, 256, np.int8))


@st.composite
def cases(draw: st.DrawFn, with_tables: bool = False, with_products: bool = False) -> tuple[Network, np.ndarray]:
    """A network of 1..4 layers, each on any earlier one, and 1..2 ifmaps."""
    kinds = [
        "conv",
        "conv",
        "depthwise",
        "grouped",
        "max_pool",
        "average_pool",
        "add",
        "move",
        "transposed",
        "upsample",
        *["table"] * with_tables,
        *["multiply"] * with_products,
    ]
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 3)))
    garbage = draw(st.booleans())
    network = network_of(shape)
    for index in range(draw(st.integers(1, 4))):
        shapes = output_shapes(network)
        source = draw(st.sampled_from(list(shapes)))
        height, width, channels = shapes[source]
        match draw(st.sampled_from(kinds)):
            case "table":
                layer = draw(tables(f"l{index}", source))
            case "multiply":
                layer = draw(multiplies(f"l{index}", source, shapes))
            case "max_pool":
                layer = draw(max_pools(f"l{index}", source, shapes[source]))
            case "average_pool":
                layer = draw(average_pools(f"l{index}", source, shapes[source]))
            case "add":
                alike = [name for name, shape in shapes.items() if shape == shapes[source]]
                layer = draw(adds(f"l{index}", source, alike))
            case "move":
                layer = draw(moves(f"l{index}", source, shapes))
            case "transposed" if max(height, width) <= 6:
                layer = draw(transposeds(f"l{index}", source, shapes[source], garbage))
            case "upsample" if max(height, width) <= 6:
                layer = draw(upsamples(f"l{index}", network, source))
            case "depthwise" | "grouped" as kind:
                kernel = draw(st.tuples(st.integers(1, height), st.integers(1, width)))
                build = depthwises if kind == "depthwise" else groupeds
                layer = draw(build(f"l{index}", source, channels, kernel, garbage))
            case _:
                kernel = draw(st.tuples(st.integers(1, height), st.integers(1, width)))
                layer = draw(convs(f"l{index}", source, channels, kernel, garbage))
        network = replace(network, layers=(*network.layers, layer))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return network, rng.integers(-128, 128, (draw(st.integers(1, 2)), *shape), np.int8)


@st.composite
def several(draw: st.DrawFn, network: Network) -> Network:
    """The network with 2..4 outputs, its last layer's among them, in any order."""
    shapes, last = output_shapes(network), network.layers[-1].name
    others = draw(st.lists(st.sampled_from([layer.name for layer in network.layers]), min_size=1, max_size=3))
    names = draw(st.permutations([last, *others]))
    layers, outputs = ending(network.layers, [Output(name, shapes[name], UNUSED) for name in names])
    return replace(network, layers=layers, outputs=outputs)


@st.composite
def chains(
    draw: st.DrawFn,
    most_channels: int = 20,
    most_pixels: int = 9,
    with_tables: bool = False,
    with_products: bool = False,
    with_outputs: bool = False,
) -> tuple[Network, np.ndarray]:
    """A network that the compiler takes, and 2 ifmaps: 1..6 layers, each on the one before it, some with weights.

    An addition's other input is any tensor of the same shape: earlier ones live long, and one may be added to itself. So is a
    product's, if it is not the mean of its first one, after a convolution.
    Sizes mostly do not divide by rows or columns; pools with strides 1..3 may overlap; the last layer may be dense.
    """
    side = st.integers(1, most_pixels)
    shape = draw(st.tuples(side, side, st.integers(1, most_channels)))
    network = network_of(shape)
    source = "input"
    kinds = ["conv", "conv", "depthwise", "grouped", "residual", "dense", "max_pool", "average_pool", "add", "move"]
    kinds += ["transposed", "upsample", *["table"] * 3 * with_tables]
    kinds += ["multiply", "squeeze", "squeeze"] * with_products
    for index in range(draw(st.integers(1, 6))):
        shapes = output_shapes(network)
        height, width, channels = shapes[source]
        name = f"l{index}"
        match kind := draw(st.sampled_from(kinds)):
            case "table":
                layer = draw(tables(name, source))
            case "multiply":
                layer = draw(multiplies(name, source, shapes))
            case "squeeze":  # squeeze-and-excitation, with one convolution
                mean = replace(draw(average_pools(f"{name}_mean", source, shapes[source])), kernel=(height, width))
                mean = replace(mean, padding=(0, 0, 0, 0))
                conv = draw(convs(f"{name}_conv", mean.name, channels, (1, 1), False, out=channels))
                conv = replace(conv, stride=(1, 1), padding=(0, 0, 0, 0))
                network = replace(network, layers=(*network.layers, mean, conv))
                layer = draw(multiplies(name, source, {source: shapes[source]}))
                layer = replace(layer, other=conv.name)
            case "max_pool":
                layer = draw(max_pools(name, source, shapes[source]))
            case "average_pool":
                layer = draw(average_pools(name, source, shapes[source]))
            case "add":
                layer = draw(adds(name, source, [other for other, shape in shapes.items() if shape == shapes[source]]))
            case "dense":
                layer = draw(convs(name, source, channels, (height, width), False, most_channels))
                layer = replace(layer, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1))
            case "move":
                few = {other: shape for other, shape in shapes.items() if other == source or shape[2] <= most_channels}
                layer = draw(moves(name, source, few))
            case "transposed" if max(height, width) <= most_pixels:
                layer = draw(transposeds(name, source, shapes[source], False, most_channels))
            case "upsample" if max(height, width) <= most_pixels:
                layer = draw(upsamples(name, network, source))
            case "depthwise" | "grouped":
                tall, wide = draw(st.integers(1, min(height, 5))), draw(st.integers(1, min(width, 5)))
                build = depthwises if kind == "depthwise" else groupeds
                layer = draw(build(name, source, channels, (tall, wide), False))
            case "residual":  # a convolution that keeps the shape, then the sum of what comes in and out
                layer = draw(convs(name, source, channels, (3, 3), False, most_channels, out=channels))
                layer = replace(layer, stride=(1, 1), padding=(1, 1, 1, 1), dilation=(1, 1))
                network = replace(network, layers=(*network.layers, layer))
                layer = draw(adds(f"{name}_sum", name, [source]))
            case _:
                tall, wide = draw(st.integers(1, min(height, 5))), draw(st.integers(1, min(width, 5)))
                layer = draw(convs(name, source, channels, (tall, wide), False, most_channels))
        network = replace(network, layers=(*network.layers, layer))
        source = layer.name
    if not any(isinstance(layer, Conv) for layer in network.layers) or draw(st.integers(0, 3)) == 0:
        channels = output_shapes(network)[source][2]
        end = draw(convs("end", source, channels, (1, 1), False, most_channels))
        network = replace(network, layers=(*network.layers, end))
    if with_outputs and draw(st.integers(0, 3)) == 0:
        network = draw(several(network))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return network, rng.integers(-128, 128, (2, *shape), np.int8)


@st.composite
def first_layers(draw: st.DrawFn) -> tuple[Network, np.ndarray]:
    """One convolution of few channels with a kernel of up to 7 rows, whose ifmap may be rearranged, and 2 ifmaps."""
    kernel, depth = (draw(st.integers(1, 7)), draw(st.integers(1, 6))), draw(st.integers(1, 4))
    shape = (*(size + draw(st.integers(0, 6)) for size in kernel), depth)
    layer = replace(draw(convs("first", "input", depth, kernel, False)), stride=strides(draw, 4), dilation=(1, 1))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return network_of(shape, layer), rng.integers(-128, 128, (2, *shape), np.int8)
