"""Why layers of a loadable take more cycles than their array bounds (pymodel/spec/layers.py)."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import accumulate
from math import prod

from deeplock.pymodel.compiler.cycles import tiles
from deeplock.pymodel.spec.descriptor import Descriptor
from deeplock.pymodel.spec.header import Header
from deeplock.pymodel.spec.layers import LayerFacts
from deeplock.pymodel.spec.loadable import Loadable

__all__ = ["above_bounds", "least_cycles"]

_Strips = Sequence[tuple[Descriptor, LayerFacts]]
"""A layer: its descriptors and what is known of them."""


def above_bounds(loadable: Loadable) -> list[str]:
    """A line for each layer above its array bound: its `least_cycles`, bound and reasons. A batch's equal layers have one."""
    found = (_line(strips, loadable.header) for strips in _layers(loadable))
    return list(dict.fromkeys(filter(None, found)))


def _layers(loadable: Loadable) -> Iterator[_Strips]:
    ifmaps = accumulate(layer.wait_input for layer in loadable.program)  # each ifmap of a batch begins with a wait
    found: dict[tuple[int, str], list[tuple[Descriptor, LayerFacts]]] = {}  # bands of layers take turns
    for ifmap, layer, facts in zip(ifmaps, loadable.program, loadable.interface.layers, strict=True):
        found.setdefault((ifmap, facts.name), []).append((layer, facts))
    yield from found.values()


def _line(strips: _Strips, header: Header) -> str:
    """Empty if the layer is not above its bound."""
    layer, facts = strips[0]
    rows, cols, beat = header.rows, header.cols, header.bytes_per_beat
    words = sum(facts.words for _, facts in strips)
    cycles = sum(least_cycles(layer, header) for layer, _ in strips)
    reasons = []
    again, made = (sum(each) for each in zip(*((facts.again, facts.output[0]) for _, facts in strips), strict=True))
    if again:
        reasons.append(f"{again} of {made} rows are computed again: it runs in bands, because tensors do not fit whole")
    if layer.diagonal:
        bound = sum(facts.array_bound for _, facts in strips)
        if sum(facts.words * _new(facts) for _, facts in strips) > bound:
            reasons.append(f"its channels do not fill {cols} columns")
        if cycles > max(words, bound):
            reasons.append("some of its tiles take longer to load than to compute")
    else:
        taps, channels = prod(facts.kernel) * facts.input[2], facts.output[2]
        pixels = round(sum(layer.pixels * _new(facts) for layer, facts in strips))
        weights = facts.groups * -(-taps * channels // beat)
        bound = max(pixels * -(-taps // rows) * -(-channels // cols), weights)
        if sum(facts.words * _new(facts) for _, facts in strips) > bound:
            what = "kernel rows" if header.dense and layer.kernel_w == 1 else "pixels"
            reasons.append(f"its {what} do not fill words of {rows} bytes")
        if cycles > max(words, bound):
            which = "bands or strips" if again else "strips that fit the accumulators"
            reasons += _loading(layer, len(strips) // facts.groups, which, header)
    if cycles <= bound:
        return ""
    return f"{facts.name}: {cycles} cycles, {cycles / bound:.2f} x its array bound of {bound}: {'; '.join(reasons)}"


def _new(facts: LayerFacts) -> Fraction:
    """The share of a descriptor's rows that no earlier one computes."""
    return 1 - Fraction(facts.again, facts.output[0])


def _loading(layer: Descriptor, strips: int, which: str, header: Header) -> list[str]:
    """Why the array waits for weights. strips: of the layer, of the kind that `which` says"""
    reasons = []
    if strips > 1:
        reasons.append(f"its weights are sent again for each of {strips} {which}")
    heights = (height for group in range(layer.groups) for height in layer.tile_rows(group, header.rows))
    if sum(heights) * header.cols > sum(layer.block_rows(header.rows)) * layer.channels(header.cols):
        reasons.append(f"its channels do not fill {header.cols} columns")
    return reasons or ["some of its tiles take longer to load than to compute"]


def least_cycles(layer: Descriptor, header: Header) -> int:
    """Cycles of a layer whose feeder and stream never pause, without its entries.

    Of each tile the larger number of its words and of its beats of weights, because a tile computes while the next one loads.
    """
    return sum(max(tile) for group in range(layer.groups) for tile in tiles(layer, group, header))
