"""Look-up: what requantised values become by a layer's table."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from deeplock.hw.families.placement import IN_BLOCKS
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import TABLE_BYTES

__all__ = ["LookUp", "TableWrite"]


class TableWrite(wiring.Signature):
    """Writes the tables, whose banks take turns.

    Members:
        enable, data
        address  the value, int8, whose entry is written, and the bank in the highest bit
        used     the requantise entries that are written, with EntryWrite, are of a layer with a table
    """

    def __init__(self):
        members = {"enable": Out(1), "address": Out(range(2 * TABLE_BYTES)), "data": Out(8), "used": Out(1)}
        super().__init__(members)


class LookUp(wiring.Component):
    """Looks one value of each lane up in the same table, or passes it. Two layers' tables use two banks in turn: the next one's
    arrives while this one's is in use.

    A memory for each lane: the smallest block RAM of either family holds both banks.

    Latency: `latency` cycles. Throughput: a value of each lane a cycle.

    Members:
        write           an entry is there in the next cycle
        mapped, bank    values are looked up, and in which bank; constant while a layer's values are inside
        values, out     int8
    """

    def __init__(self, config: Config):
        self._config = config
        self.latency = 2 if config.pipeline_registers else 1
        lanes = data.ArrayLayout(signed(8), config.lanes)
        super().__init__(
            {"write": In(TableWrite()), "mapped": In(1), "bank": In(1), "values": In(lanes), "out": Out(lanes)}
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        for lane in range(self._config.lanes):
            m.submodules[f"table_{lane}"] = table = memory.Memory(
                shape=8, depth=2 * TABLE_BYTES, init=[], attrs=IN_BLOCKS
            )
            write, read = table.write_port(), table.read_port()
            value, found = Signal(signed(8), name=f"value_{lane}", reset_less=True), self.out[lane]
            m.d.sync += value.eq(self.values[lane])
            m.d.comb += [
                write.en.eq(self.write.enable),
                write.addr.eq(self.write.address),
                write.data.eq(self.write.data),
                read.addr.eq(Cat(self.values[lane], self.bank)),
            ]
            if self._config.pipeline_registers:  # a block RAM is slow
                kept = Signal.like(found, name=f"found_{lane}", reset_less=True)
                m.d.sync += kept.eq(Mux(self.mapped, read.data.as_signed(), value))
                m.d.comb += found.eq(kept)
            else:
                m.d.comb += found.eq(Mux(self.mapped, read.data.as_signed(), value))
        return m
