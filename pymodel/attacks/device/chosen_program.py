"""Chosen program: one's own program over the locked parameters shows every weight, and then the key.

Nothing binds the program to the parameters, and plain bits can be flipped: S[INV_S[locked] ^ d] unlocks to w ^ d. A layer
whose input is one byte amid padding gives, for each weight, a number that grows with it (programs.py), if only by steps. Over
all 256 masks d, w ^ d takes every value once. So the numbers of the masks with bit k less those without it have a sum that
tells bit k of w: the more significant bits need only one step anywhere, the lowest one between an even and an odd value.
Where a channel's numbers are all at an end of int8, flipping bits of its shift scales them.

The weights give the key stream, and four words of it the key.
"""

from dataclasses import dataclass

import numpy as np

from deeplock.pymodel.attacks.attack import Result
from deeplock.pymodel.attacks.device.programs import head_of, one_byte, parts_of, places, showing, streamed
from deeplock.pymodel.attacks.device.target import KEY, WEIGHTS, DeviceTarget
from deeplock.pymodel.attacks.schedule_inversion import invert_schedule
from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.spec.device import Device
from deeplock.pymodel.spec.entry import ENTRY
from deeplock.pymodel.spec.loadable import split_ofmap

__all__ = [
    "BUDGET",
    "NEEDS",
    "SHIFT_BYTE",
    "Budget",
    "all_places",
    "flipped",
    "judged",
    "key_of",
    "read_weights",
    "run",
]

NEEDS = "a device with the key inside and its locked loadable; some hundred inferences"

_KEY_BYTES = 16
SHIFT_BYTE = 4 * ENTRY.fields["shift_1"].word + ENTRY.fields["shift_1"].low // 8
"""Of an entry."""


@dataclass(frozen=True)
class Budget:
    """tries  (input byte, bits to flip in each shift), one after the other while weights are not clear"""

    tries: tuple[tuple[int, int], ...] = ((127, 0), (127, 2), (127, 4), (127, 1), (127, 6), (8, 0))


BUDGET = Budget()


def flipped(target: DeviceTarget, masks: np.ndarray) -> bytes:
    """The locked parameters that unlock to the plain ones with the bits of `masks`, uint8 [n], flipped."""
    sbox, opened = target.suite.sbox, target.opened
    if sbox is None or opened is None:  # a suite whose ciphertext may be malleable bit by bit
        return (target.stream ^ masks).tobytes() + target.tag
    return sbox[opened ^ masks].tobytes()


def all_places(target: DeviceTarget) -> list[list[np.ndarray]]:
    """Where the weights of each streamed layer and group lie in the stream, as `places` has them."""
    found, start = [], 0
    for layer in streamed(target.locked):
        found.append([start + place for place in places(layer, target.config)])
        start += sum(layer.group_bytes(group, target.config.rows, target.config.cols) for group in range(layer.groups))
    return found


def all_shifts(target: DeviceTarget) -> np.ndarray:
    """Where the shifts of all channels lie in the stream."""
    config, found, start = target.config, [], 0
    for layer in streamed(target.locked):
        for group in range(layer.groups):
            found.append(start + ENTRY.size * np.arange(config.cols) + SHIFT_BYTE)
            start += layer.group_bytes(group, config.rows, config.cols)
    return np.concatenate(found)


def read_weights(
    device: Device, target: DeviceTarget, budget: Budget = BUDGET, progress: Progress = quiet
) -> tuple[np.ndarray, np.ndarray, int]:
    """The plain stream as far as it is read, uint8 [n], which of its bytes are, bool [n], and the inferences that it took.

    It ends when all weights are known, or 16 in a row: the key then unlocks the others.
    """
    config, layers = target.config, streamed(target.locked)
    spots = all_places(target)
    where = np.concatenate([place.ravel() for groups in spots for place in groups])
    parts = [parts_of(layer, config) for layer in layers]
    signs = 1 - 2 * (np.arange(256)[:, None] >> np.arange(8) & 1)  # of each mask and bit
    scores = np.zeros((len(target.plain), 8), np.int64)
    plain, known = np.zeros(len(scores), np.uint8), np.zeros(len(scores), bool)
    inferences, rounds = 0, max(map(len, parts))
    masks = np.zeros(len(scores), np.uint8)
    for value, scale in budget.tries:
        masks[all_shifts(target)] = scale
        for turn in range(rounds):
            chosen = [part[turn % len(part)] for part in parts]
            program = [showing(layer, part, config) for layer, part in zip(layers, chosen, strict=True)]
            head = target.head(head_of(one_byte(target.locked.header, len(program)), program))
            ifmap = bytes([value]).ljust(config.rows, b"\0")
            for mask in range(256):
                progress(f"input {value}, shifts ^ {scale}: masks", 256 * turn + mask, 256 * rounds)
                masks[where] = mask
                outcome = device.run(head, [flipped(target, masks)], [ifmap])
                inferences += 1
                if outcome.error or outcome.hangs or not outcome.ofmaps:
                    return plain, known, inferences
                for spot, part, found in zip(
                    spots, chosen, split_ofmap(outcome.ofmaps[0], program, config.cols), strict=True
                ):
                    for place, values in zip(spot, found, strict=True):
                        shown = place[part.rows[0] : part.rows[-1] + 1, part.bytes[0] : part.bytes[-1] + 1]
                        index = shown.reshape(-1, shown.shape[-1])[::-1]
                        scores[index] += values[..., None].astype(np.int64) * signs[mask]
        known[where] = scores[where].all(axis=1)
        bits = (scores > 0) ^ (np.arange(8) == 7)  # the highest bit counts negative
        plain = (bits << np.arange(8)).sum(axis=1).astype(np.uint8)
        if known[where].all() or key_of(target, plain, known) is not None:
            break
    return plain, known, inferences


def _unlocked(target: DeviceTarget, key: bytes) -> np.ndarray:
    return np.frombuffer(target.locked.unlocked(key).parameters, np.uint8)


def key_of(target: DeviceTarget, plain: np.ndarray, known: np.ndarray) -> bytes | None:
    """The key of 16 bytes that all known bytes of the stream agree with, or None; from 16 in a row, at a multiple of 4."""
    opened = target.opened
    if opened is None:
        return None
    runs = np.lib.stride_tricks.sliding_window_view(known, _KEY_BYTES)[::4].all(axis=1)
    if not runs.any():
        return None
    at = 4 * int(runs.argmax())
    here = slice(at, at + _KEY_BYTES)
    key = invert_schedule(opened[here] ^ plain[here], at)
    return key if np.array_equal(_unlocked(target, key)[known], plain[known]) else None


def judged(target: DeviceTarget, plain: np.ndarray, known: np.ndarray, inferences: int) -> list[Result]:
    """What the known bytes are worth: weights, with those that the key unlocks if they give it, and key."""
    key = key_of(target, plain, known)
    if key is not None:
        plain, known = _unlocked(target, key), np.ones(len(plain), bool)
    where = np.concatenate([place.ravel() for groups in all_places(target) for place in groups])
    return [
        Result(WEIGHTS, float((known & (plain == target.plain))[where].mean()), inferences=inferences),
        Result(KEY, float(key is not None and key == target.key), inferences=inferences),
    ]


def run(device: Device, target: DeviceTarget, budget: Budget, seed: int, progress: Progress = quiet) -> list[Result]:
    """Weights and key."""
    return judged(target, *read_weights(device, target, budget, progress))
