"""Accumulators: one int32 per column and output pixel, summed over the k-blocks of a column group."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import tag_layout
from pymodel.config import Config

__all__ = ["Accumulator"]


class Accumulator(wiring.Component):
    """Adds the array's sums to the accumulator of their pixel; the last k-block's sums leave.

    Pixels come in the same order in every k-block, so the address is a count that `pixel_last` ends. A folded tile's sums
    first move left by `shift` columns. A pixel may follow itself in the next cycle (dense layers have just one): the sum is
    then taken from the register, not from the memory.

    Latency: 2 cycles from `valid` to `out_valid`. Throughput: one pixel a cycle.

    Members:
        valid, sums, tag      from the array
        out_valid, totals, out_tag   the finished accumulators of one pixel, for words tagged `last`
    """

    def __init__(self, config: Config, sum_width: int):
        self._config = config
        self._sum_width = sum_width
        super().__init__(
            {
                "valid": In(1),
                "sums": In(data.ArrayLayout(signed(sum_width), config.cols)),
                "tag": In(tag_layout(config)),
                "out_valid": Out(1),
                "totals": Out(data.ArrayLayout(signed(32), config.cols)),
                "out_tag": Out(tag_layout(config)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self._config
        cols = config.cols

        shifted = [self.sums[col] for col in range(cols)]
        width = cols // 2
        while width:
            bit = width.bit_length() - 1
            shifted[:width] = [Mux(self.tag.shift[bit], shifted[col + width], shifted[col]) for col in range(width)]
            width //= 2

        # A pixel is written in the cycle after its read. A read in the cycle of its own pixel's write is `repeated`, so that
        # what it gives does not matter.
        m.submodules.memory = store = memory.Memory(
            shape=data.ArrayLayout(signed(32), cols), depth=config.accumulators, init=[]
        )
        read, write = store.read_port(), store.write_port()

        pixel = Signal(range(config.accumulators))
        valid = Signal()
        tag = Signal.like(self.tag)
        sums = Signal.like(self.sums)
        address = Signal.like(pixel)
        repeated = Signal()
        m.d.comb += read.addr.eq(pixel)
        m.d.sync += [valid.eq(self.valid), tag.eq(self.tag), address.eq(pixel)]
        m.d.sync += [sums[col].eq(shifted[col]) for col in range(cols)]
        m.d.sync += repeated.eq(valid & (address == pixel))
        with m.If(self.valid):
            m.d.sync += pixel.eq(Mux(self.tag.pixel_last, 0, pixel + 1))

        m.d.comb += [write.addr.eq(address), write.en.eq(valid)]
        for col in range(cols):
            before = Mux(tag.first, 0, Mux(repeated, self.totals[col], read.data[col]))
            m.d.comb += write.data[col].eq(before + sums[col])
            m.d.sync += self.totals[col].eq(write.data[col])
        m.d.sync += [self.out_valid.eq(valid & tag.last), self.out_tag.eq(tag)]
        return m
