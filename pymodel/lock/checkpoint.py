"""Locking a checkpoint: the paper's software form of the lock, on safetensors files.

All parameter bytes (little-endian, tensors in the order of their sorted names) are one stream that is locked with one
key stream. Names, shapes, dtypes and sizes stay, so any framework still loads the file. The header's metadata says that
the file is locked and by which suite; nothing in it depends on the key. A custom S-box is not recorded: pass the
same suite to unlock.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as serialise

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.files import ANYONE, replace_file
from deeplock.pymodel.lock.suite import ByteSuite
from deeplock.pymodel.lock.suites import byte_suite

__all__ = ["Checkpoint", "load", "lock_checkpoint", "save", "unlock_checkpoint", "unlock_with_keys"]

_DTYPES = {"F32": np.dtype("<f4"), "I8": np.dtype("i1")}


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Named float32 and int8 tensors, and the text metadata of their file."""

    tensors: Mapping[str, np.ndarray]
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def locked_by(self) -> str | None:
        """Name of the suite that locked it, None if it is not locked."""
        return self.metadata.get("suite", "") if self.metadata.get("deeplock") == "locked" else None


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a safetensors file; `DeeplockError` if it is missing, truncated, not safetensors or has another dtype."""
    try:
        with open(path, "rb"), safe_open(path, framework="np") as file:  # only open() says why a file cannot be opened
            names = sorted(file.keys())
            for name in names:
                dtype = file.get_slice(name).get_dtype()
                if dtype not in _DTYPES:
                    raise DeeplockError(f"checkpoint {path}: tensor {name} must be float32 or int8, not {dtype}")
            return Checkpoint({name: file.get_tensor(name) for name in names}, file.metadata() or {})
    except OSError as error:
        raise DeeplockError(f"checkpoint {path}: {error.strerror}") from None
    except SafetensorError as error:
        raise DeeplockError(f"checkpoint {path}: not a whole safetensors file ({error})") from None


def _with_sorted_metadata(content: bytes) -> bytes:
    """Sort the metadata keys of a safetensors file, which the library writes in random order."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    if "__metadata__" in header:
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text = text.ljust(-(-len(text) // 8) * 8)  # tensors begin at a multiple of 8 bytes
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def save(path: str | os.PathLike[str], checkpoint: Checkpoint, at_most: int = ANYONE) -> None:
    """Write a safetensors file with `replace_file`. The same checkpoint always gives the same bytes."""
    content = serialise(dict(checkpoint.tensors), dict(checkpoint.metadata) or None)
    replace_file(path, _with_sorted_metadata(content), at_most)


def _to_stream(tensors: Mapping[str, np.ndarray]) -> np.ndarray:
    parts = []
    for name in sorted(tensors):
        dtype = tensors[name].dtype.newbyteorder("<")
        if dtype not in _DTYPES.values():
            raise DeeplockError(f"tensor {name} must be float32 or int8, not {dtype.name}")
        parts.append(np.frombuffer(tensors[name].astype(dtype).tobytes(), np.uint8))
    return np.concatenate(parts) if parts else np.empty(0, np.uint8)


def _from_stream(stream: np.ndarray, like: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Tensors [..., *shape] out of a stream uint8 [..., n]."""
    tensors = {}
    start = 0
    for name in sorted(like):
        tensor = like[name]
        part = np.ascontiguousarray(stream[..., start : start + tensor.nbytes])
        tensors[name] = part.view(tensor.dtype.newbyteorder("<")).reshape(stream.shape[:-1] + tensor.shape)
        start += tensor.nbytes
    return tensors


def lock_checkpoint(checkpoint: Checkpoint, key: bytes, suite: ByteSuite) -> Checkpoint:
    """Return the locked checkpoint; `DeeplockError` if it is locked already or the suite does not lock."""
    if checkpoint.locked_by is not None:
        raise DeeplockError(f"checkpoint is locked already, by suite {checkpoint.locked_by}")
    if not suite.locks:
        raise DeeplockError(f"suite {suite.name} does not lock")
    stream = suite.lock(_to_stream(checkpoint.tensors), key)
    metadata = {**checkpoint.metadata, "deeplock": "locked", "suite": suite.name}
    return Checkpoint(_from_stream(stream, checkpoint.tensors), metadata)


def _suite_of(checkpoint: Checkpoint, given: ByteSuite | None) -> ByteSuite:
    locked_by = checkpoint.locked_by
    if locked_by is None:
        raise DeeplockError("checkpoint is not locked")
    if given is not None and given.name != locked_by:
        raise DeeplockError(f"checkpoint is locked by suite {locked_by}, not by {given.name}")
    return given or byte_suite(locked_by)


def unlock_checkpoint(checkpoint: Checkpoint, key: bytes, suite: ByteSuite | None = None) -> Checkpoint:
    """Return the unlocked checkpoint; a wrong key gives wrong values. Pass `suite` only if its S-box is a custom one."""
    stream = _suite_of(checkpoint, suite).unlock(_to_stream(checkpoint.tensors), key)
    metadata = {name: text for name, text in checkpoint.metadata.items() if name not in ("deeplock", "suite")}
    return Checkpoint(_from_stream(stream, checkpoint.tensors), metadata)


def unlock_with_keys(checkpoint: Checkpoint, keys: np.ndarray, suite: ByteSuite | None = None) -> dict[str, np.ndarray]:
    """Unlock with each of k keys, uint8 [k, key size]: the tensors, each [k, *shape]. Takes k times the memory."""
    stream = _suite_of(checkpoint, suite).unlock_many(_to_stream(checkpoint.tensors), keys)
    return _from_stream(stream, checkpoint.tensors)
