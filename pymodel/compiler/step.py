"""A step: what the hardware does with one descriptor, or with several that split it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.lowering import Lowered
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Descriptor
from deeplock.pymodel.spec.tensor import Shape

__all__ = ["Step", "View", "runs_of", "strips_of", "words_of"]

_LONGEST_RUN = Descriptor.layout.fields["cblocks"].range[1]  # words
_LONGEST_ROW = Descriptor.layout.fields["row_bytes"].range[1]


@dataclass(frozen=True)
class View:
    """Channels of a tensor in memory: of the `depth` channels of its pixels those from `first` on. By default it is whole."""

    first: int = 0
    depth: int = 0

    def pixel(self, channels: int) -> int:
        """Channels of the tensor's pixels, if so many are read or written."""
        return self.depth or channels


@dataclass(frozen=True, eq=False)
class Step:
    """One layer, or one of its groups, as the hardware runs it, with the pooling that is fused into it.

    name, kind      names of the layer and of its operator
    inputs, output  names of the tensors in memory that it reads, and of the one that it writes
    shape, out      (height, width, channels) of what it reads of each, and of what it writes
    reads, writes   where the channels of these lie in the tensors' pixels
    groups          steps that share the layer's work
    row_step        input rows from one kernel row to the next
    pitch           rows of the network's tensor from one input row to the next
    sliding         stride of pooling windows of a row that are one pixel wider; 0: others
    narrow          accumulator + bias is a 24-bit number for every ifmap
    rows            of `out` that it computes; None: all
    again           the first of these, so many, have been computed for the band before, too
    held            of its tensors that memory holds a band of (bands.py): the rows of this band, by name
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    output: str
    shape: Shape
    out: Shape
    lowered: Lowered
    reads: View = View()
    writes: View = View()
    groups: int = 1
    row_step: int = 1
    pitch: int = 1
    sliding: int = 0
    narrow: bool = False
    rows: range | None = None
    again: int = 0
    held: Mapping[str, range] = field(default_factory=dict)

    @property
    def windows(self) -> int:
        """Pooling windows of a row that the feeder reads."""
        return self.out[1] * self.sliding + 1 if self.sliding else self.out[1]

    @property
    def row_accumulators(self) -> int:
        """That a row of the output takes."""
        return self.windows * prod(self.lowered.window)


def runs_of(step: Step, config: Config) -> tuple[int, int, int]:
    """How the feeder reads a window: rows and columns of runs, and the bytes of a run, which lie side by side in memory."""
    does, (_, width, channels) = step.lowered, step.shape
    tall, wide = does.kernel
    if not does.mixes:
        return tall, wide, config.cols
    if not config.dense:
        return tall, wide, channels
    if step.reads.pixel(channels) != channels or does.dilation[1] > 1:
        return tall, wide, channels
    window, longest = tall * wide * channels, min(_LONGEST_RUN * config.rows, _LONGEST_ROW)
    adjoin = step.row_step == does.dilation[0] == 1
    whole = wide == width and adjoin and not any(does.padding)  # its rows lie side by side, too
    if whole and window <= longest:
        return 1, 1, window
    return tall, 1, wide * channels


def words_of(step: Step, config: Config) -> int:
    """Activation words that a window takes."""
    tall, wide, size = runs_of(step, config)
    return tall * wide * -(-size // config.rows)


def strips_of(step: Step, config: Config) -> list[tuple[int, int]]:
    """The rows of (pooled) output that it computes, by descriptor, as (first, count), so that each fits the accumulators.

    Raises DeeplockError if a row does not.
    """
    rows = config.accumulators // step.row_accumulators
    if rows == 0:
        raise DeeplockError(
            f"layer {step.name}: one row of output takes {step.row_accumulators} accumulators, the accelerator has "
            f"{config.accumulators}"
        )
    computed = range(step.out[0]) if step.rows is None else step.rows
    return [(first, min(rows, computed.stop - first)) for first in computed[::rows]]
