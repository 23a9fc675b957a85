"""Permissions: what the licence of the loaded program allows."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from deeplock.hw.basics.layouts import HeaderLayout, TermsLayout, beat_layout
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.record import WORDS
from deeplock.pymodel.spec.registers import Error

__all__ = ["Permissions"]

_USED_BITS = 32


class Permissions(wiring.Component):
    """Keeps a licence's terms and compares the head with them. Counts inferences from power-up on: no reset clears the count.

    Latency: `refusal` follows terms and header by 1 cycle, `spent` follows `count`, terms and runs by 1. Throughput: a beat of
    terms a cycle.

    Members:
        terms    beats of a licence's terms, whether they are authentic or not
        forget   a load begins, or no program is loaded or being loaded: the next beat of terms is the first
        header   of the program that is loaded or being loaded
        count    inferences of the next run
        begin    pulse: it begins
        refusal  Error for which the program is not loaded; Error.NONE if none
        spent    fewer than `count` inferences are left
        classes  mask of the outputs that show
    """

    def __init__(self, config: Config):
        self._size = config.bytes_per_beat
        super().__init__(
            {
                "terms": In(stream.Signature(beat_layout(self._size), always_ready=True)),
                "forget": In(1),
                "header": In(HeaderLayout),
                "count": In(16),
                "begin": In(1),
                "refusal": Out(8),
                "spent": Out(1),
                "classes": Out(64),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        terms, header, size = Signal(TermsLayout), self.header, self._size
        at = Signal(range(4 * WORDS // size))
        with m.If(self.terms.valid):
            m.d.sync += at.eq(at + 1)  # comes back to 0 with the last beat
            for beat in range(4 * WORDS // size):
                with m.If(at == beat):
                    m.d.sync += terms.as_value()[8 * size * beat :][: 8 * size].eq(self.terms.payload.data)
        with m.If(self.forget):  # what was given up may have ended within the terms
            m.d.sync += at.eq(0)

        other_model = Cat(terms.model_low, terms.model_high) != Cat(header.model_low, header.model_high)
        version = header.model_version
        other_version = (version < terms.least_version) | (version > terms.most_version)
        m.d.sync += self.refusal.eq(
            Mux(other_model, Error.OTHER_MODEL, Mux(other_version, Error.OTHER_VERSION, Error.NONE))
        )

        used = Signal(_USED_BITS, reset_less=True, init=0)
        then = Signal(_USED_BITS + 1)
        m.d.comb += [then.eq(used + self.count), self.classes.eq(Cat(terms.classes_low, terms.classes_high))]
        m.d.sync += self.spent.eq((terms.inferences != 0) & (then > terms.inferences))
        with m.If(self.begin):
            m.d.sync += used.eq(Mux(then[-1], (1 << _USED_BITS) - 1, then))
        return m
