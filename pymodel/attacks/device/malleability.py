"""Malleability: the network's own program, bytes of its last layer changed, and the logits watched, give the key.

Flipping bit k of a weight moves a logit up or down by 2**k times the weight's activation, so the direction tells the bit, up to
the activation's sign. Small moves show only if the logit is near a step: flipping the bias's low bits at random brings it near
one sooner or later, and flipping the shift's, the same for all inferences, makes the steps smaller. All columns are watched at
once. Rows of weights that follow each other in the stream give a key for each choice of signs; the golden model with the right
one says what the device says.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

from deeplock.pymodel.attacks.attack import Result
from deeplock.pymodel.attacks.device.chosen_program import SHIFT_BYTE, all_places, flipped
from deeplock.pymodel.attacks.device.programs import streamed
from deeplock.pymodel.attacks.device.target import KEY, WEIGHTS, DeviceTarget
from deeplock.pymodel.attacks.schedule_inversion import invert_schedule
from deeplock.pymodel.compiler.golden_device import GoldenDevice
from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.spec.device import Device
from deeplock.pymodel.spec.entry import ENTRY
from deeplock.pymodel.spec.loadable import split_ofmap

__all__ = ["BUDGET", "NEEDS", "Budget", "run"]

NEEDS = "a device with the key inside and its locked loadable, whose last layer has a full group of columns"

_KEY_BYTES = 16
_SCALES = 32  # flips of a shift that are tried: its lowest five bits
_BIAS_BITS = 11  # that are flipped at random: sums of which a few make a step of the logit
_PATIENCE = 2  # rounds after which bit 6 must have been seen


@dataclass(frozen=True)
class Budget:
    """places   rows of weights and ifmaps that are tried
    rounds      of flips at each place
    """

    places: int = 8
    rounds: int = 24


BUDGET = Budget()


class _Watcher:
    """Runs the network with flipped bits in its last layer, and counts inferences."""

    def __init__(self, device: Device, target: DeviceTarget, ifmap: bytes) -> None:
        self._device, self._target, self.ifmap = device, target, ifmap
        self.inferences = 0

    def logits(self, masks: np.ndarray) -> np.ndarray | None:
        """The last layer's first group, int8 [columns]; None if nothing comes."""
        target, self.inferences = self._target, self.inferences + 1
        outcome = self._device.run(target.locked.head, [flipped(target, masks)], [self.ifmap])
        if outcome.error or outcome.hangs or not outcome.ofmaps:
            return None
        return split_ofmap(outcome.ofmaps[0], target.locked.program[-1:], target.config.cols)[0][0][0]


def _finest_scale(watcher: _Watcher, entries: np.ndarray, size: int) -> int | None:
    """The bits to flip in the shifts that spread the logits most, with none of them at an end of int8."""
    best, spread = None, -1
    for scale in range(_SCALES):
        masks = np.zeros(size, np.uint8)
        masks[entries + SHIFT_BYTE] = scale
        logits = watcher.logits(masks)
        if logits is None:
            return None
        if ((logits > -128) & (logits < 127)).all() and np.ptp(logits.astype(int)) > spread:
            best, spread = scale, np.ptp(logits.astype(int))
    return best


def _directions(
    watcher: _Watcher, where: np.ndarray, fixed: np.ndarray, biases: np.ndarray, rounds: int, rng: np.random.Generator
) -> np.ndarray | None:
    """How logits move if bits flip, int [rows, columns, 8] of -1, 1 or, unseen, 0. None if the device says nothing.

    where    places in the stream of the weights [rows, columns]
    fixed    masks for the whole stream, uint8 [n], that all inferences have
    biases   places of the biases
    """
    seen = np.zeros((*where.shape, 8), int)
    for number in range(rounds):
        masks = fixed.copy()
        masks[biases] ^= rng.integers(0, 256, len(biases), dtype=np.uint8)
        masks[biases + 1] ^= rng.integers(0, 1 << _BIAS_BITS - 8, len(biases), dtype=np.uint8)
        before = watcher.logits(masks)
        if before is None:
            return None
        for row, bit in np.ndindex(len(where), 8):
            if seen[row, :, bit].all():
                continue
            changed = masks.copy()
            changed[where[row]] ^= 1 << bit
            after = watcher.logits(changed)
            if after is None:
                return None
            move = np.sign(after.astype(int) - before)
            seen[row, :, bit] = np.where(seen[row, :, bit], seen[row, :, bit], move)
        if seen.all() or (number == _PATIENCE and not seen[:, :, 6].all()):  # activations are near 0
            break
    return seen


def run(device: Device, target: DeviceTarget, budget: Budget, seed: int, progress: Progress = quiet) -> list[Result]:
    """Key, and with it the weights"""
    config, rng = target.config, np.random.default_rng([seed, 3])
    key, inferences, fixed = None, 0, None
    places = all_places(target)[-1][0][0]  # of the last layer's first group, [weights of a channel, columns]
    rows = -(-_KEY_BYTES // config.cols)
    whole = places.shape[1] == config.cols and streamed(target.locked)[-1] == target.locked.program[-1]
    entries = places[0, 0] - config.cols * ENTRY.size + ENTRY.size * np.arange(config.cols)
    for number in range(budget.places if whole else 0):
        progress("places", number, budget.places)
        at = int(rng.integers(0, len(places) // rows)) * rows
        where = places[at : at + rows]
        if where[-1, -1] - where[0, 0] != where.size - 1:  # rows of two tiles
            continue
        watcher = _Watcher(device, target, target.ifmaps(1, seed + number)[0])
        if fixed is None:
            fixed = np.zeros(len(target.stream), np.uint8)
            scale = _finest_scale(watcher, entries, len(fixed))
            if scale is None:
                inferences += watcher.inferences
                break
            fixed[entries + SHIFT_BYTE] = scale
        seen = _directions(watcher, where, fixed, entries, budget.rounds, rng)
        inferences += watcher.inferences
        if seen is None:
            break
        if seen.all():
            key = _key_of(target, where, seen, device, watcher.ifmap)
            inferences += 1
        if key is not None:
            break
    right = key is not None and key == target.key
    return [Result(KEY, float(right), inferences=inferences), Result(WEIGHTS, float(right), inferences=inferences)]


def _key_of(target: DeviceTarget, where: np.ndarray, seen: np.ndarray, device: Device, ifmap: bytes) -> bytes | None:
    """The key with which the golden model says what the device says, of one for each choice of the activations' signs."""
    opened = target.opened
    if opened is None:
        return None
    job = target.locked.head, [target.locked.parameters], [ifmap]
    said = device.run(*job)
    for signs in product((1, -1), repeat=len(where)):
        # an upwards move with a positive activation: the bit was 0, but for the highest, which counts negative
        bits = (seen * np.array(signs)[:, None, None] < 0) ^ (np.arange(8) == 7)
        plain = (bits << np.arange(8)).sum(axis=-1).astype(np.uint8).ravel()[:_KEY_BYTES]
        at = int(where[0, 0])
        key = invert_schedule(opened[at : at + _KEY_BYTES] ^ plain, at)
        golden = GoldenDevice(target.config)
        golden.load_key(key)
        if golden.run(*job) == said:
            return key
    return None
