"""Program check: holds header and descriptors against the rules of pymodel/spec/rules.py, a word at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from deeplock.hw.basics.layouts import DescriptorLayout, HeaderLayout
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Descriptor
from deeplock.pymodel.spec.entry import ENTRY
from deeplock.pymodel.spec.header import Header
from deeplock.pymodel.spec.record import WORDS, Record
from deeplock.pymodel.spec.registers import Error
from deeplock.pymodel.spec.rules import descriptor_rules, header_rules

__all__ = ["HeadWord", "ProgramCheck", "steps_of"]

HeadWord = data.StructLayout({"data": 32, "number": ceil_log2(WORDS), "of_header": 1})
"""A word of a head: that of this number in the header or in a descriptor."""

_ERRORS = (Error.BAD_MAGIC, Error.BAD_GEOMETRY, Error.TOO_LARGE, Error.BAD_DESCRIPTOR)
"""In order of precedence: the first that applies is reported."""
_WHOLE, _FOLDED = "whole", "folded"
"""Products: beats of `cols` bytes that a layer's whole groups take, and its last one if that is folded."""


@dataclass(frozen=True)
class _Step:
    """A factor is multiplied.

    product  its name
    factor   a number or a signal
    first    it is the product's first one
    last     its last one
    onto     is added to the product
    shift    the factor is divided by 2 ** shift first, and rounded up
    """

    product: str
    factor: Any
    first: bool
    last: bool
    onto: int = 0
    shift: Any = 0


def _factors(record: type[Record], fields: Any, word: int) -> list[_Step]:
    """Those in a word, in order."""
    return [
        _Step(product, getattr(fields, name), name == factors[0], name == factors[-1])
        for product, factors in record.products.items()
        for name in factors
        if record.layout.fields[name].word == word
    ]


def _streamed(layer: Any, config: Config, height: Any) -> list[_Step]:
    """What a layer takes from the stream, in beats of `cols` bytes: each group an entry, and as many as its tiles have rows.

    height  of the tiles of the last group, if that is folded
    """
    steps = [
        _Step(_WHOLE, config.rows, True, False),
        _Step(_WHOLE, layer.cblocks - 1, False, False, layer.rows_last),
        _Step(_WHOLE, layer.kernel_w, False, False),
        _Step(_WHOLE, layer.kernel_h, False, False, ENTRY.size),
        _Step(_WHOLE, layer.groups - (layer.fold != 0), False, True),
    ]
    if config.folding:
        steps += [
            _Step(_FOLDED, height, True, False),
            _Step(_FOLDED, layer.kblocks, False, True, ENTRY.size, layer.fold),
        ]
    return steps


def _steps(record: type[Record], fields: Any, word: int, config: Config, height: Any) -> list[_Step]:
    """All factors that are multiplied while a word waits."""
    steps = _factors(record, fields, word)
    if record is Descriptor and word == Descriptor.layout.fields["kernel_h"].word:
        steps[2:2] = _streamed(fields, config, height)  # behind kernel_w and kernel_h
    return steps


def steps_of(record: Record, config: Config) -> int:
    """Cycles that the check takes for a record that breaks no rule."""
    height = record.rows_last if isinstance(record, Descriptor) and record.cblocks == 1 else config.rows
    steps = [step for word in range(WORDS) for step in _steps(type(record), record, word, config, height)]
    return WORDS + sum(1 + max(step.factor.bit_length(), step.shift) for step in steps)


class _Fields:
    """A record as its rules see it while word `number` is at hand: fields of this word and of earlier ones, and products."""

    def __init__(
        self, record: type[Record], number: int, word: data.View, kept: Callable[[str], Value], product: Value
    ):
        self._record, self._number, self._word, self._kept, self._product = record, number, word, kept, product
        self.seen: set[str] = set()  # products among what a rule asked for

    def __getattr__(self, name: str) -> Value:
        if name in self._record.products:
            self.seen.add(name)
            return self._product
        word = self._record.layout.fields[name].word
        assert word <= self._number, f"{name} comes after word {self._number}"
        return self._word[name] if word == self._number else self._kept(name)


class ProgramCheck(wiring.Component):
    """Takes a head word by word, and tells the error of the rule that it breaks.

    Products are made bit by bit, while the word of a factor waits. One that is too large for its register breaks its rule. The
    descriptors' parameters must be as many as the header says: this, too, are products.

    Latency: `error` and `incomplete` are those of all words taken before. Throughput: a word a cycle; a word takes a cycle more
    for each factor of a product in it, and for each bit of the factor up to its highest one. In all: `steps_of`.

    Members:
        begin       pulse, before a head; no word comes with it
        words       of the header, then of descriptors, in order
        header      the header's words taken so far
        error       Error.NONE if no rule is broken
        incomplete  the descriptors, so far, are no whole program, or take other parameters than the header says
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "begin": In(1),
                "words": In(stream.Signature(HeadWord)),
                "header": In(HeaderLayout),
                "error": Out(8),
                "incomplete": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config, words = self._config, self.words

        # `product` grows by `multiple`, which doubles, for each bit of `factor`; the first `shift` bits are rounded up to one
        most = max(config.activation_words * config.rows, config.accumulators, (1 << 16) - 1)
        sections = self.header.parameter_beats[ceil_log2(config.cols // config.bytes_per_beat) :]  # of `cols` bytes
        product, overflow = Signal(max(most.bit_length(), len(sections))), Signal()
        multiple, factor = Signal.like(product), Signal(16)
        total = product + multiple
        shift, lost = Signal(Descriptor.layout.fields["fold"].bits), Signal()
        shifts = shift.any()
        multiplies = factor.any() | shifts
        adds = Mux(shifts, (shift == 1) & (lost | factor[0]), factor[0])
        with m.If(multiplies):
            m.d.sync += factor.eq(factor >> 1)
            with m.If(adds):
                m.d.sync += product.eq(total)
            with m.If(shifts):
                m.d.sync += [shift.eq(shift - 1), lost.eq(lost | factor[0])]
            with m.Else():
                m.d.sync += multiple.eq(multiple << 1)
            m.d.sync += overflow.eq(overflow | (adds & total[-1]) | (~shifts & multiple[-1] & factor[1:].any()))

        step, last_step = Signal(range(12)), Signal()  # factors of this word that have been taken; it is all of them
        next_factor, first, onto = Signal.like(factor), Signal(), Signal(5)
        next_shift = Signal.like(shift)
        rests = words.valid & ~multiplies
        m.d.comb += [last_step.eq(1), words.ready.eq(~multiplies & last_step)]
        with m.If(rests & ~last_step):
            m.d.sync += [
                step.eq(step + 1),
                factor.eq(next_factor),
                multiple.eq(Mux(first, 1, product)),
                product.eq(onto),
            ]
            m.d.sync += [overflow.eq(overflow & ~first), shift.eq(next_shift), lost.eq(0)]
        with m.If(rests & last_step):
            m.d.sync += step.eq(0)

        broken = {error: Signal(name=error.name.lower()) for error in _ERRORS}
        kept: dict[str, Signal] = {}  # fields of the descriptor that rules on later words ask for

        def keep(name: str) -> Signal:
            if name not in kept:
                kept[name] = Signal(DescriptorLayout[name].shape, name=name, reset_less=True)
            return kept[name]

        parameters = Signal.like(sections)
        whole_ends, folded_ends = Signal(), Signal()
        value = words.payload.data.replicate(WORDS)
        records = (
            (0, Descriptor, DescriptorLayout, descriptor_rules(config), keep),
            (1, Header, HeaderLayout, header_rules(config), self.header.__getitem__),
        )
        height = Mux(keep("cblocks") == 1, keep("rows_last"), config.rows)
        with m.If(rests), m.Switch(Cat(words.payload.number, words.payload.of_header)):
            for of_header, record, layout, rules, kept_field in records:
                for number in range(WORDS):
                    with m.Case(number + WORDS * of_header):
                        fields = _Fields(record, number, data.View(layout, value), kept_field, Cat(product, overflow))
                        steps = _steps(record, fields, number, config, height)
                        m.d.comb += last_step.eq(step == len(steps))
                        ends = {}  # of each product that is whole with this word
                        for at, each in enumerate(steps):
                            with m.If(step == at):
                                m.d.comb += [next_factor.eq(each.factor), first.eq(each.first), onto.eq(each.onto)]
                                m.d.comb += next_shift.eq(each.shift)
                            if each.last:
                                ends[each.product] = step == at + 1
                        m.d.comb += [whole_ends.eq(ends.get(_WHOLE, 0)), folded_ends.eq(ends.get(_FOLDED, 0))]
                        for rule in rules:
                            if record.layout.fields[rule.field].word == number:
                                breaks = rule.breaks(fields)
                                for name in fields.seen:
                                    breaks &= ends[name]
                                fields.seen.clear()
                                with m.If(breaks):
                                    m.d.sync += broken[rule.error].eq(1)
        takes = whole_ends | (folded_ends & (keep("fold") != 0))
        with m.If(rests & takes & ~keep("diagonal")):
            m.d.sync += parameters.eq(parameters + product)
            with m.If(overflow | ((parameters + product) >> len(parameters)).any()):
                m.d.sync += broken[Error.BAD_DESCRIPTOR].eq(1)

        is_descriptor = words.valid & ~words.payload.of_header
        descriptor = data.View(DescriptorLayout, value)
        for name, register in kept.items():
            with m.If(is_descriptor & (words.payload.number == DescriptorLayout[name].offset // 32)):
                m.d.sync += register.eq(descriptor[name])

        for error in reversed(_ERRORS):
            with m.If(broken[error]):
                m.d.comb += self.error.eq(error)
        unordered = self._order(m, is_descriptor & words.ready, descriptor, broken[Error.BAD_DESCRIPTOR])
        odd = self.header.parameter_beats[: 24 - len(sections)].any()
        m.d.comb += self.incomplete.eq(unordered | odd | (parameters != sections))
        with m.If(self.begin):
            m.d.sync += [flag.eq(0) for flag in broken.values()]
            m.d.sync += [step.eq(0), factor.eq(0), shift.eq(0), parameters.eq(0)]
        return m

    def _order(self, m: Module, taken: Value, descriptor: data.View, broken: Signal) -> Value:
        """What the descriptors must be to each other: ifmaps are taken and released in turn, and the ofmap comes last. Returns
        whether something is still missing."""
        number = self.words.payload.number
        any_taken, held, streams = Signal(), Signal(), Signal()
        ifmaps = Signal.like(self.header.batch)
        takes, releases, to_stream = descriptor.wait_input, descriptor.release_input, descriptor.to_stream
        with m.If(taken & (number == DescriptorLayout["wait_input"].offset // 32)):
            m.d.sync += [any_taken.eq(1), ifmaps.eq(ifmaps + takes), held.eq((held | takes) & ~releases)]
            with m.If(Mux(takes, held, ~any_taken | (releases & ~held))):
                m.d.sync += broken.eq(1)
        with m.If(taken & (number == DescriptorLayout["to_stream"].offset // 32)):
            m.d.sync += streams.eq(to_stream)
            with m.If(streams & ~to_stream):
                m.d.sync += broken.eq(1)
        with m.If(self.begin):
            m.d.sync += [any_taken.eq(0), held.eq(0), streams.eq(0), ifmaps.eq(0)]
        return held | ~streams | (ifmaps != self.header.batch)
