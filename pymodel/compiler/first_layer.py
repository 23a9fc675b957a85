"""How the ifmap enters the activation memory, and the first layer that reads it there."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import gcd

import numpy as np

from deeplock.pymodel.compiler.allocate import read_shape
from deeplock.pymodel.compiler.step import Step, View, words_of
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.lowering import Lowered, Streamed
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.header import Header

__all__ = ["Unfold", "plan_input"]

_MOST_RUNS = Header.layout.fields["runs"].range[1]  # of a window


@dataclass(frozen=True)
class Unfold:
    """How the ifmap enters the activation memory: windows of `runs` runs of `run_bytes` bytes; see spec/header.py."""

    run_bytes: int
    runs: int
    run_pitch: int
    x_pitch: int
    y_pitch: int
    windows_x: int
    windows_y: int
    ifmap_bytes: int
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    pad_value: int = 0

    def words(self, config: Config) -> int:
        window, count = self.run_bytes * self.runs, self.windows_x * self.windows_y
        return -(-window * count // config.rows) if config.dense else -(-window // config.rows) * count


def plan_input(steps: list[Step], config: Config, rng: np.random.Generator) -> tuple[list[Step], Unfold]:
    """Choose how the ifmap enters the activation memory, and rewrite the first step to read it there.

    If the first step is a convolution and nothing else reads the ifmap, it may be rearranged so that a window takes fewer
    words (`_stacked` if pixels are dense, else `_windows`), and the host pads it if the feeder cannot.
    """
    first, does = steps[0], steps[0].lowered
    own = does.mixes and not any("input" in step.inputs for step in steps[1:])
    plans = [_copied(first, config, does.padding if own and not config.padding else (0, 0, 0, 0))]
    if own and first.reads == View() and does.dilation == (1, 1):
        plans += _stacked(first, rng) if config.dense else [_windows(first)]

    def fits(unfold: Unfold) -> bool:
        small = unfold.ifmap_bytes <= config.ifmap_bytes and unfold.words(config) <= config.activation_words // 2
        return small and unfold.runs <= _MOST_RUNS

    fitting = [(step, unfold) for step, unfold in plans if fits(unfold)] or plans[:1]
    first, unfold = min(fitting, key=lambda plan: (words_of(plan[0], config), plan[1].words(config)))
    if unfold.ifmap_bytes > config.ifmap_bytes:
        raise DeeplockError(f"ifmap takes {unfold.ifmap_bytes} bytes, the ifmap buffer has {config.ifmap_bytes}")
    return [first, *steps[1:]], unfold


def _copied(step: Step, config: Config, padding: tuple[int, int, int, int]) -> tuple[Step, Unfold]:
    """The ifmap as it is, after the host has padded it."""
    top, left, bottom, right = padding
    height, width, channels = step.shape[0] + top + bottom, step.shape[1] + left + right, read_shape(step)[2]
    size = height * width * channels
    unfold = Unfold(size, 1, 0, 0, 0, 1, 1, size, padding, step.lowered.pad_value)
    if not config.dense:
        unfold = replace(
            unfold, run_bytes=channels, x_pitch=channels, y_pitch=width * channels, windows_x=width, windows_y=height
        )
    if any(padding):
        step = replace(step, lowered=replace(step.lowered, padding=(0, 0, 0, 0)))
    return replace(step, shape=(height, width, step.shape[2])), unfold


def _windows(step: Step) -> tuple[Step, Unfold]:
    """Every kernel window on its own, as a pixel of many channels."""
    does, depth = step.lowered, step.shape[2]
    tall, wide = does.kernel
    top, left, bottom, right = does.padding
    height, width = step.shape[0] + top + bottom, step.shape[1] + left + right
    pitch = width * depth
    unfold = Unfold(
        run_bytes=wide * depth,
        runs=tall,
        run_pitch=pitch,
        x_pitch=does.stride[1] * depth,
        y_pitch=does.stride[0] * pitch,
        windows_x=(width - wide) // does.stride[1] + 1,
        windows_y=(height - tall) // does.stride[0] + 1,
        ifmap_bytes=height * pitch,
        padding=does.padding,
        pad_value=does.pad_value,
    )
    weights = _streamed(does).weight.reshape(-1, 1, tall * wide * depth)
    step = replace(
        step,
        shape=(unfold.windows_y, unfold.windows_x, weights.shape[2]),
        lowered=replace(
            does, weights=replace(does.weights, weight=weights), kernel=(1, 1), stride=(1, 1), padding=(0, 0, 0, 0)
        ),
    )
    return step, unfold


def _stacked(step: Step, rng: np.random.Generator) -> Iterator[tuple[Step, Unfold]]:
    """`deep` rows of the ifmap as one row of pixels with `deep` times the channels, so that several kernel rows make one run.

    If `deep` does not divide the kernel's height, some kernel rows are read twice; their weight is then split at random in
    two, since a byte that an attacker can predict (a zero) gives its key byte away.
    """
    does, depth = step.lowered, step.shape[2]
    tall, wide = does.kernel
    top, left, bottom, right = does.padding
    height, width = step.shape[0] + top + bottom, step.shape[1] + left + right
    for deep in range(2, tall + 1):
        rows = -(-tall // deep)  # of the new kernel
        shift, rest = divmod(tall - deep, rows - 1) if rows > 1 else (0, 0)  # ifmap rows from one to the next
        if rest:
            continue
        pitch = gcd(does.stride[0], shift)  # ifmap rows from one row of the new ifmap to the next
        unfold = Unfold(
            run_bytes=depth,
            runs=deep,
            run_pitch=width * depth,
            x_pitch=depth,
            y_pitch=pitch * width * depth,
            windows_x=width,
            windows_y=(height - deep) // pitch + 1,
            ifmap_bytes=height * width * depth,
            padding=does.padding,
            pad_value=does.pad_value,
        )
        weights = _streamed(does)
        old = weights.weight.reshape(-1, tall, wide, depth)
        new = np.zeros((len(old), rows, wide, deep, depth), np.int8)
        for row in range(rows):
            new[:, row] = old[:, row * shift : row * shift + deep].swapaxes(1, 2)
        for row in range(1, rows):
            twice = deep - shift
            shared = new[:, row, :, :twice]
            part = rng.integers(np.minimum(shared, 0), np.maximum(shared, 0), endpoint=True, dtype=np.int8)
            new[:, row - 1, :, shift:] -= part
            new[:, row, :, :twice] = part
        new = new.reshape(len(old), rows * wide, deep * depth)
        lowered = replace(
            does,
            weights=replace(weights, weight=new),
            kernel=(rows, wide),
            padding=(0, 0, 0, 0),
        )
        shape = (unfold.windows_y, width, deep * depth)
        yield replace(step, shape=shape, lowered=lowered, row_step=shift // pitch, pitch=pitch), unfold


def _streamed(does: Lowered) -> Streamed:
    assert isinstance(does.weights, Streamed)
    return does.weights
