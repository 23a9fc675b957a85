"""Runs a TensorFlow Lite file on LiteRT and reads every layer's tensor."""

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
import tflite
from ai_edge_litert import interpreter as litert

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.frontends.draft import Imported
from deeplock.pymodel.network.network import output_shapes

__all__ = ["engine"]

_OUTPUTS = 8
"""Place of SubGraph.outputs in the schema's virtual table: the third field."""


def _with_outputs(content: bytes, tensors: list[int]) -> bytes:
    """The file with these tensors as its outputs, so that no kernel may keep them to itself: a new vector at its end."""
    main = tflite.Model.GetRootAs(content).Subgraphs(0)
    assert main
    table = main._tab
    place = table.Pos + table.Offset(_OUTPUTS)
    changed = bytearray(content + bytes(-len(content) % 4))
    struct.pack_into("<I", changed, place, len(changed) - place)
    return bytes(changed) + struct.pack(f"<I{len(tensors)}i", len(tensors), *tensors)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep LiteRT's line about its delegate, which goes past Python's streams, from the user's terminal."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def engine(path: Path, read: Imported) -> tuple[str, Callable[[np.ndarray], dict[str, np.ndarray]]]:
    """LiteRT's name and version, and what `against_engine` runs.

    It takes LiteRT's own choice of kernels: XNNPACK's, which round a sum once, where they exist. LiteRT's reference kernels
    round convolutions twice.
    """
    numbers, shapes = read.tensors, output_shapes(read.network)
    content = _with_outputs(path.read_bytes(), sorted(set(numbers.values())))
    try:
        with _quiet():
            runner = litert.Interpreter(model_content=content)
            runner.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise DeeplockError(f"LiteRT does not take the file: {error}") from None
    (given,) = runner.get_input_details()

    def run(ifmap: np.ndarray) -> dict[str, np.ndarray]:
        if given["dtype"] == np.float32:
            ifmap = read.network.input.dequantise(ifmap).astype(np.float32)
        elif given["dtype"] == np.uint8:
            ifmap = ifmap.view(np.uint8) ^ 128
        runner.set_tensor(given["index"], ifmap.reshape(given["shape"]))
        runner.invoke()
        return {name: runner.get_tensor(number).reshape(shapes[name]) for name, number in numbers.items()}

    return f"LiteRT {version('ai-edge-litert')}", run
