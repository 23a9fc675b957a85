"""Activation memory: words of `rows` int8 channels in two banks."""

from amaranth import Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from hw.single_port_memory import SinglePortMemory
from pymodel.config import Config

__all__ = ["ActivationMemory", "write_layout"]


def write_layout(config: Config) -> StructLayout:
    """A write of some of a word's chunks of `lanes` bytes; bit i of `chunks` stands for bytes i * lanes and up."""
    return StructLayout(
        {
            "word": range(config.activation_words),
            "data": ArrayLayout(8 * config.lanes, config.rows // config.lanes),
            "chunks": config.rows // config.lanes,
        }
    )


class ActivationMemory(wiring.Component):
    """Results go first, then reads, then the ifmap.

    Latency: a read gives its word in the next cycle and keeps it until the next read; a write is seen by reads from the next
    cycle on. Throughput: one read and one write a cycle; with `config.single_port` one access a cycle to each half of the
    words, so that reads wait for results that go to the same half.

    Members:
        address, read, word    read port; only a read that is `granted` takes place
        granted                no result is in the way, whether there is a `read` or not
        results                writes of the post-processor, always ready
        ifmap                  writes of the unfolder
    """

    def __init__(self, config: Config):
        self._config = config
        write = stream.Signature(write_layout(config))
        super().__init__(
            {
                "address": In(ceil_log2(config.activation_words)),
                "read": In(1),
                "granted": Out(1),
                "word": Out(8 * config.rows),
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
        chunks = config.rows // config.lanes
        m.submodules.memory = store = memory.Memory(
            shape=ArrayLayout(8 * config.lanes, chunks), depth=config.activation_words, init=[]
        )
        read = store.read_port()
        write = store.write_port(granularity=1 if chunks > 1 else None)
        m.d.comb += [
            self.granted.eq(1),
            read.addr.eq(self.address),
            read.en.eq(self.read),
            self.word.eq(read.data),
            self.ifmap.ready.eq(~self.results.valid),
        ]
        for writer in (self.ifmap, self.results):
            with m.If(writer.valid & writer.ready):
                m.d.comb += [
                    write.addr.eq(writer.payload.word),
                    write.data.eq(writer.payload.data),
                    write.en.eq(writer.payload.chunks if chunks > 1 else 1),
                ]

    def _single_port(self, m: Module) -> None:
        config = self._config
        width, half = 8 * config.rows, config.activation_words // 2
        to_bank = [Signal(2, name=name) for name in ("read_at", "results_at", "ifmap_at")]  # one-hot: the bank it wants
        wanted = (self.read, self.address), *((w.valid, w.payload.word) for w in (self.results, self.ifmap))
        for at, (valid, word) in zip(to_bank, wanted, strict=True):
            m.d.comb += at[0].eq(valid & ~word[-1]), at[1].eq(valid & word[-1])
        read_at, results_at, ifmap_at = to_bank
        m.d.comb += [
            self.granted.eq(~Mux(self.address[-1], results_at[1], results_at[0])),
            self.ifmap.ready.eq(~(ifmap_at & (read_at | results_at)).any()),
        ]
        words = []
        for index in range(2):
            m.submodules[f"bank_{index}"] = bank = SinglePortMemory(width, half, 8 * config.lanes)
            m.d.comb += bank.address.eq(self.address)
            with m.If(results_at[index]):
                m.d.comb += self._write(bank, self.results.payload)
            with m.Elif(read_at[index]):
                m.d.comb += bank.read.eq(1)
            with m.Elif(ifmap_at[index]):
                m.d.comb += self._write(bank, self.ifmap.payload)
            words.append(bank.word)

        fresh, upper = Signal(), Signal()
        kept = Signal(width)  # a bank forgets its word at its next write
        m.d.sync += fresh.eq(self.read & self.granted)
        with m.If(self.read & self.granted):
            m.d.sync += upper.eq(self.address[-1])
        with m.If(fresh):
            m.d.sync += kept.eq(self.word)
        m.d.comb += self.word.eq(Mux(fresh, Mux(upper, words[1], words[0]), kept))

    def _write(self, bank: SinglePortMemory, payload) -> list:
        return [
            bank.address.eq(payload.word),
            bank.data.eq(payload.data),
            bank.write.eq(payload.chunks),
        ]
