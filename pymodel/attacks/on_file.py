"""The attacks on any locked checkpoint: known plaintext and ciphertext only. No message contains a digit of a key."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from deeplock.pymodel.attacks.byte_models import like, model_of
from deeplock.pymodel.attacks.ciphertext_only import locked_stream
from deeplock.pymodel.attacks.ciphertext_only import recover_key as recover_by_likelihood
from deeplock.pymodel.attacks.known_plaintext import parameter_stream, recover_key
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.checkpoint import Checkpoint, load
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.lock.suites.deep_lock import DeepLock
from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.zoo import trained

__all__ = ["REDUNDANT", "Found", "ciphertext_only", "known_plaintext", "redundancy"]

_MOST_KNOWN = 32

REDUNDANT = 0.2
"""Redundancy in bits a byte: trained parameters have more, random bytes have none."""


@dataclass(frozen=True)
class Found:
    """key   right or not
    bytes    number of the file's bytes that were used
    """

    key: bytes = field(repr=False)
    bytes: int


def redundancy(checkpoint: Checkpoint) -> float:
    """Mean redundancy of a byte: 8 bits less the entropy at its place in a number (with Miller and Madow's correction)."""
    bits = total = 0.0
    for size in {value.itemsize for value in checkpoint.tensors.values()}:
        parts = [value.tobytes() for value in checkpoint.tensors.values() if value.itemsize == size]
        data = np.frombuffer(b"".join(parts), np.uint8).reshape(-1, size)
        for column in data.T:
            counts = np.bincount(column, minlength=256)
            share = counts[counts > 0] / len(column)
            entropy = -(share * np.log2(share)).sum() + (len(share) - 1) / (2 * len(column) * np.log(2))
            bits, total = bits + max(0.0, 8 - entropy) * len(column), total + len(column)
    return float(bits / total) if total else 0.0


def _lock_of(checkpoint: Checkpoint, attack: str) -> DeepLock:
    """The checkpoint's suite; DeeplockError unless that is deep-lock, which these attacks concern."""
    lock = suite(checkpoint.locked_by or "plain")
    if not isinstance(lock, DeepLock):
        raise DeeplockError(f"{attack} is an attack on suite deep-lock, not on {lock.name}")
    return lock


def known_plaintext(checkpoint: Checkpoint, known: Path, at: int = 0, tensor: str | None = None) -> Found:
    """The key that locks the known plain bytes to the checkpoint's bytes.

    known   file of 16, 24 or 32 plain bytes
    at      byte where they begin in `tensor` or, without one, in all parameters
    """
    lock = _lock_of(checkpoint, "known-plaintext")
    try:
        with open(known, "rb") as file:
            plain = np.frombuffer(file.read(_MOST_KNOWN + 1), np.uint8)  # /dev/zero has no end
    except OSError as error:
        raise DeeplockError(f"{known}: {error.strerror}") from None
    if len(plain) > _MOST_KNOWN:
        raise DeeplockError(f"{known}: must have 16, 24 or 32 bytes, has more")
    if tensor:
        locked, position = locked_stream(checkpoint, tensor)
    else:
        locked, position = parameter_stream(checkpoint), 0
    if not 0 <= at <= len(locked) - len(plain):
        raise DeeplockError(f"--at must be 0..{len(locked) - len(plain)}, not {at}")
    return Found(recover_key(locked[at : at + len(plain)], plain, position + at, lock), len(plain))


def ciphertext_only(
    checkpoint: Checkpoint,
    count: int,
    tensor: str | None = None,
    similar: Path | None = None,
    progress: Progress = quiet,
) -> Found:
    """The likeliest AES-128 key of the first `count` bytes of a tensor, by default of the largest.

    similar   an unlocked checkpoint of a network of the same kind; by default, for int8, the networks that come with deeplock
    """
    lock = _lock_of(checkpoint, "ciphertext-only")
    tensor = tensor or max(checkpoint.tensors, key=lambda name: checkpoint.tensors[name].size, default="")
    locked, position = locked_stream(checkpoint, tensor)
    size = checkpoint.tensors[tensor].itemsize
    if similar:
        examples = load(similar)
        if examples.locked_by is not None:
            raise DeeplockError(f"{similar}: is locked: examples of weights must not be")
        tensors = [value for value in examples.tensors.values() if value.itemsize == size]
        if not tensors:
            raise DeeplockError(f"{similar}: no tensor has the type of {tensor}")
    elif size == 1:
        tensors = like(tensor, (name for name in trained.NAMES if name != checkpoint.metadata.get("network")))
    else:
        raise DeeplockError(f"tensor {tensor} is float32: give --like")
    locked = locked[: count + -position % 16]
    return Found(
        recover_by_likelihood(locked, position, model_of(tensors, size), lock, progress=progress).key, len(locked)
    )
