"""Activation memory: words of `rows` int8 channels, one read port, one write port."""

from amaranth import Module
from amaranth.lib import memory, stream, wiring
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

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
    """Two writers share the write port; the first never waits, the second takes the cycles that are left.

    Latency: a read gives its word in the next cycle and keeps it until the next read; a write is seen by reads from the next
    cycle on. Throughput: one read and one write a cycle.

    Members:
        address, read, word    read port
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
                "word": Out(8 * config.rows),
                "results": In(write),
                "ifmap": In(write),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self._config
        chunks = config.rows // config.lanes
        m.submodules.memory = store = memory.Memory(
            shape=ArrayLayout(8 * config.lanes, chunks), depth=config.activation_words, init=[]
        )
        read = store.read_port()
        write = store.write_port(granularity=1 if chunks > 1 else None)
        m.d.comb += [
            read.addr.eq(self.address),
            read.en.eq(self.read),
            self.word.eq(read.data),
            self.results.ready.eq(1),
            self.ifmap.ready.eq(~self.results.valid),
        ]
        for writer in (self.ifmap, self.results):
            with m.If(writer.valid & writer.ready):
                m.d.comb += [
                    write.addr.eq(writer.payload.word),
                    write.data.eq(writer.payload.data),
                    write.en.eq(writer.payload.chunks if chunks > 1 else 1),
                ]
        return m
