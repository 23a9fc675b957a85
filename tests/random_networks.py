"""Random quantised networks and ifmaps for hypothesis and for NumPy generators."""

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from pymodel.network import Conv, MaxPool, Network, Quantisation, output_shapes

__all__ = ["UNUSED", "cases", "chains", "convs", "network_of"]

UNUSED = Quantisation(1.0, 0)


def network_of(shape: tuple[int, int, int], *layers: Conv | MaxPool) -> Network:
    return Network("test", shape, UNUSED, UNUSED, layers)


@st.composite
def convs(
    draw: st.DrawFn,
    name: str,
    source: str,
    channels: int,
    kernel: tuple[int, int],
    garbage: bool,
    most_channels: int = 5,
) -> Conv:
    """With `garbage` what a wrong key makes; else multiplier and shift that spread the ofmap over int8."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    out = draw(st.integers(1, most_channels))
    lo, hi = sorted(draw(st.tuples(*[st.integers(-128, 127)] * 2)))
    shift = rng.integers(1, 65, out) if garbage else rng.integers(20, 26, out)
    bias = rng.integers(-(2**31), 2**31, out) if garbage else rng.integers(-(2**14), 2**14, out)
    return Conv(
        name=name,
        source=source,
        weight=rng.integers(-128, 128, (out, *kernel, channels), np.int8),
        bias=bias.astype(np.int32),
        multiplier=rng.integers(2**15, 2**16, out).astype(np.int32),
        shift=shift.astype(np.int32),
        stride=draw(st.integers(1, 2)),
        padding=draw(st.tuples(*[st.integers(0, 2)] * 4)),
        input_zero_point=draw(st.integers(-128, 127)),
        zero_point=draw(st.integers(-128, 127)),
        lo=lo,
        hi=hi,
        accumulator_bits=draw(st.sampled_from([24, 32])),
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[Network, np.ndarray]:
    """A network of 1..4 layers, each on any earlier one, and 1..2 ifmaps."""
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 3)))
    garbage = draw(st.booleans())
    network = network_of(shape)
    for index in range(draw(st.integers(1, 4))):
        shapes = output_shapes(network)
        source = draw(st.sampled_from(list(shapes)))
        height, width, channels = shapes[source]
        if draw(st.integers(0, 2)) == 0:
            layer = MaxPool(f"l{index}", source, draw(st.integers(1, min(height, width, 3))), draw(st.integers(1, 2)))
        else:
            kernel = draw(st.tuples(st.integers(1, height), st.integers(1, width)))
            layer = draw(convs(f"l{index}", source, channels, kernel, garbage))
        network = replace(network, layers=(*network.layers, layer))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return network, rng.integers(-128, 128, (draw(st.integers(1, 2)), *shape), np.int8)


@st.composite
def chains(draw: st.DrawFn, most_channels: int = 20, most_pixels: int = 9) -> tuple[Network, np.ndarray]:
    """A network of 1..5 layers in a chain, at least one with weights, and 2 ifmaps: what the compiler takes.

    Sizes mostly do not divide by rows or columns; pools of 1..3 with strides 1..3 may overlap; the last layer may be dense.
    """
    side = st.integers(1, most_pixels)
    shape = draw(st.tuples(side, side, st.integers(1, most_channels)))
    network = network_of(shape)
    source, weighted = "input", False
    for index in range(draw(st.integers(1, 5))):
        height, width, channels = output_shapes(network)[source]
        kind = draw(st.sampled_from(["conv", "conv", "dense", "pool"]))
        name = f"l{index}"
        if kind == "pool":
            size = draw(st.integers(1, min(height, width, 3)))
            layer = MaxPool(name, source, size, draw(st.integers(1, 3)))
        else:
            tall, wide = (
                (height, width) if kind == "dense" else (draw(st.integers(1, min(height, 5))) for _ in range(2))
            )
            layer = draw(convs(name, source, channels, (tall, min(wide, width)), False, most_channels))
            if kind == "dense":
                layer = replace(layer, stride=1, padding=(0, 0, 0, 0))
            weighted = True
        network = replace(network, layers=(*network.layers, layer))
        source = name
    if not weighted:
        height, width, channels = output_shapes(network)[source]
        network = replace(
            network, layers=(*network.layers, draw(convs("end", source, channels, (1, 1), False, most_channels)))
        )
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return network, rng.integers(-128, 128, (2, *shape), np.int8)
