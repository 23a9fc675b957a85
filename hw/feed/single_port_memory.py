"""A memory with one port."""

from amaranth import Cat, Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from deeplock.hw.families import ice40

__all__ = ["SinglePortMemory"]


class SinglePortMemory(wiring.Component):
    """`depth` words of `width` bits in chunks of `chunk` bits, all multiples of 8; depth a power of two.

    Latency: a read gives its word in the next cycle, where it stays until the next access: after a write it is undefined.
    Throughput: one access a cycle. On iCE40 UltraPlus it is made of SB_SPRAM256KA.

    Members:
        address, data
        read       shows the word; not in a cycle with `write`
        write      one bit a chunk, lowest first
        word
    """

    def __init__(self, width: int, depth: int, chunk: int):
        self._depth, self._chunk = depth, chunk
        super().__init__(
            {
                "address": In(ceil_log2(depth)),
                "read": In(1),
                "write": In(width // chunk),
                "data": In(width),
                "word": Out(width),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        if ice40.has_hard_blocks(platform) and self._depth <= ice40.SPRAM_WORDS:
            self._hard(m)
            return m
        chunks = len(self.write)
        m.submodules.memory = store = memory.Memory(shape=ArrayLayout(self._chunk, chunks), depth=self._depth, init=[])
        read, write = store.read_port(), store.write_port(granularity=1)
        m.d.comb += [
            read.addr.eq(self.address),
            read.en.eq(self.read),
            write.addr.eq(self.address),
            write.en.eq(self.write),
            write.data.eq(self.data),
            self.word.eq(read.data),
        ]
        return m

    def _hard(self, m: Module) -> None:
        """16-bit columns, each one SPRAM, side by side."""
        width = len(self.word)
        nibbles = Cat(bit.replicate(self._chunk // 4) for bit in self.write)
        for column in range(0, width, 16):
            data, word, mask = Signal(16), Signal(16), Signal(4)
            m.d.comb += [
                data.eq(self.data[column : column + 16]),
                mask.eq(nibbles[column // 4 : column // 4 + 4]),
                self.word[column : column + 16].eq(word),
            ]
            address = Signal(14)
            m.d.comb += address.eq(self.address)
            m.submodules[f"spram_{column // 16}"] = ice40.spram(
                address, self.read | self.write.any(), self.write.any(), mask, data, word
            )
