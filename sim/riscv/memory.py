"""The software's memory: a network as a layer table and a parameter stream in the best order for a processor.

The stream holds, for each block of `CHANNELS` output channels of a layer, the accelerator's entries, then the weights as
[kernel row, column, input channel, channel]. Channels beyond the layer's last are random. A suite locks it as it locks the
parameters of a loadable; there is no head.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch

import numpy as np

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.sbox import INV_SBOX, SBOX
from deeplock.pymodel.lock.sealing import PARAMETERS, WORD
from deeplock.pymodel.lock.suites import suite as suite_named
from deeplock.pymodel.network.layer import Layer
from deeplock.pymodel.network.network import Network, macs, output_shapes
from deeplock.pymodel.network.operators.add import Add
from deeplock.pymodel.network.operators.average_pool import AveragePool
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.network.operators.max_pool import MaxPool
from deeplock.pymodel.spec import entry
from deeplock.pymodel.spec.entry import Entries
from deeplock.pymodel.spec.tensor import Shape

__all__ = [
    "ARENA", "SUITES", "VARIANTS", "Arena", "Results", "Space", "arena_of", "inverted", "layout_header", "low_memory",
    "tables_header",
]  # fmt: skip

CHANNELS = 4
ARENA = 0x10000
"""Address of the job in a core's memory. Program and stack are below, all else from here on."""

VARIANTS = ("plain", "unlock-all", "fused")
"""plain: not locked; unlock-all: the whole stream unlocked into memory, then inference; fused: unlocked piece by piece.

A sealed suite has only unlock-all: nothing may be used before the tag behind the last byte has been checked.
"""

SUITES = ("plain", "deep-lock", "ascon", "acorn")
"""Suites that the software has."""

_BEAT = 8
"""Bytes of a beat of the stream, as for the 8x8 array: ACORN has a lane for each word of it."""

_REFUSED = 0xFFFFFFFF
"""Stands where the unlocking's cycles would."""

_SBOX, _INV_SBOX = 0x100, 0x200
_KINDS = ("WEIGHTED", "PAD", "MAX_POOL", "AVERAGE_POOL", "ADD")
_LAYER = (
    "kind", "source", "other", "destination", "row_pitch", "pixel_step", "row_step", "out_w", "out_h", "channels",
    "kernel_h", "run", "pool", "zero_point", "lo", "hi", "wrap", "bias", "multiplier", "shift", "weight_a", "weight_b",
    "bytes", "first",
)  # fmt: skip
_JOB = (
    "suite", "variant", "images", "layers", "table", "ifmaps", "ifmap_bytes", "input", "ofmaps", "ofmap_bytes", "output",
    "parameters", "parameter_bytes", "unlocked", "scratch", "results",
)  # fmt: skip
_STEP = 16  # bytes of a step of the key schedule
_PIECE = 256  # bytes of a dense layer's weights unlocked at a time: PIECE in engine.c


def _enum(names: Sequence[str], prefix: str = "") -> str:
    return f"enum {{ {', '.join((prefix + name).replace('-', '_').upper() for name in names)} }};\n"


def layout_header() -> str:
    """layout.h for engine.c: the structures that `arena_of` fills, the addresses, and the fields of an entry."""
    fields = "\n".join(f"    int32_t {name};" for name in _LAYER)
    job = "\n".join(f"    int32_t {name};" for name in _JOB)
    return (
        "// made by sim/riscv/memory.py\n#pragma once\n#include <stdint.h>\n"
        f"{_enum(_KINDS)}{_enum(VARIANTS)}{_enum(SUITES, 'suite-')}"
        f"enum {{ PARAMETERS = {PARAMETERS}, LANES = {_BEAT // WORD} }};\n#define REFUSED {_REFUSED:#x}\n"
        f"#define ARENA {ARENA:#x}\n#define SBOX_ADDRESS {_SBOX:#x}\n#define INV_SBOX_ADDRESS {_INV_SBOX:#x}\n"
        f"struct layer {{\n{fields}\n}};\nstruct job {{\n{job}\n    uint32_t key[4], nonce[4];\n}};\n"
        + entry.c_functions()
    )


def tables_header() -> str:
    """tables.h: the S-boxes as C arrays, for a host."""
    tables = (("SBOX", SBOX), ("INV_SBOX", INV_SBOX))
    lines = [f"static const uint8_t {name}[256] = {{{', '.join(map(str, table))}}};" for name, table in tables]
    return "\n".join(["// made by sim/riscv/memory.py", *lines, ""])


def low_memory(program: bytes, start: int) -> bytes:
    """A core's memory below the arena: S-boxes and program."""
    memory = bytearray(ARENA)
    memory[_SBOX : _SBOX + 256] = SBOX.tobytes()
    memory[_INV_SBOX : _INV_SBOX + 256] = INV_SBOX.tobytes()
    memory[start : start + len(program)] = program
    return bytes(memory)


@dataclass(frozen=True)
class Results:
    """Results of a job, read from the arena. Cycles are 0 on a host.

    ofmaps         int8 [n, height, width, channels]
    cycles         of each inference, by the memory-mapped counter
    second_cycles  the same by the core's own counter
    unlocking      cycles that unlocking the whole stream took before the first layer, of the last inference
    refused        a tag was wrong: nothing was inferred
    layers         cycles of each layer of the last inference, by name
    """

    ofmaps: np.ndarray
    cycles: tuple[int, ...]
    second_cycles: tuple[int, ...]
    unlocking: int
    layers: dict[str, int]
    refused: bool


@dataclass(frozen=True, eq=False)
class Arena:
    """A job: its bytes, and the offsets of its results.

    parameter_bytes  of the stream
    work             multiplications plus parameter bytes of all inferences
    scratch_bytes    of the buffer for unlocked parameters, in variant fused
    """

    data: bytes
    parameter_bytes: int
    scratch_bytes: int
    work: int
    images: int
    names: tuple[str, ...]
    output_shape: Shape
    ofmaps: int
    results: int

    def read(self, data: bytes) -> Results:
        """The results in the arena's bytes after the run."""
        shape = (self.images, *self.output_shape)
        ofmaps = np.frombuffer(data, np.int8, int(np.prod(shape)), self.ofmaps).reshape(shape)
        words = np.frombuffer(data, "<u4", 3 * self.images + len(self.names), self.results)
        runs, layers = words[: 3 * self.images].reshape(-1, 3), dict.fromkeys(self.names, 0)
        for name, cycles in zip(self.names, words[3 * self.images :], strict=True):
            layers[name] += int(cycles)
        cycles, second, unlocking = (tuple(map(int, column)) for column in runs.T)
        refused = _REFUSED in unlocking
        return Results(ofmaps, cycles, second, 0 if refused else unlocking[-1], layers, refused)


def _stream(layer: Conv, rng: np.random.Generator) -> np.ndarray:
    """The parameters of one layer: uint8."""
    weights = layer.weight.reshape(len(layer.weight), -1)
    parts = []
    for first in range(0, len(weights), CHANNELS):
        channels = slice(first, first + CHANNELS)
        block = rng.integers(-128, 128, (CHANNELS, weights.shape[1]), np.int8)
        block[: len(weights[channels])] = weights[channels]
        entries = Entries(layer.bias[channels], layer.multiplier[channels], layer.shift[channels])
        parts += [entry.encode(entries, layer.accumulator_bits, CHANNELS, rng).ravel(), block.T.ravel().view(np.uint8)]
    return np.concatenate(parts)


def _scaled(layer: AveragePool | Add) -> dict[str, int]:
    names = ("bias", "multiplier", "shift", "zero_point", "lo", "hi")
    return {name: getattr(layer, name) for name in names}


class Space:
    """Allocates space in the arena."""

    def __init__(self, used: int) -> None:
        self.end = used

    def take(self, size: int, place: int | None = None) -> int:
        """`size` bytes at a multiple of 32, or where the address modulo 4096 is `place`."""
        start = -(-self.end // 32) * 32
        if place is not None:
            start += (place - (ARENA + start)) % 4096
        self.end = start + size
        return start


def _table(network: Network, space: Space) -> tuple[list[tuple[str, dict[str, int]]], dict[str, int]]:
    """Rows of the layer table, each with its layer's name, and the offset of every tensor."""
    shapes = output_shapes(network)
    place = {"input": space.take(int(np.prod(network.input_shape)))}
    readers = [name for layer in network.layers for name in layer.sources]
    rows: list[tuple[str, dict[str, int]]] = []
    layers = list(network.layers)
    while layers:
        layer = layers.pop(0)
        name, (height, width, channels) = layer.name, shapes[layer.source]
        source, pool = place[layer.source], False
        if isinstance(layer, Conv):
            after = layers[0] if layers else None
            pool = isinstance(after, MaxPool) and after == MaxPool(after.name, name, (2, 2), (2, 2))
            if pool and readers.count(name) == 1:  # the pooling is fused into the convolution
                after_name = layers.pop(0).name
                shapes[name] = shapes[after_name]
                place[after_name] = place[name] = space.take(int(np.prod(shapes[name])))
            else:
                pool = False
            if any(layer.padding):
                row, source, (height, width) = _pad(layer, (height, width, channels), source, space)
                rows.append((name, row))
        if name not in place:
            place[name] = space.take(int(np.prod(shapes[name])))
        row = _row(layer, (height, width, channels), shapes[name])
        places = {"source": source, "other": place[layer.sources[-1]], "destination": place[name]}
        rows.append((name, {**row, **places, "pool": int(pool)}))
    return rows, place


def _pad(layer: Conv, shape: Shape, source: int, space: Space) -> tuple[dict[str, int], int, tuple[int, int]]:
    """A row that pads the ifmap with its zero point; the padded ifmap's offset; its height and width."""
    height, width, channels = shape
    top, left, bottom, right = layer.padding
    tall, wide = height + top + bottom, width + left + right
    size = tall * wide * channels
    to = space.take(size)
    row = {
        "kind": _KINDS.index("PAD"), "source": source, "destination": to, "bytes": size, "out_h": height,
        "first": (top * wide + left) * channels, "row_pitch": width * channels, "row_step": wide * channels,
        "zero_point": layer.input_zero_point,
    }  # fmt: skip
    return row, to, (tall, wide)


@singledispatch
def _row(layer: Layer, shape: Shape, out: Shape) -> dict[str, int]:
    """A layer's row of the table, without its tensors' offsets, from the shapes of its input and output."""
    raise DeeplockError(f"layer {layer.name}: the software has no operator {layer.kind}")


@_row.register
def _add(layer: Add, shape: Shape, out: Shape) -> dict[str, int]:
    weights = dict(zip(("weight_a", "weight_b"), layer.weights, strict=True))
    return {"kind": _KINDS.index("ADD"), "bytes": int(np.prod(shape)), **weights, **_scaled(layer)}


@_row.register
def _conv(layer: Conv, shape: Shape, out: Shape) -> dict[str, int]:
    if layer.dilation != (1, 1):
        raise DeeplockError(f"layer {layer.name}: the software has no dilation")
    _, tall, wide, channels = layer.weight.shape
    row = {"kind": _KINDS.index("WEIGHTED"), "wrap": 32 - layer.accumulator_bits}
    row |= {name: getattr(layer, name) for name in ("zero_point", "lo", "hi")}
    row |= _windows((tall, wide), layer.stride, shape, out)
    if wide == shape[1]:  # kernel rows follow each other without a gap
        row |= {"kernel_h": 1, "run": tall * wide * channels}
    return row


@_row.register
def _max_pool(layer: MaxPool, shape: Shape, out: Shape) -> dict[str, int]:
    if any(layer.padding):
        raise DeeplockError(f"layer {layer.name}: the software has no padding of a maximum")
    return {"kind": _KINDS.index("MAX_POOL"), **_windows(layer.kernel, layer.stride, shape, out)}


@_row.register
def _average_pool(layer: AveragePool, shape: Shape, out: Shape) -> dict[str, int]:
    if any(layer.padding):
        raise DeeplockError(f"layer {layer.name}: the software has no padding of an average")
    row = {"kind": _KINDS.index("AVERAGE_POOL"), **_scaled(layer)}
    return row | _windows(layer.kernel, layer.stride, shape, out)


def _windows(kernel: tuple[int, int], stride: tuple[int, int], shape: Shape, out: Shape) -> dict[str, int]:
    _, width, channels = shape
    steps = {"pixel_step": stride[1] * channels, "row_step": stride[0] * width * channels}
    steps["row_pitch"] = width * channels
    sizes = {"out_h": out[0], "out_w": out[1], "channels": out[2]}
    return {**steps, **sizes, "kernel_h": kernel[0], "run": kernel[1] * channels}


def _scratch_bytes(rows: Sequence[dict[str, int]]) -> int:
    """Most bytes unlocked at a time: the weights of four channels of a convolution, or a piece of a dense layer."""
    largest = _PIECE
    for row in rows:
        if row["kind"] == _KINDS.index("WEIGHTED") and (row["pool"] or row["out_h"] * row["out_w"] > 1):
            largest = max(largest, CHANNELS * row["kernel_h"] * row["run"])
    return -(-largest // _STEP) * _STEP + 2 * _STEP


def inverted(parameters: bytes, flip: int | None) -> bytearray:
    """Parameters with the byte of this number inverted, to test that it is noticed; DeeplockError if there is none."""
    stream = bytearray(parameters)
    if flip is not None:
        if not 0 <= flip < len(stream):
            raise DeeplockError(f"there are {len(stream)} bytes of parameters, and no byte {flip}")
        stream[flip] ^= 0xFF
    return stream


def arena_of(
    network: Network,
    ifmaps: np.ndarray,
    variant: str,
    key: bytes = b"",
    seed: int = 0,
    flip: int | None = None,
    suite: str = "deep-lock",
) -> Arena:
    """The job of running a network on int8 ifmaps [n, height, width, channels].

    key     16 bytes; it locks the stream, unless the variant is plain
    seed    of the bytes that the network does not define
    flip    of `inverted`, on the stream; of a sealed one also of its tag
    suite   that locks the stream, unless the variant is plain
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant must be one of {', '.join(VARIANTS)}, not {variant}")
    if suite not in SUITES:
        raise ValueError(f"suite must be one of {', '.join(SUITES)}, not {suite}")
    if variant == "plain":
        suite = "plain"
    elif len(key) != 16:
        raise ValueError(f"key must be 16 bytes, not {len(key)}")
    if suite_named(suite).seals and variant != "unlock-all":
        raise ValueError(f"variant of a suite that seals must be unlock-all, not {variant}")
    rng = np.random.default_rng(seed)
    space = Space(4 * (len(_JOB) + 8))
    rows, place = _table(network, space)
    parts = [_stream(layer, rng) for layer in network.layers if isinstance(layer, Conv)]
    stream = np.concatenate([*parts, np.zeros(0, np.uint8)])
    stream = np.concatenate([stream, rng.integers(0, 256, -len(stream) % _STEP, np.uint8)])
    parameter_bytes = len(stream)
    locked = suite_named(suite).lock_loadable(b"", stream.tobytes(), key, _BEAT)
    stream = np.frombuffer(inverted(locked.parameters, flip), np.uint8)
    last = network.layers[-1].name
    shape = output_shapes(network)[last]
    scratch_bytes = _scratch_bytes([row for _, row in rows])
    job = {
        "suite": SUITES.index(suite),
        "variant": VARIANTS.index(variant),
        "images": len(ifmaps),
        "layers": len(rows),
        "table": space.take(4 * len(_LAYER) * len(rows)),
        "ifmaps": space.take(ifmaps.size),
        "ifmap_bytes": ifmaps[0].size,
        "input": place["input"],
        "ofmaps": space.take(len(ifmaps) * int(np.prod(shape))),
        "ofmap_bytes": int(np.prod(shape)),
        "output": place[last],
        "parameters": space.take(len(stream)),
        "parameter_bytes": parameter_bytes,
        "unlocked": space.take(parameter_bytes if variant == "unlock-all" else 0),
        "scratch": space.take(scratch_bytes, _INV_SBOX + 256),  # cache lines that the S-boxes do not use
        "results": space.take(4 * (3 * len(ifmaps) + len(rows))),
    }
    data = bytearray(space.take(0))
    struct.pack_into(f"<{len(_JOB)}i", data, 0, *(job[name] for name in _JOB))
    data[4 * len(_JOB) : 4 * len(_JOB) + 32] = key.ljust(16, b"\0") + locked.nonce.ljust(16, b"\0")
    for index, (_, row) in enumerate(rows):
        at = job["table"] + 4 * len(_LAYER) * index
        struct.pack_into(f"<{len(_LAYER)}i", data, at, *(row.get(name, 0) for name in _LAYER))
    data[job["ifmaps"] : job["ifmaps"] + ifmaps.size] = ifmaps.tobytes()
    data[job["parameters"] : job["parameters"] + len(stream)] = stream.tobytes()
    names = tuple(name for name, _ in rows)
    work = len(ifmaps) * (sum(macs(network).values()) + parameter_bytes)
    return Arena(
        bytes(data), parameter_bytes, scratch_bytes, work, len(ifmaps), names, shape, job["ofmaps"], job["results"]
    )
