"""What a host may want to know of each layer of a loadable, beside what the accelerator is told."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

__all__ = ["LayerFacts"]


@dataclass(frozen=True)
class LayerFacts:
    """One descriptor of the program.

    name, kind        name of the network's layer, and of its operator; a step that copies a tensor has its copy's name, and
                      is a "copy"
    input, output     shapes (height, width, channels) as it is run: without rows and columns at the end that nothing needs;
                      poolings of columns and additions may take several pixels as one of many channels. A layer in several
                      descriptors has its whole input in each
    kernel, stride    of the layer, in pixels
    pool              size of the pooling window that is fused into it
    parameter_bytes   bytes of the parameter stream that it takes
    words             activation words that enter the array: the cycles that it computes
    lower_bound       least cycles: the larger of MACs / (rows * cols) and weight bytes / bytes_per_beat. Only MACs of computed
                      pixels count; layers without weights count as 0
    array_bound       least cycles for words of `rows` bytes and groups of `cols` channels: pixels * the words that a window's
                      bytes fill * column groups, or weight bytes / bytes_per_beat if more; without weights, bytes read / rows
    groups            into which the layer is split; the descriptor has one of them
    again             rows of `output` that an earlier descriptor computes, too: bands of rows overlap
    """

    name: str
    kind: str
    input: tuple[int, ...]
    output: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    pool: tuple[int, ...]
    parameter_bytes: int
    words: int
    lower_bound: int
    array_bound: int
    groups: int = 1
    again: int = 0

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """From JSON, where tuples are lists."""
        given: dict[str, Any] = dict(values)
        for name in ("input", "output", "kernel", "stride", "pool"):
            given[name] = tuple(given[name])
        return cls(**given)
