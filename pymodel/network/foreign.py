"""Says what a file is that is none of deeplock's, and how to come from it to one that is."""

import os
import zipfile
from pathlib import Path

__all__ = ["advice", "engine_of", "is_exported"]

_EXPORT = "torch.export.save(torch.export.export(module.eval(), (example,)), 'net.pt2'): docs/bring-your-own-network.md"
_PICKLE = b"\x80\x02"
_TFLITE = b"TFL3"
"""At byte 4."""
_ENGINES = {"tflite": "TensorFlow Lite", "onnx": "ONNX"}


def _members(path: str | os.PathLike[str]) -> set[str]:
    """Names of the files in a zip file, without their folder; empty if it is none."""
    try:
        with zipfile.ZipFile(path) as file:
            return {name.rpartition("/")[2] for name in file.namelist()}
    except (OSError, zipfile.BadZipFile):
        return set()


def is_exported(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a program that torch.export.save wrote, by its content."""
    return "archive_format" in _members(path)


def engine_of(path: str | os.PathLike[str]) -> str:
    """The kind of an engine's network file, "tflite" or "onnx", by its name or content; "" if it is none."""
    suffix = Path(path).suffix.lower()
    if suffix in (".tflite", ".onnx"):
        return suffix[1:]
    try:
        with open(path, "rb") as file:
            return "tflite" if file.read(8)[4:] == _TFLITE else ""
    except OSError:
        return ""


def advice(path: str | os.PathLike[str]) -> str:
    """What to do with a file of another project; "" if it is not known."""
    with open(path, "rb") as file:
        head = file.read(2)
    members = _members(path)
    if kind := engine_of(path):
        return f"a network of {_ENGINES[kind]}: `deeplock compile` and `deeplock quantise` take it"
    if "archive_format" in members:
        return "a program that torch.export saved: `deeplock compile` takes it"
    if "data.pkl" in members or head.startswith(_PICKLE):
        return f"was written by torch.save or torch.jit.save, which needs its code: export the network, {_EXPORT}"
    return ""
