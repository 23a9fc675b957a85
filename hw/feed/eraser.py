"""Eraser: walks over the activation memory, so that nothing of one tenant's is left for the next."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from deeplock.pymodel.spec.config import Config

__all__ = ["Erase", "Eraser", "erased_words"]

_LATE = 2
"""Cycles that the memory's registers are behind the walk."""


def erased_words(config: Config) -> int:
    """Words of the walk: two memories of half the words are erased at once, or one of all."""
    return config.activation_words // (2 if config.dense or config.single_port else 1)


class Erase(wiring.Signature):
    """From the eraser to the activation memory: while `active`, `word` of each of its memories becomes zero."""

    def __init__(self, config: Config):
        super().__init__({"active": Out(1), "word": Out(range(erased_words(config)))})


class Eraser(wiring.Component):
    """Erases the activation memory, from `start` on and after a reset, unless no run has used it since it was last erased.

    What a device holds after it was configured, or powered up, counts as erased where the configuration says what is in the
    memory; that of SPRAM, with `config.single_port`, does not.

    Latency: `active` comes in the cycle after `start` and stays for erased_words(config) + 2 cycles.

    Members:
        start    pulse
        cleared  the memory's registers are being cleared: what was on its way is lost, the walk begins anew
        used     a run is going on; the memory is not written while `active`
        erase    see Erase
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__({"start": In(1), "cleared": In(1), "used": In(1), "erase": Out(Erase(config))})

    def elaborate(self, platform) -> Module:
        m = Module()
        words, erase = erased_words(self._config), self.erase
        dirty = Signal(init=int(self._config.single_port), reset_less=True)  # a reset does not erase
        after_reset = Signal(init=1)
        at = Signal(range(words + _LATE))
        m.d.comb += erase.word.eq(at)
        m.d.sync += after_reset.eq(0)
        with m.If(erase.active):
            m.d.sync += at.eq(at + 1)
            with m.If(at == words + _LATE - 1):
                m.d.sync += [erase.active.eq(0), dirty.eq(0)]
        with m.If(self.used):
            m.d.sync += dirty.eq(1)
        with m.If((dirty & (self.start | after_reset)) | (erase.active & self.cleared)):
            m.d.sync += [erase.active.eq(1), at.eq(0)]
        return m
