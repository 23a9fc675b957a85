"""`deeplock fuzz`: random heads, programs, lengths, aborts and key writes on the RTL, with the golden device beside it.

Programs keep the rules of spec/rules.py, or have been spoiled in a field or two. With a suite that seals they are
sealed with the right key, spoiled or not, so that more than the tag is tested; in some rounds a bit is flipped
afterwards. A round is a LOAD and a START. What the golden device says of it, the RTL must say too; bytes are compared
where a program defines them: where it reads what another part of the accelerator may be writing, they depend on the
streams' pauses, and only their number is compared.
"""

from dataclasses import replace
from random import Random
from typing import Any

from deeplock.bench.fuzz_jobs import STEPS, Job, draw_job, seal_job
from deeplock.pymodel.compiler.golden_device import GoldenDevice
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.device import Outcome
from deeplock.pymodel.spec.registers import Command, Error, Status
from deeplock.sim.device import RtlDevice

__all__ = ["CONFIG", "fuzz"]

CONFIG = Config(
    rows=4,
    cols=8,
    bytes_per_beat=4,
    lanes=4,
    activation_words=64,
    accumulators=32,
    program_words=128,
    ifmap_bytes=64,
)
"""Small memories, so that random addresses meet, counts reach their limits, and a round is short."""

_LATE = 100
"""Cycles after the end of a run in which nothing more may leave."""


def _differs(job: Job, found: Outcome, expected: Outcome) -> str:
    """What the RTL says otherwise than the golden device; "" if nothing."""
    if found.hangs:
        return "it hangs"
    if job.abort_after is not None and found.error == Error.ABORTED:
        expected = replace(expected, error=Error.ABORTED)
    if found.error != expected.error:
        return f"error {found.error.name}, not {expected.error.name}"
    whole = found.error == Error.NONE
    if whole and found.rest:
        return "an ofmap without an end"
    count = len(expected.ofmaps) if whole else len(found.ofmaps)
    if len(found.ofmaps) != count or [*map(len, found.ofmaps)] != [*map(len, expected.ofmaps)][:count]:
        return f"ofmaps of {[*map(len, found.ofmaps)]} bytes, not {[*map(len, expected.ofmaps)]}"
    if job.defined and list(found.ofmaps) != list(expected.ofmaps)[:count]:
        return "other ofmap bytes"
    return ""


class _Pair:
    """The RTL and the golden device, which get the same."""

    def __init__(self, rtl: RtlDevice, golden: GoldenDevice) -> None:
        self.rtl, self.golden = rtl, golden

    def write(self, name: str, value: int) -> bool:
        """Whether both answer alike."""
        return self.rtl.write(name, value) == self.golden.write(name, value) and self.statuses_agree()

    def statuses_agree(self) -> bool:
        """All of STATUS, but for the erasing, which takes time."""
        return self.rtl.status() & ~Status.ERASING == self.golden.status()

    def load_key(self, key: bytes) -> None:
        for device in (self.rtl, self.golden):
            device.load_key(key)


def _key_writes(dice: Random, pair: _Pair) -> bool:
    """Random writes to the key registers, most of them in order; whether both devices answer alike."""
    follows = "KEY_SIZE"
    for _ in range(dice.randint(1, 12)):
        name = follows if dice.random() < 0.8 else dice.choice(["KEY_SIZE", "CONTROL", *(f"KEY{i}" for i in range(8))])
        value = Command.ZEROISE if name == "CONTROL" else dice.choice((16, 16, 24, 32, 20))
        if not pair.write(name, value):
            return False
        number = int(name[3:]) + 1 if name[3:].isdigit() else 0
        follows = f"KEY{number}" if number < 8 else "KEY_SIZE"
    return True


def fuzz(rounds: int, seed: int, config: Config = CONFIG, progress: Progress = quiet) -> dict[str, Any]:
    """Run the rounds. Returns {"rounds", "hangs", "outputs_after_error", "disagreements", "errors": {name: rounds},
    "compared_bytes": rounds, "first": a line on the first disagreement, "seed"}.

    outputs_after_error  rounds of a head that is refused in which a beat left, and those in which one left after the end; of a
                         sealed loadable, also those in which one left of an inference that the golden device refuses
    """
    dice = Random(seed)
    counts = {"rounds": 0, "hangs": 0, "outputs_after_error": 0, "disagreements": 0}
    errors: dict[str, int] = {}
    compared, first = 0, ""
    with RtlDevice(config, watchdog=3 * STEPS, progress=progress, pauses=0.2, seed=seed) as rtl:
        pair = _Pair(rtl, GoldenDevice(config))
        synced = False
        for number in range(rounds):
            progress(f"rounds, {counts['disagreements']} disagreements", number, rounds)
            counts["rounds"] += 1
            trouble = "" if dice.random() > 0.1 or _key_writes(dice, pair) else "key writes are answered otherwise"
            if not synced or not pair.golden.keyed or dice.random() < 0.2:  # a new key also erases both memories
                pair.load_key(dice.randbytes(16))
            job = seal_job(dice, draw_job(dice, config), config, pair.golden.key)
            expected = pair.golden.run(job.head, job.sections, job.ifmaps)
            found = rtl.run(job.head, job.sections, job.ifmaps, job.abort_after)
            if job.abort_after is not None:
                pair.golden.write("CONTROL", Command.ABORT)
                if found.error == Error.ABORTED:
                    pair.golden.stop(Error.ABORTED)
            trouble = trouble or _differs(job, found, expected)
            if not trouble and not pair.statuses_agree():
                trouble = f"STATUS 0x{rtl.status():04x}, not 0x{pair.golden.status():04x}"
            refused = expected.error in (Error.BAD_MAGIC, Error.BAD_GEOMETRY, Error.TOO_LARGE, Error.BAD_DESCRIPTOR)
            # beats of an inference whose tag was not right, or had not come
            unproved = suite(config.suite).seals and bool(found.rest) and len(found.ofmaps) >= len(expected.ofmaps)
            late = bool(rtl.later(_LATE)) or (refused and bool(found.ofmaps or found.rest)) or unproved
            counts["outputs_after_error"] += late
            counts["hangs"] += found.hangs
            counts["disagreements"] += bool(trouble)
            errors[found.error.name] = errors.get(found.error.name, 0) + 1
            compared += job.defined and bool(found.ofmaps)
            synced = job.defined and not trouble
            if trouble and not first:
                first = f"round {number}, {', '.join(job.faults)}: {trouble}"
    return counts | {"errors": dict(sorted(errors.items())), "compared_bytes": compared, "first": first, "seed": seed}
