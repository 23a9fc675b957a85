"""Holds a network that was read from an int8 file against the engine that the file was made for, layer by layer.

Each layer is given the engine's own input tensors, so that differences do not add up. The engines round otherwise than the
arithmetic contract: to even, or twice. What is misread differs by more.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.frontends.draft import Imported
from deeplock.pymodel.network import golden
from deeplock.pymodel.network.layer import Layer
from deeplock.pymodel.network.operators.add import Add, ratio_errors
from deeplock.pymodel.spec.tensor import Shape

__all__ = ["EngineAgreement", "against_engine", "random_ifmaps"]

INPUTS = 32
"""Ifmaps that a network is compared on."""

MOST_DIFFER = 0.3
"""Largest share of a layer's bytes that another rounding may change: an eighth where pools of 2 x 2 tie, else far less."""

Tensors = Mapping[str, np.ndarray]
"""The engine's int8 tensors [height, width, channels] for one ifmap: the ifmap and every layer's output, by name."""


@dataclass(frozen=True)
class EngineAgreement:
    """How well a network agrees with its file's engine, on random ifmaps. Empty, but for the notes, without that engine.

    engine       its name and version
    inputs       number of ifmaps
    layer_share  share (0..1) of each layer's bytes that differ, by name, given the engine's own input tensors
    layer_lsb    by how much at most
    agreement    share (0..1) of ifmaps whose largest output is the same from end to end; the first, where several are equal.
                 Of a network with several outputs, those of which each has the same largest value
    notes        what the user should know, one line each
    """

    engine: str = ""
    inputs: int = 0
    layer_share: dict[str, float] = field(default_factory=dict)
    layer_lsb: dict[str, int] = field(default_factory=dict)
    agreement: float | None = None
    notes: tuple[str, ...] = ()


def random_ifmaps(shape: Shape, count: int, seed: int = 0) -> np.ndarray:
    """int8 [count, height, width, channels]: noise of all contrasts, from single pixels to patches of 8 x 8."""
    rng, (height, width, channels) = np.random.default_rng(seed), shape
    found = []
    for number in range(count):
        size = 1 << number % 4
        small = rng.uniform(-1, 1, (-(-height // size), -(-width // size), channels))
        patches = small.repeat(size, 0).repeat(size, 1)[:height, :width]
        middle, reach = rng.uniform(-96, 96), rng.uniform(16, 128)
        found.append(np.clip(np.rint(middle + reach * patches), -128, 127))
    return np.array(found, np.int8)


def _allowed(read: Imported, layer: Layer, tensors: Tensors) -> np.ndarray | int:
    """LSB by which each output of a layer that is read right may differ from the engine's.

    1 for another rounding; and what an addition's weights, of 7 bits, make of the ratio of its scales.
    """
    changed = np.float64(read.slack.get(layer.name, 0))
    if isinstance(layer, Add):
        first, second = (read.quantisations[name] for name in layer.sources)
        errors = ratio_errors(layer.weights, (first.scale, second.scale))
        steps = [tensors[name].astype(int) - read.quantisations[name].zero_point for name in layer.sources]
        sums = errors[0] * steps[0] + errors[1] * steps[1]
        changed = changed + np.abs(sums) / read.quantisations[layer.name].scale
    return 1 + np.floor(changed).astype(int)


def against_engine(
    read: Imported, engine: str, run: Callable[[np.ndarray], Tensors], count: int = INPUTS
) -> EngineAgreement:
    """Compare on `count` random ifmaps. `DeeplockError` names a layer that differs by more than rounding explains.

    run  gives the engine's tensors for an ifmap int8 [height, width, channels]
    """
    network = read.network
    differ, size = dict.fromkeys(read.tensors, 0), dict.fromkeys(read.tensors, 0)
    most, same = dict.fromkeys(read.tensors, 0), 0
    for ifmap in random_ifmaps(network.input_shape, count):
        tensors = run(ifmap)
        for layer in network.computed:
            found = layer.run(*(tensors[name][np.newaxis] for name in layer.sources))[0]
            lsb = np.abs(found.astype(int) - tensors[layer.name])
            allowed = np.broadcast_to(_allowed(read, layer, tensors), lsb.shape)
            if (lsb > allowed).any():
                worst = np.unravel_index((lsb - allowed).argmax(), lsb.shape)
                raise DeeplockError(
                    f"layer {layer.name} was misread: it differs from {engine} by {lsb[worst]} LSB, must be at most "
                    f"{allowed[worst]}"
                )
            differ[layer.name] += int(np.count_nonzero(lsb))
            size[layer.name] += lsb.size
            most[layer.name] = max(most[layer.name], int(lsb.max()))
        ofmaps = golden.run(network, tensors["input"][np.newaxis])
        same += all(ofmaps[name].argmax() == tensors[name].argmax() for name in network.ends)
    names = [layer.name for layer in network.computed]
    shares = {name: differ[name] / size[name] for name in names}
    for name in (name for name in names if shares[name] > MOST_DIFFER and name not in read.slack):
        raise DeeplockError(
            f"layer {name} was misread: {100 * shares[name]:.1f} % of its bytes differ from {engine}, must be at most "
            f"{100 * MOST_DIFFER:.0f} %"
        )
    return EngineAgreement(engine, count, shares, {name: most[name] for name in names}, same / count, read.notes)
