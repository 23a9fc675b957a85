"""Tensors that lie in the pixels of others, and the steps that read and write them there.

Memory holds a tensor's pixels without regard to who reads or writes their channels. So the sources of a concatenation are
computed into their place, side by side, channels are read out of the tensor that they are part of, and each group of a
convolution reads and writes its own channels. Where a tensor can not be where it is needed, a step copies it. Nor does memory
know rows from pixels: to a step that copies a tensor's rows, each is one pixel of many channels.
"""

from collections.abc import Mapping
from dataclasses import replace
from math import prod

from deeplock.pymodel.compiler.step import Step, View
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.layer import Layer
from deeplock.pymodel.network.lowering import Interleaved, Joined, Lowered, Within
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Descriptor
from deeplock.pymodel.spec.tensor import Shape, span_of

__all__ = ["Views", "copy_of", "in_memory"]

_MOST_GROUPS = Descriptor.layout.fields["groups"].range[1]


class Views:
    """Where the tensors of a network lie in memory.

    copies  the steps that copy sources of each concatenation to their place: those that are requantised, the ifmap, and
            what has its place elsewhere or twice; and those that copy rows
    """

    def __init__(
        self, network: Network, lowered: Mapping[str, object], shapes: dict[str, Shape], config: Config
    ) -> None:
        self._inside: dict[str, tuple[str, View]] = {}
        self.copies: dict[str, list[Step]] = {}
        turns = [layer for layer in network.layers if isinstance(lowered[layer.name], Interleaved)]
        in_rows = {"input"} | {name for layer in turns for name in (*layer.sources, layer.name)}
        for layer in network.layers:
            if isinstance(does := lowered[layer.name], Within):
                self.put(layer.name, layer.source, View(does.first, shapes[layer.source][2]))
        for layer in network.layers:
            if isinstance(joined := lowered[layer.name], Joined):
                copies, first = self.copies.setdefault(layer.name, []), 0
                for source, does in zip(layer.sources, joined.sources, strict=True):
                    place = source
                    if source in in_rows or source in self._inside or does != Lowered():
                        place = f"{source} in {layer.name} from channel {first}"
                        copies.append(copy_of(source, shapes[source], place, does))
                    self.put(place, layer.name, View(first, shapes[layer.name][2]))
                    first += shapes[source][2]
        for layer in turns:
            self._interleave(layer, shapes, config)

    def _interleave(self, layer: Layer, shapes: dict[str, Shape], config: Config) -> None:
        """Copy the rows of its sources, each to its place in as many rows of its own. Those of one alone are there already."""
        shape, count = shapes[layer.name], len(layer.sources)
        if not config.dense and shape[2] % config.rows:
            raise DeeplockError(
                f"layer {layer.name}: the accelerator leaves out dense, and pixels of {shape[2]} channels, which must be a "
                f"multiple of {config.rows}, become rows"
            )
        in_place = layer.source != "input" and self.whole(layer.source) and prod(shapes[layer.source]) == prod(shape)
        if in_place and count == 1:
            self.put(layer.name, layer.source, View())
            return
        row, copies = shape[1] * shape[2], self.copies.setdefault(layer.name, [])
        longest = _MOST_GROUPS * config.cols
        for number, source in enumerate(layer.sources):
            _, width, channels = shapes[source]
            height = -(-(shape[0] - number) // count)
            if not self.whole(source) or source == "input":
                alone = f"{source} for {layer.name}"
                copies.append(copy_of(source, shapes[source], alone, Lowered()))
                source = alone
            for first in range(0, row, longest):
                which = f"row {number} of {layer.name}" + (f" from byte {first}" if row > longest else "")
                reads = self.put(f"{source}, {which}", source, View(first, width * channels))
                writes = self.put(which, layer.name, View(number * row + first, count * row))
                copies.append(copy_of(reads, (height, 1, min(longest, row - first)), writes, Lowered()))

    def put(self, name: str, tensor: str, view: View) -> str:
        """Say that a tensor lies in another one, which may lie in yet another one; return its name."""
        self._inside[name] = tensor, view
        return name

    def whole(self, *names: str) -> bool:
        """Whether all of these have memory of their own, or all bytes of others'."""
        return all(self._inside[name][1] == View() for name in names if name in self._inside)

    def of(self, name: str) -> tuple[str, View]:
        """The tensor in memory that holds this one, and where in its pixels."""
        if name not in self._inside:
            return name, View()
        tensor, view = self._inside[name]
        outer, around = self.of(tensor)
        return outer, View(around.first + view.first, around.depth or view.depth)


def copy_of(source: str, shape: Shape, name: str, does: Lowered) -> Step:
    """The step that copies a tensor to one of this name, requantised by what it `does`."""
    return Step(name, "copy", (source,), name, shape, shape, does)


def in_memory(steps: list[Step], views: Views, config: Config) -> list[Step]:
    """The steps as they read and write memory, from steps with the names of the network's tensors."""
    steps = [part for step in steps for part in _padded(step, config)]
    steps = [part for step in steps for part in _groups(step, views)]
    read = {views.of(name)[0] for step in steps for name in step.inputs}
    steps = [
        part for step in steps for part in _of_few_groups(step, views.of(step.output)[0] not in read, views, config)
    ]
    steps = _added_whole(steps, views)
    located = []
    for step in steps:
        (tensors, reads), (output, writes) = zip(*map(views.of, step.inputs), strict=True), views.of(step.output)
        located.append(replace(step, inputs=tensors, output=output, reads=reads[0], writes=writes))
    read = {name for step in located for name in step.inputs}
    return sorted(located, key=lambda step: step.output not in read)  # what leaves on the stream comes last


def _padded(step: Step, config: Config) -> list[Step]:
    """A step before a kernel whose rows lie apart puts the rows of padding around its input: the feeder finds those of a
    kernel only if its rows adjoin. Without `config.padding` the host may do it."""
    does = step.lowered
    top, left, bottom, right = does.padding
    if does.dilation[0] == 1 or (top, bottom) == (0, 0) or not config.padding:
        return [step]
    height, width, channels = step.shape
    rows = (step.out[0] - 1) * does.window_stride[0] + does.window[0]
    reach = (rows - 1) * does.stride[0] + span_of(does.kernel, does.dilation)[0]
    bottom = max(0, reach - top - height)  # of an input without rows that nothing needs it may be more than it was
    shape, name = (height + top + bottom, width, channels), f"{step.inputs[0]} padded for {step.name}"
    pads = Lowered(padding=(top, 0, bottom, 0), pad_value=does.pad_value)
    inside = replace(does, padding=(0, left, 0, right))
    return [
        replace(copy_of(step.inputs[0], step.shape, name, pads), out=shape),
        replace(step, inputs=(name,), shape=shape, lowered=inside),
    ]


def _groups(step: Step, views: Views) -> list[Step]:
    """Each of a step's groups as a step of its own."""
    parts = step.lowered.parts()
    if len(parts) == 1:
        return [step]
    (source,), found = step.inputs, []
    (*size, depth), (*out, channels) = step.shape, step.out
    for number, does in enumerate(parts):
        share, made = depth // len(parts), channels // len(parts)
        whose = f"group {number} of {step.name}"
        reads = views.put(f"{source}, {whose}", source, View(number * share, depth))
        writes = views.put(f"{step.output}, {whose}", step.output, View(number * made, channels))
        part = replace(step, inputs=(reads,), output=writes, lowered=does, groups=len(parts))
        found.append(replace(part, shape=(size[0], size[1], share), out=(out[0], out[1], made)))
    return found


def _of_few_groups(step: Step, leaves: bool, views: Views, config: Config) -> list[Step]:
    """A step of more groups of columns than a descriptor counts as several, each of some of its output channels. leaves: its
    results go to the stream"""
    (*size, depth), (*out, channels) = step.shape, step.out
    groups = -(-channels // config.cols)
    count = -(-groups // _MOST_GROUPS)
    if count == 1:
        return [step]
    if leaves and out[0] * out[1] > 1:  # the stream has a pixel's channels together
        most = _MOST_GROUPS * config.cols
        raise DeeplockError(
            f"layer {step.name}: an output of {out[0] * out[1]} pixels must have at most {most} channels, not {channels}"
        )
    found, share = [], -(-groups // count) * config.cols
    for first in range(0, channels, share):
        made, whose = min(share, channels - first), f"channels from {first} of {step.name}"
        part = replace(step, groups=count * step.groups, lowered=step.lowered.of_channels(first, made))
        if not step.lowered.mixes:
            reads = [views.put(f"{source}, {whose}", source, View(first, depth)) for source in step.inputs]
            part = replace(part, inputs=tuple(reads), shape=(size[0], size[1], made))
        writes = views.put(f"{step.output}, {whose}", step.output, View(first, channels))
        found.append(replace(part, output=writes, out=(out[0], out[1], made)))
    return found


def _added_whole(steps: list[Step], views: Views) -> list[Step]:
    """An addition reads the same places of two tensors of one shape in memory; before it, those that lie elsewhere in others
    are copied out of them."""
    found, copied = [], set()
    for step in steps:
        if len({views.of(name)[1] for name in step.inputs}) > 1:
            names = [name if views.whole(name) else f"{name} alone" for name in step.inputs]
            for name, alone in zip(step.inputs, names, strict=True):
                if alone != name and alone not in copied:
                    copied.add(alone)
                    found.append(copy_of(name, step.shape, alone, Lowered()))
            step = replace(step, inputs=tuple(names))
        found.append(step)
    return found
