"""Random jobs for `deeplock fuzz`: heads, programs and streams, right ones and spoiled ones."""

from dataclasses import dataclass, replace
from random import Random
from typing import TypeVar

import numpy as np

from deeplock.pymodel.attacks.bits import flip
from deeplock.pymodel.lock.sealing import SealedSuite
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import MODULUS, Descriptor, Opcode
from deeplock.pymodel.spec.header import Header
from deeplock.pymodel.spec.rules import broken_header, broken_program, ofmap_beats, parameter_bytes

__all__ = ["STEPS", "Job", "draw_job", "seal_job", "spoiled"]

_Record = TypeVar("_Record", Header, Descriptor)

STEPS = 50_000
"""Most words of activations that a round's layers read in all: rounds are short."""
_BYTES = 1 << 16
"""Most bytes of parameters of an inference."""


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


def _opcode(dice: Random, config: Config) -> Opcode:
    """Mostly that of any layer."""
    more = [Opcode.TABLE] * config.tables + [Opcode.PRODUCT] * config.products
    return dice.choice(more) if more and dice.random() < 0.3 else Opcode.LAYER


def _layer(dice: Random, config: Config, streamed: bool) -> Descriptor:
    rows, cols, size = config.rows, config.cols, config.activation_words * config.rows
    made = () if streamed else ("diagonal", "alike", "sliding")
    kind = dice.choice(("streamed", "folded", "depthwise", *made))
    diagonal = int(kind in ("depthwise", *made))
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
        rows_last=rows if kind == "depthwise" else dice.randint(1, rows),
        diagonal=diagonal,
        alike=alike,
        streamed=int(kind == "depthwise"),
        opcode=_opcode(dice, config),
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
        zero_a=dice.randint(-128, 127) if config.products else 0,
        zero_b=dice.randint(-128, 127) if config.products else 0,
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
    taken = parameter_bytes(program, config)
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


def draw_job(dice: Random, config: Config) -> Job:
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
        if sum(layer.pixels * layer.kblocks_read * layer.groups for layer in program) > STEPS:
            return draw_job(dice, config)
        right = not broken_header(header, config)[0] and not broken_program(header, program, config)[0]
        defined = bool(right) and _is_defined(header, program, config)
        job = replace(job, header=header, program=program, defined=defined)
        if right:  # with streams as long as the header says
            size, packet = header.parameter_beats * config.bytes_per_beat, header.ifmap_beats * config.rows
            if size > _BYTES:
                return draw_job(dice, config)
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


def seal_job(dice: Random, job: Job, config: Config, key: bytes) -> Job:
    """The job sealed with `key`, in some rounds with a bit flipped afterwards."""
    chosen, beat = suite(config.suite), config.bytes_per_beat
    if not isinstance(chosen, SealedSuite):
        return job
    nonce = chosen.nonce_of(dice.randbytes, beat)
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
    return flip(data, dice.randrange(8 * len(data)))


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
