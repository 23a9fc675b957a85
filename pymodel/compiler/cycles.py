"""What cycles to expect of a program, without simulating it.

A tile takes a cycle for each of its words; a pass over two pixels takes three, in which their sums return. The last tile of a
group finishes accumulators, so its words also wait for the requantise lanes. A tile begins when the one before has ended and
its own weights are there; weights of the next tile arrive meanwhile, a beat a cycle. An ifmap is unfolded as soon as its
words are free.

It leaves out the few cycles in which a layer waits for the last results of the one before, pauses of the streams, and what a
suite that seals adds. docs/architecture.md, "Expected cycles", compares it with the RTL.
"""

from collections.abc import Sequence

from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Descriptor
from deeplock.pymodel.spec.entry import ENTRY
from deeplock.pymodel.spec.header import Header
from deeplock.pymodel.spec.loadable import Loadable

__all__ = ["expected_cycles", "tiles"]


def tiles(layer: Descriptor, group: int, header: Header) -> list[tuple[int, int]]:
    """Of each tile of a group: its words, and the beats in which it is loaded, 0 if its weights are made on chip."""
    if layer.diagonal:
        beats = header.rows * header.cols // header.bytes_per_beat if layer.streamed else 0
        return [(layer.pixels, beats)] * layer.kblocks_read
    sides = layer.sides(group)
    return [
        (min(sides, layer.kblocks - tile * sides) * layer.pixels, height * header.cols // header.bytes_per_beat)
        for tile, height in enumerate(layer.tile_rows(group, header.rows))
    ]


def _pass_cycles(layer: Descriptor, header: Header) -> int:
    """Of all pixels with one k-block. Few pixels wait until the sums of the pass before have returned (hw/feed/issue.py)."""
    return 3 if layer.pixels == 2 or (layer.pixels == 1 and not header.dense) else layer.pixels


def expected_cycles(loadable: Loadable, config: Config) -> list[int]:
    """Cycles of each descriptor of an inference among others, on this accelerator."""
    header, program = loadable.header, loadable.program
    entries = header.cols * ENTRY.size // header.bytes_per_beat
    waits = config.cols // config.lanes * config.multiplier_cycles - 1  # of a pixel that is finished
    before, cycles = 0, []  # `before`: cycles of the tile before
    for layer in (program[-1], *program):  # the last one ends the inference before
        total = 0
        for group in range(layer.groups):
            words, beats = map(list, zip(*tiles(layer, group, header), strict=True))
            words = [word * _pass_cycles(layer, header) // layer.pixels for word in words]
            words[-1] += layer.pixels * waits
            beats[0] += entries if layer.group_bytes(group, header.rows, header.cols) else 0
            beats[0] += layer.table_bytes if group == 0 else 0  # a byte a cycle
            for word, beat in zip(words, beats, strict=True):
                total += word + max(0, beat - before)
                before = word
        cycles.append(total)
    cycles = cycles[1:]
    return [own + wait for own, wait in zip(cycles, _ifmap_waits(header, program, cycles, config), strict=True)]


def _ifmap_waits(header: Header, program: Sequence[Descriptor], cycles: list[int], config: Config) -> list[int]:
    """Cycles in which each descriptor waits for an ifmap: those of unfolding that no earlier layer hides.

    Unfolding begins when the ifmap before, or the one before that if places alternate, has been released.
    """
    unfolding = header.unfolded * (2 if config.single_port else 1)
    waits = []
    for number, layer in enumerate(program):
        hidden, releases = 0, 1 + header.alternate
        for earlier in range(number - 1, number - 1 - len(program), -1):
            releases -= program[earlier].release_input
            if not releases:
                break
            hidden += cycles[earlier]
        waits.append(max(0, unfolding - hidden) if layer.wait_input else 0)
    return waits
