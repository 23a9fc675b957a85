"""Activation memory: words of `rows` int8 channels in two banks."""

from amaranth import Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from deeplock.hw.basics.layouts import write_layout
from deeplock.hw.families.placement import kept_if_large
from deeplock.hw.feed.single_port_memory import SinglePortMemory
from deeplock.pymodel.spec.config import Config

__all__ = ["ActivationMemory", "WordRead", "parts_of"]

_PART = 2
"""Bytes of a word in one memory, which has its own registers in front."""


def parts_of(config: Config) -> int:
    """Memories side by side that hold a word; 1 with `config.single_port`, whose two banks hold different words."""
    return 1 if config.single_port else config.rows // min(config.lanes, _PART)


class WordRead(wiring.Signature):
    """Read port of the activation memory, seen from the reader.

    Members:
        addresses      one address, in a copy for each of the `parts_of(config)` memories
        read, granted  a read takes place if it is `granted`; `granted` may be high without `read`
        word           the word at `addresses` in the last cycle with `read` and `granted`
    """

    def __init__(self, config: Config):
        super().__init__(
            {
                "addresses": Out(ArrayLayout(ceil_log2(config.activation_words), parts_of(config))),
                "read": Out(1),
                "granted": In(1, init=1),
                "word": In(8 * config.rows),
            }
        )


class ActivationMemory(wiring.Component):
    """Gives way to results first, then to reads, then to the ifmap.

    Latency: a word comes in the cycle after its read and stays until the next read. Reads see a write from the second cycle
    after it on, with `config.single_port` from the first. Throughput: one read and one write a cycle; with
    `config.single_port` only if they go to different banks, so a read waits for a result to the same bank.

    Members:
        words    read port; not `granted` where a result is in the way
        results  writes of the post-processor, always ready
        ifmap    writes of the unfolder
    """

    def __init__(self, config: Config):
        self._config = config
        write = stream.Signature(write_layout(config))
        super().__init__(
            {
                "words": In(WordRead(config)),
                "results": In(write),
                "ifmap": In(write),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.d.comb += self.results.ready.eq(1)
        if self._config.single_port:
            self._single_port(m)
        else:
            self._dual_port(m)
        return m

    def _dual_port(self, m: Module) -> None:
        config = self._config
        wanted, written = Signal(write_layout(config)), Signal(config.rows // config.lanes)
        for writer in (self.ifmap, self.results):
            with m.If(writer.valid & writer.ready):
                m.d.comb += [
                    wanted.eq(writer.payload),
                    written.eq(writer.payload.chunks),
                ]
        m.d.comb += [self.words.granted.eq(1), self.ifmap.ready.eq(~self.results.valid)]
        size = config.rows // parts_of(config)
        for address, first in zip(self.words.addresses, range(0, config.rows, size), strict=True):
            m.submodules[f"memory_{first}"] = store = memory.Memory(
                shape=8 * size, depth=config.activation_words, init=[]
            )
            read, write = store.read_port(), store.write_port()
            m.d.comb += [
                read.addr.eq(address),
                read.en.eq(self.words.read),
                self.words.word.word_select(first // size, 8 * size).eq(read.data),
            ]
            # registered, because the blocks of a large memory are far apart
            for port, value in (
                (write.addr, wanted.word),
                (write.data, wanted.data.as_value().word_select(first // size, 8 * size)),
                (write.en, written[first // config.lanes]),
            ):
                held = Signal.like(
                    port, name=f"held_{first}", attrs=kept_if_large(config), reset_less=port is not write.en
                )
                m.d.sync += held.eq(value)
                m.d.comb += port.eq(held)

    def _single_port(self, m: Module) -> None:
        """One read or write a bank and cycle: a read waits for a result to its bank, the ifmap for a read of its bank."""
        config = self._config
        width, half = 8 * config.rows, config.activation_words // 2
        writer = Signal(write_layout(config))
        writing, write_bank = Signal(), writer.word[-1]
        clash, address = Signal(), self.words.addresses[0]
        m.d.comb += [
            writer.eq(Mux(self.results.valid, self.results.payload, self.ifmap.payload)),
            clash.eq(address[-1] == write_bank),
            self.words.granted.eq(~(self.results.valid & clash)),
            self.ifmap.ready.eq(~self.results.valid & ~(self.words.read & clash)),
            writing.eq(self.results.valid | (self.ifmap.valid & self.ifmap.ready)),
        ]
        words = []
        for index in range(2):
            m.submodules[f"bank_{index}"] = bank = SinglePortMemory(width, half, 8 * config.lanes)
            written = writing & (write_bank == index)
            m.d.comb += [
                bank.address.eq(Mux(written, writer.word, address)),
                bank.data.eq(writer.data),
                bank.write.eq(Mux(written, writer.chunks, 0)),
                bank.read.eq(self.words.read & self.words.granted & (address[-1] == index)),
            ]
            words.append(bank.word)

        fresh, upper = Signal(), Signal()
        kept = Signal(width)  # a bank forgets its word at its next write
        m.d.sync += fresh.eq(self.words.read & self.words.granted)
        with m.If(self.words.read & self.words.granted):
            m.d.sync += upper.eq(address[-1])
        with m.If(fresh):
            m.d.sync += kept.eq(self.words.word)
        m.d.comb += self.words.word.eq(Mux(fresh, Mux(upper, words[1], words[0]), kept))
