"""Ifmaps for tests of the unfolder, and the writes that they must become."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from deeplock.hw.feed.unfold import Unfolder
from deeplock.pymodel.compiler.interpreter import unfold_ifmaps
from deeplock.pymodel.spec.config import Config
from tests.hw.layer_tools import to_word
from tests.hw.stream_tools import receive

__all__ = [
    "Case",
    "begin",
    "bytes_of",
    "case_of",
    "config_of",
    "copy",
    "pulse",
    "receive_bytes",
    "stacked",
    "until",
    "windows",
]


def config_of(rows: int, **fields) -> Config:
    return Config(rows=rows, cols=rows, bytes_per_beat=4, ifmap_bytes=512, activation_words=4096, **fields)


def windows(shape, kernel, stride: int, destination: int = 0) -> dict[str, int]:
    """Header fields for the windows of an ifmap of `shape` (height, width, channels)."""
    height, width, depth = shape
    return {
        "run_bytes": kernel[1] * depth,
        "runs": kernel[0],
        "run_pitch": width * depth,
        "x_pitch": stride * depth,
        "y_pitch": stride * width * depth,
        "windows_x": (width - kernel[1]) // stride + 1,
        "windows_y": (height - kernel[0]) // stride + 1,
        "ifmap_bytes": height * width * depth,
        "destination": destination,
    }


def copy(shape) -> dict[str, int]:
    """Header fields for an ifmap that is not unfolded: one window a pixel."""
    return windows(shape, (1, 1), 1)


def stacked(shape, deep: int, pitch: int) -> dict[str, int]:
    """Header fields for `deep` rows of an ifmap as one row of pixels, every `pitch` rows."""
    height, width, depth = shape
    return {
        "run_bytes": depth,
        "runs": deep,
        "run_pitch": width * depth,
        "x_pitch": depth,
        "y_pitch": pitch * width * depth,
        "windows_x": width,
        "windows_y": (height - deep) // pitch + 1,
        "ifmap_bytes": height * width * depth,
        "destination": 7,
    }


def bytes_of(fields: dict[str, int]) -> int:
    """Bytes that are written."""
    return fields["run_bytes"] * fields["runs"] * fields["windows_x"] * fields["windows_y"]


@dataclass
class Case:
    """An ifmap stream and the writes it must become: (byte address, byte)."""

    header: dict[str, int]
    beats: list[list[dict]]
    writes: list[list[tuple[int, int]]]


def case_of(rng, config: Config, fields: dict[str, int], count: int, batch: int = 1, alternate: bool = False) -> Case:
    """`alternate`: every second ifmap has a place behind that of the others."""
    rows = config.rows
    beats = -(-fields["ifmap_bytes"] // rows)
    header = {name: value for name, value in fields.items() if name != "ifmap_bytes"} | {
        "rows": rows,
        "ifmap_beats": beats,
        "batch": batch,
        "dense": int(config.dense),
        "alternate": int(alternate),
    }
    ifmaps = rng.integers(-128, 128, (count, beats * rows), dtype=np.int8)
    loadable = SimpleNamespace(header=SimpleNamespace(**header), pack_ifmap=lambda ifmap: ifmap.tobytes())
    unfolded = unfold_ifmaps(loadable, ifmaps).view(np.uint8)
    taps = fields["run_bytes"] * fields["runs"]
    pitch = taps if config.dense else -(-taps // rows) * rows
    assert unfolded.shape == (count, pitch * fields["windows_x"] * fields["windows_y"])
    words = -(-unfolded.shape[1] // rows)
    begins = [(fields["destination"] + words * (alternate and number % 2)) * rows for number in range(count)]
    real = np.arange(unfolded.shape[1]) % pitch < taps  # the rest of a window's last word is not written
    return Case(
        header,
        [
            [
                {"data": to_word(beat), "last": number == beats - 1}
                for number, beat in enumerate(ifmap.reshape(-1, rows))
            ]
            for ifmap in ifmaps
        ],
        [
            [(begins[number] + at, int(values[at])) for at in np.flatnonzero(real).tolist()]
            for number, values in enumerate(unfolded)
        ],
    )


async def receive_bytes(ctx, dut: Unfolder, expected: list[tuple[int, int]], *pauses) -> None:
    """Take as many writes as that makes, and compare them."""
    got = await receive(ctx, dut.out, len(expected), *pauses)
    assert all(write.keep == 1 for write in got)
    assert [(write.address, write.data[0]) for write in got] == expected


async def begin(ctx, dut: Unfolder, case: Case) -> None:
    ctx.set(dut.header, {name: value for name, value in case.header.items() if name != "rows"})
    ctx.set(dut.run.count, len(case.beats) // case.header["batch"])
    ctx.set(dut.run.active, 1)


async def pulse(ctx, signal) -> None:
    ctx.set(signal, 1)
    await ctx.tick()
    ctx.set(signal, 0)


async def until(ctx, signal) -> None:
    while not ctx.get(signal):
        await ctx.tick()
