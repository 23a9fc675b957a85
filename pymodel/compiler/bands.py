"""Steps that run in bands: a few rows of the last one's output at a time, where their tensors do not fit whole.

Of a tensor inside, memory holds the rows of one band. Rows that two bands need are computed for both. A tensor that other
steps read, too, lies whole in memory, and each of its rows is computed once.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from deeplock.pymodel.compiler.allocate import NoRoomError, allocate, pixel_bytes
from deeplock.pymodel.compiler.step import Step, View, strips_of, words_of
from deeplock.pymodel.compiler.views import copy_of
from deeplock.pymodel.network.lowering import Lowered, Streamed
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.record import WORDS

__all__ = ["in_bands"]

_MOST_STEPS = 12
"""That run in bands together."""
_BANDS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64)
"""Numbers of bands that are tried: close together where one more saves much memory."""


def in_bands(steps: list[Step], config: Config, gathered: str | None = None, shared: int = 0) -> list[Step]:
    """The steps, those whose tensors find no place in memory in bands: as few cycles as possible go into it.

    gathered  see `allocate`
    shared    number of steps at the end that run once for a batch, and never in bands

    Raises:
        DeeplockError: as `allocate`, if bands do not help.
    """
    while True:
        try:
            allocate(steps, config, gathered)
            return steps
        except NoRoomError as error:
            ends = [steps]
            streams = [step for step in steps if not any(step.output in each.inputs for each in steps)]
            if gathered is None and config.diagonal and streams == steps[-1:] and steps[-1].kind != "copy":
                ends.append([*steps, _out(steps[-1])])
            found = (each for end in ends for each in _that_fit(end, error.index, config, gathered, shared))
            best = next(found, None)
            if best is None:
                raise
            takes, most = _descriptors(best, config), config.program_words // WORDS
            if takes > most:
                raise NoRoomError(
                    f"{error}; in bands the program takes {takes} descriptors, program_words {config.program_words} holds "
                    f"{most}",
                    error.index,
                ) from None
            steps = best


def _out(last: Step) -> Step:
    """A copy of the ofmap to the stream: what writes there runs whole, so it is the last step's part if that has bands."""
    copy = copy_of(last.output, last.out, f"{last.output} out", Lowered())
    return replace(copy, reads=last.writes, narrow=True)


def _that_fit(steps: list[Step], index: int, config: Config, gathered: str | None, shared: int) -> Iterator[list[Step]]:
    """The steps with bands around step `index`, so that it and those before it fit: those of the least cost first, but those
    that take too many descriptors behind all others, the shortest first."""
    found: list[tuple[int, int, int, list[Step]]] = []
    spans = product(
        range(max(0, index + 1 - _MOST_STEPS), index + 1), range(index + 1, len(steps) - shared + bool(shared))
    )
    for first, end in spans:
        if end - first > _MOST_STEPS or any(step.rows is not None for step in steps[first:end]):
            continue
        whole = _whole(steps, first, end, config)
        if whole is None:
            continue
        for count in _BANDS:
            if count > steps[end - 1].out[0]:
                break
            banded = list(_banded(steps[first:end], whole, count))
            changed = [*steps[:first], *banded, *steps[end:]]
            takes = _descriptors(changed, config)
            excess = takes if takes > config.program_words // WORDS else 0
            found.append((excess, sum(_cost(step, config) for step in banded), first + len(banded), changed))
    for _, _, end, changed in sorted(found, key=lambda each: each[:2]):
        try:
            allocate(changed, config, gathered)
        except NoRoomError as error:
            if error.index < end:
                continue
        yield changed


def _descriptors(steps: list[Step], config: Config) -> int:
    return sum(len(strips_of(step, config)) for step in steps)


def _whole(steps: list[Step], first: int, end: int, config: Config) -> set[str] | None:
    """Which of the tensors that steps first..end - 1 write stay whole, because others read or write them; None if the steps
    can not run in bands."""
    inside, outside = steps[first:end], steps[:first] + steps[end:]
    written = {step.output for step in inside}
    elsewhere = {name for step in outside for name in (*step.inputs, step.output)}
    whole = written & elsewhere
    last = inside[-1].output
    if last not in whole or any(last in step.inputs for step in inside) or not written - whole:
        return None
    if not all(any(name in step.inputs for step in steps) for name in written):  # it leaves on the stream
        return None
    for step in inside:
        if step.lowered.stride[0] == 0:
            return None
    for name in written:  # whoever writes and reads it sees the same rows
        sizes = {
            (step.out[0], step.out[1] * _pixel(step.writes, step.out[2], config))
            for step in inside
            if step.output == name
        }
        sizes |= {
            (step.shape[0], step.shape[1] * _pixel(step.reads, step.shape[2], config))
            for step in inside
            if name in step.inputs
        }
        if len(sizes) > 1:
            return None
    return whole


def _pixel(view: View, channels: int, config: Config) -> int:
    return pixel_bytes(view.pixel(channels), config)


def _banded(steps: list[Step], whole: set[str], count: int) -> Iterator[Step]:
    """The steps of `count` bands, band by band. whole: the tensors that lie whole in memory"""
    done = [0] * len(steps)  # rows that each step has computed for the bands before
    for band in range(count):
        # what the steps behind read of each tensor, and so what each step computes: a tensor may have several writers, and
        # readers between them
        read = dict.fromkeys({step.output for step in steps}, range(0))
        rows = [range(0)] * len(steps)
        for number, step in reversed([*enumerate(steps)]):
            mine = read[step.output]
            if step.output in whole:
                share = -(-step.out[0] * (band + 1) // count)
                mine = range(done[number], max(done[number], mine.stop, share))
            rows[number] = mine
            for name in set(step.inputs) & read.keys() if mine else ():
                read[name] = _both(read[name], _rows_read(step, mine))
        names = {name: f"{name} in band {band}" for name in read if name not in whole}
        for number, step in enumerate(steps):
            if not rows[number]:
                continue
            inside = {name for name in (*step.inputs, step.output) if name in names}
            yield replace(
                step,
                inputs=tuple(names.get(name, name) for name in step.inputs),
                output=names.get(step.output, step.output),
                rows=rows[number],
                again=max(0, min(rows[number].stop, done[number]) - rows[number].start),
                held={names[name]: read[name] for name in inside},
            )
            done[number] = max(done[number], rows[number].stop)


def _both(one: range, other: range) -> range:
    """The rows from the first to the last one of both."""
    if not one or not other:
        return one or other
    return range(min(one.start, other.start), max(one.stop, other.stop))


def _rows_read(step: Step, rows: range) -> range:
    """The rows of each of its inputs that a step reads for these rows of its output."""
    does = step.lowered
    (window, _), (down, _) = does.window, does.window_stride
    stride = does.stride[0] // step.pitch
    below = 0 if len(step.inputs) > 1 else (does.kernel[0] - 1) * does.dilation[0] * step.row_step
    first = rows.start * down * stride - does.padding[0]
    last = ((rows.stop - 1) * down + window - 1) * stride - does.padding[0] + below
    last = min(max(last, 0), step.shape[0] - 1)
    return range(min(max(first, 0), last), last + 1)


def _cost(step: Step, config: Config) -> int:
    """About the cycles of a step: of its words, or of its weights if they take longer to come."""
    assert step.rows is not None
    groups = -(-step.out[2] // config.cols)
    words = len(step.rows) * step.row_accumulators * words_of(step, config) * groups
    loads = 0
    if isinstance(step.lowered.weights, Streamed):
        times = -(-len(step.rows) * step.row_accumulators // config.accumulators)
        loads = times * step.lowered.weights.weight.size // config.bytes_per_beat
    return max(words, loads)
