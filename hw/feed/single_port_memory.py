"""A memory with one port."""

from amaranth import Module
from amaranth.lib import memory, wiring
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from deeplock.hw.families import blocks_of

__all__ = ["SinglePortMemory"]


class SinglePortMemory(wiring.Component):
    """`depth` words of `width` bits in chunks of `chunk` bits, all multiples of 8; depth a power of two.

    Latency: a word comes in the cycle after its read and stays until the next access; after a write it is undefined.
    Throughput: one access a cycle. Uses single-port blocks of the device, if its family has any (hw.families).

    Members:
        address, data
        read       read a word; not in a cycle with `write`
        write      enables of the chunks, lowest first
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
        members = self.address, self.read, self.write, self.data, self.word
        if blocks_of(platform).single_port_memory(m, *members):
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
