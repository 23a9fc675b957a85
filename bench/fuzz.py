"""`deeplock fuzz`: random heads, programs, lengths, aborts and key writes on the RTL, with the golden device beside it.

Programs keep the rules of spec/rules.py, or have been spoiled in a field or two. With a suite that seals they are
sealed with the right key, spoiled or not, so that more than the tag is tested; in some rounds a bit is flipped
afterwards. A round is a LOAD and a START. What the golden device says of it, the RTL must say too; bytes are compared
where a program defines them: where it reads what another part of the accelerator may be writing, they depend on the
streams' pauses, and only their number is compared.
"""

from dataclasses import dataclass, replace
from random import Random
from typing import Any, TypeVar

import numpy as np

from deeplock.pymodel.compiler.golden_device import GoldenDevice
from deeplock.pymodel.lock.sealing import SealedSuite
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import MODULUS, Descriptor
from deeplock.pymodel.spec.device import Outcome
from deeplock.pymodel.spec.header import Header
from deeplock.pymodel.spec.registers import Command, Error, Status
from deeplock.pymodel.spec.rules import broken_header, broken_program, ofmap_beats
from deeplock.sim.device import RtlDevice

__all__ = ["CONFIG", "fuzz", "spoiled"]

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

_Record = TypeVar("_Record", Header, Descriptor)

_STEPS = 50_000
"""Most words of activations that a round's layers read in all: rounds are short."""
_BYTES = 1 << 16
"""Most bytes of parameters of an inference."""
_LATE = 100
"""Cycles after the end of a run in which nothing more may leave."""


@dataclass(frozen=True)
class Job:
    """A round.

    faults       what has been done to it
    abort_after  cycles from START to ABORT
    cut          bytes of the head after which the packet ends
    defined      its bytes do not depend on time
    nonce        of a sealed loadable, and behind header and program its tag
    """

    header: Header
    program: list[Descriptor]
    sections: list[bytes]
    ifmaps: list[bytes]
    faults: tuple[str, ...] = ()
    abort_after: int | None = None
    cut: int | None = None
    defined: bool = True
    nonce: bytes = b""
    head_tag: bytes = b""

    @property
    def records(self) -> bytes:
        return b"".join(record.pack() for record in (self.header, *self.program))

    @property
    def head(self) -> bytes:
        packed = self.nonce + self.records + self.head_tag
        return packed if self.cut is None else packed[: self.cut]


def _layer(dice: Random, config: Config, streamed: bool) -> Descriptor:
    rows, cols, size = config.rows, config.cols, config.activation_words * config.rows
    kind = dice.choice(("streamed", "folded") if streamed else ("streamed", "folded", "diagonal", "alike", "sliding"))
    diagonal = int(kind in ("diagonal", "alike", "sliding"))
    alike = int(kind == "alike")
    kernel_h, kernel_w = dice.randint(1, 3), dice.randint(1, 3)
    cblocks = cols // rows if diagonal else dice.randint(1, 3)
    fold = dice.randint(1, cols.bit_length() - 1) if kind == "folded" else 0
    sliding = dice.randint(1, 2) if kind == "sliding" else 0
    pool_w, pool_h = (1, 1) if sliding else (dice.randint(1, 2), dice.randint(1, 2))
    out_w = 1 + sliding * dice.randint(1, 3) if sliding else dice.randint(1, 4)
    out_h = dice.randint(1, max(1, min(4, config.accumulators // (out_w * pool_w * pool_h))))
    last_columns = dice.randint(1, cols >> fold)
    groups = dice.randint(1, 3)
    lo = dice.randint(-128, 127)

    def step() -> int:
        return dice.randint(-2 * rows, 4 * rows)

    return Descriptor(
        diagonal_a=dice.randint(-128, 127),
        diagonal_b=dice.randint(-128, 127),
        multiplier=dice.randrange(1 << 16) | 1 << 15,
        bias=dice.randint(-(1 << 12), 1 << 12),
        shift_1=dice.randint(14, 24),
        kblocks=1 if alike else kernel_h * kernel_w * cblocks,
        groups=groups,
        fold=fold,
        cblocks=cblocks,
        rows_last=dice.randint(1, rows),
        diagonal=diagonal,
        alike=alike,
        source=dice.randrange(size),
        kernel_w=kernel_w,
        kernel_h=kernel_h,
        pool_w=pool_w,
        pool_h=pool_h,
        stride=dice.randint(0, 2),
        sliding=sliding,
        out_w=out_w,
        out_h=out_h,
        pad_value=dice.randint(-128, 127),
        in_h=dice.randint(1, 8),
        y0=dice.randint(-2, 2),
        window_stride=dice.randint(0, 3),
        row_bytes=dice.randint(1, 40),
        x0=dice.randint(-rows, rows),
        step_x=step(),
        step_y=step(),
        step_window=step(),
        step_row=step(),
        kernel_step=step() % MODULUS,
        column_step=step(),
        window_step=dice.randint(0, 3 * rows),
        destination=dice.randrange(size),
        zero_point=dice.randint(-128, 127),
        lo=lo,
        hi=dice.randint(lo, 127),
        last_columns=last_columns,
        narrow=dice.randrange(2),
        to_stream=0,
        pixel_bytes=(groups - 1) * cols + last_columns + dice.randrange(3),
    )


def _right(dice: Random, config: Config) -> Job:
    """A head that no rule forbids, with streams as long as it says."""
    count = dice.randint(1, 4)
    program = [_layer(dice, config, number == count - 1) for number in range(count)]
    outputs = dice.randint(1, count)
    held, ifmaps = False, 0
    for number, layer in enumerate(program):
        takes = not held and (number == 0 or dice.random() < 0.3)
        held, ifmaps = held or takes, ifmaps + takes
        releases = held and (number == count - 1 or dice.random() < 0.4)
        held = held and not releases
        to_stream = int(number >= count - outputs)
        program[number] = replace(layer, wait_input=int(takes), release_input=int(releases), to_stream=to_stream)
    taken = sum(
        layer.group_bytes(group, config.rows, config.cols) for layer in program for group in range(layer.groups)
    )
    run_bytes, runs = dice.randint(1, 8), dice.randint(1, 3)
    header = Header(
        rows=config.rows,
        cols=config.cols,
        bytes_per_beat=config.bytes_per_beat,
        suite=suite(config.suite).id,
        layers=count,
        batch=ifmaps,
        parameter_beats=taken // config.bytes_per_beat,
        activation_words=config.activation_words,
        accumulators=config.accumulators,
        ifmap_beats=dice.randint(1, config.ifmap_bytes // config.rows),
        run_bytes=run_bytes,
        runs=runs,
        run_pitch=dice.randrange(32),
        x_pitch=dice.randrange(16),
        y_pitch=dice.randrange(32),
        windows_x=dice.randint(1, 3),
        windows_y=dice.randint(1, 3),
        destination=dice.randrange(config.activation_words),
        dense=int(config.dense),
        ofmap_beats=dice.choice((0, ofmap_beats(program))),  # the device adds up itself
        alternate=dice.randrange(2) if ifmaps % 2 == 0 else 0,
    )
    inferences = dice.randint(1, 3)
    return Job(
        header,
        program,
        [dice.randbytes(taken) for _ in range(inferences)],
        [dice.randbytes(header.ifmap_beats * config.rows) for _ in range(inferences * header.batch)],
        defined=_is_defined(header, program, config),
    )


def spoiled(dice: Random, record: _Record) -> _Record:
    """The record with one field changed."""
    name = dice.choice(list(record.layout.fields))
    least, most = record.layout.fields[name].range
    there = getattr(record, name)
    value = dice.choice((least, most, there + 1, there - 1, there ^ 1 << dice.randrange(12), dice.randint(least, most)))
    return replace(record, **{name: min(max(value, least), most)})


def _job(dice: Random, config: Config) -> Job:
    """A random round: right, or with one or two faults in its head, or one in its streams, or aborted."""
    job = _right(dice, config)
    kind = dice.choices(("right", "head", "section", "ifmap", "truncated head", "abort"), (30, 40, 8, 8, 4, 10))[0]
    if kind == "head":
        header, program = job.header, list(job.program)
        for _ in range(dice.randint(1, 2)):
            at = dice.randrange(len(program) + 1)
            if at:
                program[at - 1] = spoiled(dice, program[at - 1])
            else:
                header = spoiled(dice, header)
        if sum(layer.pixels * layer.kblocks_read * layer.groups for layer in program) > _STEPS:
            return _job(dice, config)
        right = not broken_header(header, config)[0] and not broken_program(header, program, config)[0]
        defined = bool(right) and _is_defined(header, program, config)
        job = replace(job, header=header, program=program, defined=defined)
        if right:  # with streams as long as the header says
            size, packet = header.parameter_beats * config.bytes_per_beat, header.ifmap_beats * config.rows
            if size > _BYTES:
                return _job(dice, config)
            sections = [dice.randbytes(size) for _ in job.sections]
            job = replace(job, sections=sections, ifmaps=[dice.randbytes(packet) for _ in job.ifmaps])
    elif kind == "section":
        at, beat = dice.randrange(len(job.sections)), config.bytes_per_beat
        section = job.sections[at]
        cut = dice.randrange(beat, len(section), beat) if dice.random() < 0.7 else 0
        wrong = section[:cut] if cut else section + dice.randbytes(beat)
        job = replace(job, sections=[*job.sections[:at], wrong, *job.sections[at + 1 :]])
    elif kind == "ifmap":
        at, beat = dice.randrange(len(job.ifmaps)), config.rows
        packet = job.ifmaps[at]
        wrong = packet[:-beat] if len(packet) > beat and dice.random() < 0.5 else packet + dice.randbytes(beat)
        job = replace(job, ifmaps=[*job.ifmaps[:at], wrong, *job.ifmaps[at + 1 :]])
    elif kind == "truncated head":
        beat = config.bytes_per_beat
        job = replace(job, cut=dice.randrange(beat, len(job.head) + 1, beat), sections=[b"", *job.sections[1:]])
    elif kind == "abort":
        job = replace(job, abort_after=dice.randrange(1, 1 << dice.randint(1, 12)))
    return replace(job, faults=(kind,))


def _sealed(dice: Random, job: Job, config: Config, key: bytes) -> Job:
    """The job sealed with `key`, in some rounds with a bit flipped afterwards."""
    chosen, beat = suite(config.suite), config.bytes_per_beat
    if not isinstance(chosen, SealedSuite):
        return job
    nonce = bytes(1) + dice.randbytes(chosen.cipher.NONCE_BYTES - 1)
    nonce = nonce.ljust(chosen.nonce_bytes(beat), b"\0")
    locked = [chosen.seal_under(nonce, job.records, section, key, beat) for section in job.sections]
    cut = job.cut
    if cut is not None:
        whole = len(nonce) + len(job.records) + len(locked[0].head_tag)
        cut = dice.randrange(beat, whole + 1, beat)
    sealed = replace(
        job,
        nonce=nonce,
        head_tag=locked[0].head_tag,
        cut=cut,
        sections=[each.parameters if section else b"" for each, section in zip(locked, job.sections, strict=True)],
    )
    if job.faults != ("right",) or dice.random() < 0.7:
        return sealed
    part = dice.randrange(len(sealed.sections) + 2)
    if part == 0:
        return replace(sealed, nonce=_flipped(dice, sealed.nonce), faults=("nonce bit",))
    if part == 1:
        return replace(sealed, head_tag=_flipped(dice, sealed.head_tag), faults=("head tag bit",))
    sections = list(sealed.sections)
    sections[part - 2] = _flipped(dice, sections[part - 2])
    return replace(sealed, sections=sections, faults=("parameter bit",))


def _flipped(dice: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    changed[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def _addresses(first: np.ndarray, size: int) -> set[int]:
    return set((first % size).ravel().tolist())


def _is_defined(header: Header, program: list[Descriptor], config: Config) -> bool:
    """Whether no part of the accelerator reads or writes what another may be writing at the time.

    A layer must not read what it writes itself, nor the ifmap's place while it does not hold it, nor write there; and it must
    say that it needs all results of the layer before (`slack`).
    """
    rows, cols, size = config.rows, config.cols, config.activation_words * config.rows
    spaces = [_addresses(header.first_word(n) * rows + np.arange(header.unfolded), size) for n in range(2)]
    if header.alternate and spaces[0] & spaces[1]:
        return False
    held, taken = False, 0
    for layer in program:
        held = held or bool(layer.wait_input)
        taken += layer.wait_input
        reads: set[int] = set()
        inside = ~layer.outside(rows)
        inside[..., layer.run_bytes(rows) :] = False
        for group in range(layer.groups):
            at = layer.reads(group, rows, cols)[:, :, None] + np.arange(layer.cblocks * rows)
            reads |= _addresses(at[inside], size)
        pixel = layer.destination + np.arange(layer.results_w * layer.out_h)[:, None] * layer.pixel_bytes
        writes = set() if layer.to_stream else _addresses(pixel + np.arange(layer.channels(cols)), size)
        mine = spaces[(taken - 1) % 2] if held else set()
        others = (spaces[0] | spaces[1]) - mine
        if layer.slack or reads & writes or writes & (spaces[0] | spaces[1]) or reads & others:
            return False
        held = held and not layer.release_input
    return True


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
    with RtlDevice(config, watchdog=3 * _STEPS, progress=progress, pauses=0.2, seed=seed) as rtl:
        pair = _Pair(rtl, GoldenDevice(config))
        synced = False
        for number in range(rounds):
            progress(f"rounds, {counts['disagreements']} disagreements", number, rounds)
            counts["rounds"] += 1
            trouble = "" if dice.random() > 0.1 or _key_writes(dice, pair) else "key writes are answered otherwise"
            if not synced or not pair.golden.keyed or dice.random() < 0.2:  # a new key also erases both memories
                pair.load_key(dice.randbytes(16))
            job = _sealed(dice, _job(dice, config), config, pair.golden.key)
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
