"""Activation memory: bytes, read in words of `rows`."""

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from deeplock.hw.basics.layouts import write_layout
from deeplock.hw.basics.turning import turned
from deeplock.hw.families.placement import kept_if_large
from deeplock.hw.feed.eraser import Erase
from deeplock.hw.feed.single_port_memory import SinglePortMemory
from deeplock.pymodel.spec.config import Config

__all__ = ["ActivationMemory", "WordRead", "read_steps"]

_PART = 2
"""Bytes of a word that share an address register, next to their memories."""


def read_steps(config: Config) -> int:
    """Latency of a read, in reads."""
    return 3 if config.dense else 1


class WordRead(wiring.Signature):
    """Read port of the activation memory, seen from the reader: a pipeline that moves with every read.

    Members:
        address        of the word's first byte; its low bits count only with `config.dense`
        read, granted  a read takes place if it is `granted`; `granted` may be high without `read`
        word           after a read, the word at the `address` of the read `read_steps(config)` - 1 before it
    """

    def __init__(self, config: Config):
        super().__init__(
            {
                "address": Out(range(config.activation_words * config.rows)),
                "read": Out(1),
                "granted": In(1, init=1),
                "word": In(8 * config.rows),
            }
        )


class ActivationMemory(wiring.Component):
    """Gives way to results first, then to reads, then to the ifmap; the ifmap also waits while the memory is erased.

    With `config.dense` words are read at any byte: even and odd words lie in different memories, whose bytes turn into their
    places behind a register. Else a word's address is a multiple of `rows`.

    Latency: a word comes in the cycle after its last read and stays until the next. A read sees a write from the second cycle
    after it on, with `config.single_port` from the first. Throughput: one read and one write a cycle; with
    `config.single_port` only if they go to different banks, so a read waits for a result to the same bank.

    Members:
        words    read port; not `granted` where a result is in the way
        results  writes of the post-processor, always ready
        ifmap    writes of the unfolder
        erase    see hw.feed.eraser.Erase; no reads and no results meanwhile
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "words": In(WordRead(config)),
                "results": In(stream.Signature(write_layout(config, config.lanes))),
                "ifmap": In(stream.Signature(write_layout(config, 1))),
                "erase": In(Erase(config)),
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
        rows, lane_bits = config.rows, ceil_log2(config.rows)
        m.d.comb += [self.words.granted.eq(1), self.ifmap.ready.eq(~self.results.valid & ~self.erase.active)]

        wanted = Signal(write_layout(config, config.lanes))
        with m.If(self.results.valid):
            m.d.comb += wanted.eq(self.results.payload)
        with m.Elif(self.ifmap.valid):
            m.d.comb += [wanted.address.eq(self.ifmap.payload.address), wanted.keep.eq(self.ifmap.payload.keep)]
            m.d.comb += wanted.data[0].eq(self.ifmap.payload.data[0])
        offset = wanted.address[:lane_bits]
        written = turned(m, wanted.data.as_value(), 8, offset).replicate(rows // config.lanes)
        kept = turned(m, wanted.keep, 1, offset).replicate(rows // config.lanes)
        enables = [kept[lane] & ((lane - offset)[:lane_bits] < config.lanes) for lane in range(rows)]

        reads = [self._bank(m, bank, wanted.address, written, enables) for bank in range(2 if config.dense else 1)]
        if not config.dense:
            m.d.comb += self.words.word.eq(Cat(reads[0]))
            return
        # where in an even or odd word the word on its way begins
        begin = self.words.address[: lane_bits + 1]
        lanes, offset = Signal(data.ArrayLayout(8, rows), reset_less=True), Signal(lane_bits, reset_less=True)
        with m.If(self.words.read):
            for step in range(read_steps(config) - 1):
                later = Signal.like(begin, name=f"begin_{step}", reset_less=True)
                m.d.sync += later.eq(begin)
                begin = later
            m.d.sync += offset.eq(begin)
            for lane, (even, odd) in enumerate(zip(*reads, strict=True)):
                m.d.sync += lanes[lane].eq(Mux(begin[-1] ^ (begin[:-1] > lane), odd, even))
        m.d.comb += self.words.word.eq(turned(m, lanes.as_value(), 8, -offset))

    def _bank(self, m: Module, bank: int, to: Value, written: Value, enables: list[Value]) -> list[Value]:
        """The memories of all words, or with `config.dense` of the even or odd ones. Returns what their bytes read as.

        to, written, enables   address of the first byte that is written, and the bytes in their places
        """
        config, lane_bits = self._config, ceil_log2(self._config.rows)
        offset, word, begin = to[:lane_bits], to[lane_bits:], self.words.address[lane_bits:]
        if config.dense:  # this bank's word: of two neighbours, the even one may be the first or the second
            word_of_bank, begin_of_bank = ((at + 1 - bank)[1 : len(at)] for at in (word, begin))
        else:
            word_of_bank, begin_of_bank = word, begin
        erase, bytes_read = self.erase, []
        for lane in range(config.rows):
            if lane % _PART == 0:  # registers of their own, because the blocks of a large memory are far apart
                copies = kept_if_large(config)
                write_at = Signal.like(word_of_bank, name=f"write_{lane}_{bank}", attrs=copies, reset_less=True)
                read_at = Signal.like(begin_of_bank, name=f"read_{lane}_{bank}", attrs=copies, reset_less=True)
                m.d.sync += write_at.eq(Mux(erase.active, erase.word, word_of_bank))
                if config.dense:
                    with m.If(self.words.read):
                        m.d.sync += read_at.eq(begin_of_bank)
                else:
                    m.d.comb += read_at.eq(begin_of_bank)
            m.submodules[f"byte_{lane}_{bank}"] = store = memory.Memory(shape=8, depth=1 << len(write_at), init=[])
            read, write = store.read_port(), store.write_port()
            value = Signal(8, name=f"value_{lane}_{bank}", reset_less=True)
            enable = Signal(name=f"enable_{lane}_{bank}")
            here = (word[0] ^ (lane < offset)) == bank if config.dense else 1
            m.d.sync += [value.eq(written.word_select(lane, 8)), enable.eq((enables[lane] & here) | erase.active)]
            with m.If(erase.active):
                m.d.sync += value.eq(0)
            m.d.comb += [
                read.addr.eq(read_at),
                read.en.eq(self.words.read),
                write.addr.eq(write_at),
                write.data.eq(value),
                write.en.eq(enable),
            ]
            bytes_read.append(read.data)
        return bytes_read

    def _single_port(self, m: Module) -> None:
        """One read or write a bank and cycle: a read waits for a result to its bank, the ifmap for a read of its bank."""
        config = self._config
        width, half, lane_bits = 8 * config.rows, config.activation_words // 2, ceil_log2(config.rows)
        writer = Signal(write_layout(config, 1))
        writing, write_bank = Signal(), writer.address[-1]
        clash, address = Signal(), self.words.address
        m.d.comb += [
            writer.eq(Mux(self.results.valid, self.results.payload, self.ifmap.payload)),
        ]
        with m.If(self.erase.active):  # both banks at once; no result comes
            m.d.comb += [writer.address.eq(self.erase.word << lane_bits), writer.data.eq(0)]
        m.d.comb += [
            clash.eq(address[-1] == write_bank),
            self.words.granted.eq(~(self.results.valid & clash)),
            self.ifmap.ready.eq(~self.results.valid & ~(self.words.read & clash) & ~self.erase.active),
            writing.eq(self.results.valid | (self.ifmap.valid & self.ifmap.ready)),
        ]
        words = []
        for index in range(2):
            m.submodules[f"bank_{index}"] = bank = SinglePortMemory(width, half, 8)
            written = (writing & (write_bank == index)) | self.erase.active
            chosen = (1 << writer.address[:lane_bits]) | self.erase.active.replicate(config.rows)
            m.d.comb += [
                bank.address.eq(Mux(written, writer.address[lane_bits:], address[lane_bits:])),
                bank.data.eq(writer.data.as_value().replicate(config.rows)),
                bank.write.eq(Mux(written, chosen, 0)),
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
