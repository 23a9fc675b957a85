"""What an accelerator checks of a head before it runs it. The golden device, the interpreter and the RTL refuse by these rules.

A rule is tested on records of numbers here, and on signals by hw/control/program_check.py, a word at a time. So that it holds
for both, it compares and combines with & and | alone, and divides nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_
from typing import Any

from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Descriptor, Opcode
from deeplock.pymodel.spec.header import MAGIC, VERSION, Header
from deeplock.pymodel.spec.record import WORDS
from deeplock.pymodel.spec.registers import Error

__all__ = [
    "MOST_LAYERS",
    "Rule", "broken_header", "broken_program", "descriptor_rules", "header_rules",
    "ofmap_beats", "parameter_bytes",
]  # fmt: skip

MOST_LAYERS = 255
"""That the hardware counts."""
_KBLOCKS_BITS = Descriptor.layout.fields["kblocks"].bits


@dataclass(frozen=True)
class Rule:
    """A rule of one record.

    field   the last of its fields in the record: RTL that reads word by word tests it there
    text    what the field must be
    breaks  whether a record, or what has its fields and products, breaks it
    error   the Error that says so
    """

    field: str
    text: str
    breaks: Callable[[Any], Any]
    error: Error = Error.BAD_DESCRIPTOR


def _is(name: str, value: int, error: Error = Error.BAD_DESCRIPTOR) -> Rule:
    return Rule(name, str(value), lambda record: getattr(record, name) != value, error)


def _more(value: Any, power: int) -> Any:
    """Whether a value is more than a power of two: without a comparison of sizes, which would be a chain of carries."""
    return (value >> (power.bit_length() - 1) != 0) & (value != power)


def _at_most(name: str, power: int, error: Error = Error.BAD_DESCRIPTOR) -> Rule:
    return Rule(name, f"at most {power}", lambda record: _more(getattr(record, name), power), error)


def _not_0(name: str) -> Rule:
    return Rule(name, "at least 1", lambda record: getattr(record, name) == 0)


_FEWER_LAYERS = Rule("layers", f"at most {MOST_LAYERS}", lambda header: header.layers > MOST_LAYERS, Error.TOO_LARGE)
"""For the largest program memory, which holds one layer more than the hardware counts."""


def header_rules(config: Config) -> list[Rule]:
    """What a header must be. If several rules are broken, the first one tells the error."""
    right = {
        "version": VERSION,
        "rows": config.rows,
        "cols": config.cols,
        "bytes_per_beat": config.bytes_per_beat,
        "suite": suite(config.suite).id,
        "dense": int(config.dense),
    }
    most = {
        "layers": config.program_words // WORDS,
        "activation_words": config.activation_words,
        "accumulators": config.accumulators,
        "ifmap_beats": config.ifmap_bytes // config.rows,
        "run_bytes": config.ifmap_bytes,
        "windows_x": config.ifmap_bytes,
        "windows_y": config.ifmap_bytes,
    }
    if suite(config.suite).seals:
        most["ofmap_beats"] = config.sealed_ofmap_beats
    nonzero = "layers", "batch", "parameter_beats", "ifmap_beats", "run_bytes", "runs", "windows_x", "windows_y"
    bytes_there = config.activation_words * config.rows
    return [
        _is("magic", MAGIC, Error.BAD_MAGIC),
        *(_is(name, value, Error.BAD_GEOMETRY) for name, value in right.items()),
        *(_at_most(name, value, Error.TOO_LARGE) for name, value in most.items()),
        *([_FEWER_LAYERS] if config.program_words > MOST_LAYERS * WORDS else []),
        *map(_not_0, nonzero),
        Rule(
            "windows_y",
            f"so many that the unfolded bytes are at most {bytes_there}",
            lambda header: _more(header.unfolded, bytes_there),
        ),
        *([] if config.dense else [_is("alternate", 0)]),
        Rule("alternate", "0 in odd batches", lambda header: (header.alternate == 1) & (header.batch % 2 == 1)),
    ]


def _opcode_rule(config: Config) -> Rule:
    """The opcodes that the accelerator has."""
    more = [Opcode.TABLE] * config.tables + [Opcode.PRODUCT] * config.products
    if not more:
        return _is("opcode", Opcode.LAYER)
    text = " or ".join(str(int(opcode)) for opcode in (Opcode.LAYER, *more))
    return Rule(
        "opcode", text, lambda layer: reduce(and_, (layer.opcode != opcode for opcode in (Opcode.LAYER, *more)))
    )


def descriptor_rules(config: Config) -> list[Rule]:
    """What a descriptor must be, so that weight loader, feeder and post-processor agree on the layer and it comes to an end.

    Addresses have no rule: they wrap at the end of the activation memory.
    """
    cols = config.cols
    nonzero = "groups", "cblocks", "rows_last", "kernel_w", "kernel_h", "pool_w", "pool_h", "out_h"
    folds = range(cols.bit_length() if config.folding else 1)
    return [
        _opcode_rule(config),
        *map(_not_0, (*nonzero, "last_columns")),
        _at_most("rows_last", config.rows),
        Rule("fold", f"at most {folds[-1]}", lambda layer: layer.fold > folds[-1]),
        *([] if config.diagonal else [_is("diagonal", 0)]),
        _at_most("sliding", 2) if config.diagonal else _is("sliding", 0),
        *([_is("narrow", 1)] if config.sum_bits == 24 else []),
        Rule("alike", "0 in layers that are not diagonal", lambda layer: layer.alike > layer.diagonal),
        Rule(
            "streamed",
            f"0 in layers that are not diagonal, are alike, or have a rows_last other than {config.rows}",
            lambda layer: (
                (layer.streamed == 1) & ((layer.diagonal == 0) | (layer.alike == 1) | (layer.rows_last != config.rows))
            ),
        ),
        Rule(
            "diagonal",
            f"0 with a fold or without {cols // config.rows} cblocks",
            lambda layer: (layer.diagonal == 1) & ((layer.fold != 0) | (layer.cblocks != cols // config.rows)),
        ),
        Rule(
            "kernel_h",
            f"such that kernel_h x kernel_w x cblocks is kblocks; if `alike`, of {_KBLOCKS_BITS} bits, and kblocks 1",
            lambda layer: (
                ((layer.alike == 0) & (layer.kblocks_read != layer.kblocks))
                | ((layer.alike == 1) & ((layer.kblocks != 1) | (layer.kblocks_read >> _KBLOCKS_BITS != 0)))
            ),
        ),
        Rule(
            "pool_h",
            "1, as pool_w, if `sliding`",
            lambda layer: (layer.sliding != 0) & ((layer.pool_w != 1) | (layer.pool_h != 1)),
        ),
        Rule(
            "out_w",
            "at least 1, and a whole number of sliding windows",
            lambda layer: (
                (layer.out_w == 0)
                | ((layer.sliding != 0) & (layer.out_w == 1))
                | ((layer.sliding == 2) & (layer.out_w % 2 == 0))
            ),
        ),
        Rule(
            "out_h",
            f"such that the layer's pixels are at most {config.accumulators}",
            lambda layer: _more(layer.pixels, config.accumulators),
        ),
        Rule("hi", "at least lo", lambda layer: layer.lo > layer.hi),
        Rule(
            "last_columns",
            f"at most {cols} >> fold",
            lambda layer: reduce(
                or_, ((layer.fold == fold) & _more(layer.last_columns, cols >> fold) for fold in folds)
            ),
        ),
    ]


def _program_rule(header: Header, program: Sequence[Descriptor], config: Config) -> str:
    """What is wrong with the descriptors together; "" if nothing is."""
    taken, held, streams = 0, False, False
    for number, layer in enumerate(program, 1):
        if number == 1 and not layer.wait_input:
            return "descriptor 1: wait_input must be 1"
        if layer.wait_input and held:
            return f"descriptor {number}: wait_input must be 0 until the ifmap before is released"
        held = held or bool(layer.wait_input)
        if layer.release_input and not held:
            return f"descriptor {number}: release_input must be 0 without an ifmap"
        if streams and not layer.to_stream:
            return f"descriptor {number}: to_stream must be 1 behind descriptors of the ofmap"
        held, streams = held and not layer.release_input, bool(layer.to_stream)
        taken += layer.wait_input
    if held:
        return f"descriptor {len(program)}: release_input must be 1, or that of an earlier one"
    if not streams:
        return f"descriptor {len(program)}: to_stream must be 1 in the last one"
    if taken != header.batch:
        return f"header: batch must be the ifmaps that the program takes, {taken}, not {header.batch}"
    beats, most = ofmap_beats(program), config.sealed_ofmap_beats
    if suite(config.suite).seals and beats > most:
        return (
            f"descriptor {len(program)}: the ofmap must take at most {most} beats of {config.cols} bytes, not {beats}"
        )
    return ""


def ofmap_beats(program: Sequence[Descriptor]) -> int:
    """Beats of `cols` bytes that hold an inference's ofmap. Pixels are counted before pooling: as the accelerator counts."""
    return sum(layer.product("ofmap") for layer in program if layer.to_stream)


def parameter_bytes(program: Sequence[Descriptor], config: Config) -> int:
    """Bytes of the parameter stream that an inference takes. A header that says otherwise is no broken rule: as in a stream of
    another length, what is too much or too little shows at its end."""
    rows, cols = config.rows, config.cols
    return sum(layer.layer_bytes(rows, cols) for layer in program)


def broken_header(header: Header, config: Config) -> tuple[Error, str]:
    """The first rule that a header breaks: its Error, or Error.NONE, and a line that names field, rule and value."""
    for rule in header_rules(config):
        if rule.breaks(header):
            return rule.error, f"header: {rule.field} must be {rule.text}, not {getattr(header, rule.field)}"
    return Error.NONE, ""


def broken_program(header: Header, program: Sequence[Descriptor], config: Config) -> tuple[Error, str]:
    """The first rule that the descriptors behind a right header break, as `broken_header`."""
    rules = descriptor_rules(config)
    for number, layer in enumerate(program, 1):
        for rule in rules:
            if rule.breaks(layer):
                value = getattr(layer, rule.field)
                return rule.error, f"descriptor {number}: {rule.field} must be {rule.text}, not {value}"
    text = _program_rule(header, program, config)
    return Error.BAD_DESCRIPTOR if text else Error.NONE, text
