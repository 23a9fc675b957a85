"""Program check: holds header and descriptors against the rules of pymodel/spec/rules.py, a word at a time."""

from collections.abc import Callable
from functools import partial

from amaranth import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from deeplock.hw.basics.layouts import DescriptorLayout, HeaderLayout
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Descriptor
from deeplock.pymodel.spec.header import Header
from deeplock.pymodel.spec.record import WORDS, Record
from deeplock.pymodel.spec.registers import Error
from deeplock.pymodel.spec.rules import Rule, descriptor_rules, header_rules

__all__ = ["HeadWord", "ProgramCheck", "factors_in", "factors_of", "steps_of"]

_MOST_FACTORS = 4  # in a word
HeadWord = data.StructLayout(
    {"data": 32, "number": ceil_log2(WORDS), "of_header": 1, "factors": range(_MOST_FACTORS + 1)}
)
"""A word of a head: that of this number in the header or in a descriptor, and how many factors of products are in it."""

_ERRORS = (Error.BAD_MAGIC, Error.BAD_GEOMETRY, Error.TOO_LARGE, Error.BAD_DESCRIPTOR)
"""In order of precedence: the first that applies is reported."""


def factors_of(record: type[Record], word: int, seals: bool) -> list[tuple[str, str]]:
    """What is multiplied in a word, in order: product and factor, a field of this word or of one before."""
    found, ends = [], {}  # the word in which a product is complete
    for product, factors in record.products.items():
        at = 0
        for factor in factors:
            at = ends[factor] if factor in ends else max(at, record.layout.fields[factor].word)
            if at == word and factor not in ends:
                found.append((product, factor))
        ends[product] = at
    return [each for each in found if seals or each[0] != "ofmap"]


def factors_in(number: Value, of_header: Value, seals: bool) -> Value:
    """HeadWord.factors of this word; `seals`: the suite does."""
    counts = [len(factors_of(record, word, seals)) for record in (Descriptor, Header) for word in range(WORDS)]
    return Array(counts)[Cat(number, of_header)]


def _factor_bits(record: type[Record]) -> int:
    """The bits of the widest factor."""
    fields = record.layout.fields
    return max(fields[name].bits for factors in record.products.values() for name in factors if name in fields)


def steps_of(record: Record, seals: bool = False) -> int:
    """Cycles that the check takes for a record that breaks no rule. seals: the suite does."""
    factors = [factor for word in range(WORDS) for _, factor in factors_of(type(record), word, seals)]
    return WORDS + sum(1 + max(1, getattr(record, factor).bit_length()) for factor in factors)


class _Fields:
    """A record as its rules see it while word `number` is at hand: fields of this word and of earlier ones, and products."""

    def __init__(
        self, record: type[Record], number: int, word: data.View, kept: Callable[[str], Value], product: Value
    ):
        self.record, self.number, self._word, self._kept, self._product = record, number, word, kept, product
        self.seen: set[str] = set()  # products among what a rule asked for

    def __getattr__(self, name: str) -> Value:
        if name in self.record.products:
            self.seen.add(name)
            return self._product
        word = self.record.layout.fields[name].word
        assert word <= self.number, f"{name} comes after word {self.number}"
        return self._word[name] if word == self.number else self._kept(name)


class _Product(wiring.Component):
    """A product of factors, made bit by bit.

    size    of the product
    bits    of a factor

    Latency: a cycle and the bits of the factor up to its highest one, at least one, in which it is `busy`.

    Members:
        load, factor, first  pulse, not while `busy`: multiply by `factor`; `first`: a new product begins with it
        clear                pulse, not with `load`: no longer `busy`
        value                the product; its top bit says that it has become too large, also for a while in the past
    """

    def __init__(self, size: int, bits: int):
        super().__init__(
            {
                "load": In(1),
                "factor": In(bits),
                "first": In(1),
                "clear": In(1),
                "busy": Out(1),
                "value": Out(size + 1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        # `product` grows by `multiple`, which doubles, for each bit of `factor`
        product, overflow = Signal(len(self.value) - 1), Signal()
        multiple, factor = Signal.like(product), Signal.like(self.factor)
        total = product + multiple
        m.d.comb += self.value.eq(Cat(product, overflow))
        with m.If(self.busy):
            with m.If(factor[0]):
                m.d.sync += product.eq(total)
            m.d.sync += [multiple.eq(multiple << 1), factor.eq(factor >> 1), self.busy.eq(factor[1:].any())]
            m.d.sync += overflow.eq(overflow | (factor[0] & total[-1]) | (multiple[-1] & factor[1:].any()))
        with m.If(self.load):
            m.d.sync += [factor.eq(self.factor), multiple.eq(Mux(self.first, 1, product)), product.eq(0)]
            m.d.sync += self.busy.eq(1)
            m.d.sync += overflow.eq(overflow & ~self.first)
        with m.If(self.clear):
            m.d.sync += [factor.eq(0), self.busy.eq(0)]
        return m


class ProgramCheck(wiring.Component):
    """Takes a head word by word, and tells the error of the rule that it breaks.

    Products are made bit by bit, while the word of a factor waits. One that is too large for its register breaks its rule.

    Latency: `error` and `incomplete` are those of all words taken before; with `config.pipeline_registers`, `error` lacks one
    taken in the cycle before. Throughput: a word a cycle; a word takes a cycle more for each factor of a product in it, and for
    each bit of the factor up to its highest one. In all: `steps_of`.

    Members:
        begin       pulse, before a head; no word comes with it
        words       of the header, then of descriptors, in order
        header      the header's words taken so far
        error       Error.NONE if no rule is broken
        settling    `error` is still without the last word
        incomplete  the descriptors, so far, are no whole program
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "begin": In(1),
                "words": In(stream.Signature(HeadWord)),
                "header": In(HeaderLayout),
                "error": Out(8),
                "settling": Out(1),
                "incomplete": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config, words = self.config, self.words
        most = max(config.activation_words * config.rows, config.accumulators, (1 << 16) - 1)
        # a larger factor of a header breaks a rule of its own
        bits = max(config.ifmap_bytes.bit_length(), _factor_bits(Descriptor))
        m.submodules.product = product = _Product(most.bit_length(), bits)

        step = Signal(range(_MOST_FACTORS + 1))  # factors of this word that have been taken
        last_step = Signal()  # it is all of them
        rests = words.valid & ~product.busy
        m.d.comb += [
            last_step.eq(step == words.payload.factors),
            words.ready.eq(~product.busy & last_step),
            product.load.eq(rests & ~last_step),
            product.clear.eq(self.begin),
        ]
        with m.If(rests):
            m.d.sync += step.eq(Mux(last_step, 0, step + 1))

        breaks: dict[Error, list[Value]] = {error: [] for error in _ERRORS}
        kept: dict[str, Signal] = {}  # fields of the descriptor that rules on later words ask for
        keep = partial(self._keep, kept)
        records = (
            (0, Descriptor, DescriptorLayout, descriptor_rules(config), keep),
            (1, Header, HeaderLayout, header_rules(config), self.header.__getitem__),
        )
        value = words.payload.data.replicate(WORDS)
        with m.If(rests), m.Switch(Cat(words.payload.number, words.payload.of_header)):
            for of_header, record, layout, rules, kept_field in records:
                for number in range(WORDS):
                    fields = _Fields(record, number, data.View(layout, value), kept_field, product.value)
                    with m.Case(number + WORDS * of_header):
                        self._test(m, fields, rules, product, step, breaks)
        broken = self._add_up(m, breaks)

        is_descriptor = words.valid & ~words.payload.of_header
        descriptor = data.View(DescriptorLayout, value)
        for name, register in kept.items():
            with m.If(is_descriptor & (words.payload.number == DescriptorLayout[name].offset // 32)):
                m.d.sync += register.eq(descriptor[name])
        for error in reversed(_ERRORS):
            with m.If(broken[error]):
                m.d.comb += self.error.eq(error)
        self._order(m, is_descriptor & words.ready, descriptor, product.value, broken[Error.BAD_DESCRIPTOR])
        with m.If(self.begin):
            m.d.sync += [flag.eq(0) for flag in broken.values()]
            m.d.sync += step.eq(0)
        return m

    def _keep(self, kept: dict[str, Signal], name: str) -> Value:
        """A field of the descriptor whose word has been."""
        folding, diagonal = self.config.folding, self.config.diagonal
        there = {"fold": folding} | dict.fromkeys(("diagonal", "alike", "streamed", "sliding"), diagonal)
        if not there.get(name, True):  # any other value has already broken a rule
            return Const(0, DescriptorLayout[name].shape)
        if name not in kept:
            kept[name] = Signal(DescriptorLayout[name].shape, name=name, reset_less=True)
        return kept[name]

    def _test(self, m: Module, fields: _Fields, rules: list[Rule], product: _Product, step, found) -> None:
        """Multiply the factors of a word, one after the other, and test the rules that end with it. `found`: by error, what
        tells it."""
        record, number = fields.record, fields.number
        factors = factors_of(record, number, suite(self.config.suite).seals)
        for at, (name, factor) in enumerate(factors):
            with m.If(step == at):
                first = factor == record.products[name][0]
                m.d.comb += [product.factor.eq(getattr(fields, factor)), product.first.eq(first)]
        for rule in rules:
            if record.layout.fields[rule.field].word == number:
                breaks = rule.breaks(fields)
                for name in fields.seen:  # whole when the last of its factors has been multiplied
                    breaks &= step == factors.index((name, record.products[name][-1])) + 1
                fields.seen.clear()
                told = Signal(name=f"{record.__name__.lower()}_{number}_breaks_{len(found[rule.error])}")
                m.d.comb += told.eq(breaks)
                found[rule.error].append(told)

    def _add_up(self, m: Module, breaks: dict[Error, list[Value]]) -> dict[Error, Signal]:
        """Errors of all words so far. With `pipeline_registers` the comparisons are a cycle ahead."""
        broken = {error: Signal(name=error.name.lower()) for error in _ERRORS}
        for error, told in breaks.items():
            now = Cat(told)
            if self.config.pipeline_registers:
                now = Signal(len(told), name=f"{error.name.lower()}_told")
                m.d.sync += now.eq(Cat(told))
            with m.If(now.any()):
                m.d.sync += broken[error].eq(1)
        if self.config.pipeline_registers:
            m.d.sync += self.settling.eq(self.words.valid & self.words.ready)
        return broken

    def _order(self, m: Module, taken: Value, descriptor: data.View, product: Value, broken: Signal) -> None:
        """What the descriptors must be to each other: ifmaps are taken and released in turn, and the ofmap comes last. In a
        sealed loadable it fits the ofmap buffer: `product` is what the descriptor has of it."""
        number = self.words.payload.number
        any_taken, held, streams = Signal(), Signal(), Signal()
        ifmaps = Signal.like(self.header.batch)
        takes, releases, to_stream = descriptor.wait_input, descriptor.release_input, descriptor.to_stream
        with m.If(taken & (number == DescriptorLayout["wait_input"].offset // 32)):
            m.d.sync += [any_taken.eq(1), ifmaps.eq(ifmaps + takes), held.eq((held | takes) & ~releases)]
            with m.If(Mux(takes, held, ~any_taken | (releases & ~held))):
                m.d.sync += broken.eq(1)
        most = self.config.sealed_ofmap_beats
        ofmap = Signal(range(2 * most))
        total = ofmap + product[: len(ofmap)]
        with m.If(taken & (number == DescriptorLayout["to_stream"].offset // 32)):
            m.d.sync += streams.eq(to_stream)
            with m.If(streams & ~to_stream):
                m.d.sync += broken.eq(1)
            if suite(self.config.suite).seals:
                with m.If(to_stream):
                    m.d.sync += ofmap.eq(total)
                    with m.If((total > most) | product[len(ofmap) :].any()):
                        m.d.sync += broken.eq(1)
        m.d.comb += self.incomplete.eq(held | ~streams | (ifmaps != self.header.batch))
        with m.If(self.begin):
            m.d.sync += [any_taken.eq(0), held.eq(0), streams.eq(0), ifmaps.eq(0), ofmap.eq(0)]
