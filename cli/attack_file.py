"""`deeplock attack` on a locked checkpoint: known plaintext and ciphertext only. No message holds a digit of a key."""

import argparse
import os
import time

import numpy as np

from deeplock.cli.output import Progress, make_folder_of, print_table, write_json
from deeplock.pymodel.attacks.byte_models import like, model_of
from deeplock.pymodel.attacks.ciphertext_only import locked_stream
from deeplock.pymodel.attacks.ciphertext_only import recover_key as recover_by_likelihood
from deeplock.pymodel.attacks.known_plaintext import parameter_stream, recover_key
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.checkpoint import Checkpoint, load, unlock_checkpoint
from deeplock.pymodel.lock.keyfile import write_key
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.lock.suites.deep_lock import DeepLock
from deeplock.pymodel.zoo import trained

__all__ = ["attack_file", "redundancy"]

_REDUNDANT = 0.2
"""Bits a byte: trained parameters have more, random bytes have none."""


def redundancy(checkpoint: Checkpoint) -> float:
    """8 bits less the entropy of a byte at each place in its number, over all parameters (Miller and Madow's correction)."""
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


def _known_plaintext(args: argparse.Namespace, checkpoint: Checkpoint, lock: DeepLock) -> tuple[bytes, int]:
    if args.known is None:
        raise DeeplockError("known-plaintext on a file needs --known: a file of 16, 24 or 32 plain bytes")
    try:
        plain = np.frombuffer(args.known.read_bytes(), np.uint8)
    except OSError as error:
        raise DeeplockError(f"{args.known}: {error.strerror}") from None
    if args.tensor:
        locked, position = locked_stream(checkpoint, args.tensor)
    else:
        locked, position = parameter_stream(checkpoint), 0
    if not 0 <= args.at <= len(locked) - len(plain):
        raise DeeplockError(f"--at must be 0..{len(locked) - len(plain)}, not {args.at}")
    known = locked[args.at : args.at + len(plain)]
    return recover_key(known, plain, position + args.at, lock), len(plain)


def _ciphertext_only(
    args: argparse.Namespace, checkpoint: Checkpoint, lock: DeepLock, progress: Progress
) -> tuple[bytes, int]:
    tensor = args.tensor or max(checkpoint.tensors, key=lambda name: checkpoint.tensors[name].size, default="")
    locked, position = locked_stream(checkpoint, tensor)
    size = checkpoint.tensors[tensor].itemsize
    if args.like:
        tensors = [value for value in load(args.like).tensors.values() if value.itemsize == size]
        if not tensors:
            raise DeeplockError(f"{args.like}: no tensor has the type of {tensor}")
    elif size == 1:
        tensors = like(tensor, (name for name in trained.NAMES if name != checkpoint.metadata.get("network")))
    else:
        raise DeeplockError(f"tensor {tensor} is float32: give --like")
    locked = locked[: args.bytes + -position % 16]
    found = recover_by_likelihood(locked, position, model_of(tensors, size), lock, progress=progress)
    return found.key, len(locked)


def attack_file(args: argparse.Namespace, attack: str) -> None:
    """Attack, and say whether what is found unlocks the file."""
    checkpoint = load(args.file)
    if checkpoint.locked_by is None:
        raise DeeplockError(f"{args.file}: is not locked")
    if args.output and os.path.lexists(args.output):
        raise DeeplockError(f"{args.output}: exists already: give a new file for the key")
    lock = suite(checkpoint.locked_by)
    if not isinstance(lock, DeepLock):
        raise DeeplockError(f"{args.file}: {attack} is an attack on suite deep-lock, not on {lock.name}")
    start = time.monotonic()
    with Progress() as progress:
        if attack == "known-plaintext":
            key, count = _known_plaintext(args, checkpoint, lock)
        elif attack == "ciphertext-only":
            key, count = _ciphertext_only(args, checkpoint, lock, progress)
        else:
            raise DeeplockError(f"{attack} takes no FILE: only known-plaintext and ciphertext-only do")
    seconds = time.monotonic() - start
    told = redundancy(unlock_checkpoint(checkpoint, key))
    unlocks = told > _REDUNDANT
    print_table(
        [
            ("key size", f"{len(key)} bytes"),
            ("bytes used", count),
            ("key unlocks the file", "yes" if unlocks else "no"),
            ("redundancy of what it unlocks", f"{told:.2f} bits a byte (locked: {redundancy(checkpoint):.2f})"),
            ("seconds", f"{seconds:.1f}"),
        ]
    )
    write_json(
        args.json,
        {
            "file": str(args.file),
            "attack": attack,
            "key_size": len(key),
            "bytes": count,
            "redundancy": told,
            "unlocks": unlocks,
            "seconds": seconds,
        },
    )
    if not unlocks:
        raise DeeplockError(f"{args.file}: the key that was found does not unlock it")
    if args.output:
        write_key(make_folder_of(args.output), key)
        print(f"{args.output}: the key")
