"""Accumulators: one int32 per column and output pixel, summed over the k-blocks of a column group."""

from amaranth import Module, Mux, Signal, Value, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from deeplock.hw.array.array import ColumnSums
from deeplock.hw.basics.layouts import tag_layout
from deeplock.hw.families.placement import SPAN, kept_if_large
from deeplock.pymodel.spec.config import Config

__all__ = ["Accumulator", "totals_layout"]


def totals_layout(config: Config) -> data.StructLayout:
    """The finished accumulators of one pixel."""
    return data.StructLayout(
        {"columns": data.ArrayLayout(signed(config.sum_bits), config.cols), "tag": tag_layout(config)}
    )


class Accumulator(wiring.Component):
    """Adds the array's sums to their pixel's accumulators, and emits them after the last k-block.

    Every k-block has the same order of pixels, so the address is a counter that `pixel_last` resets. With `config.folding` a
    folded tile's sums first move left by `shift` columns. With `config.dense` a pixel may come again in the next cycle
    (fully connected layers have just one): its total is then taken from the adder, not from the memory. It must not come two
    cycles after itself with another pixel between, because its accumulators are just being written. Without `config.dense`
    it comes three cycles after itself at the earliest. The issue stage sees to both.

    Latency: `latency` = 2 cycles from `sums.valid` to `totals.valid`. Throughput: one pixel a cycle.

    Members:
        sums    from the array, of `sum_width` bits
        totals  the finished accumulators of one pixel, for words tagged `last`
    """

    latency = 2

    def __init__(self, config: Config, sum_width: int):
        self._config = config
        super().__init__(
            {
                "sums": In(ColumnSums(config, sum_width)),
                "totals": Out(stream.Signature(totals_layout(config), always_ready=True)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self._config
        cols, totals = config.cols, self.totals.payload.columns
        m.submodules.memory = store = memory.Memory(shape=totals.shape(), depth=config.accumulators, init=[])
        read, write = store.read_port(), store.write_port()

        # look up
        pixel = Signal(range(config.accumulators))
        read_pixel, write_pixel = (
            Signal.like(pixel, name=name, reset_less=True) for name in ("read_pixel", "write_pixel")
        )
        valid = Signal()
        tag, out_tag = (Signal.like(self.sums.tag, name=name, reset_less=True) for name in ("tag", "kept_tag"))
        m.d.comb += read.addr.eq(pixel)
        m.d.sync += [valid.eq(self.sums.valid), tag.eq(self.sums.tag), read_pixel.eq(pixel)]
        with m.If(self.sums.valid):
            m.d.sync += pixel.eq(Mux(self.sums.tag.pixel_last, 0, pixel + 1))

        def per_span(value: Value, name: str) -> list[Signal]:
            """`value` one cycle later, in one register for each span of columns."""
            held = [
                Signal(len(value), name=f"{name}_{at}", attrs=kept_if_large(config), reset_less=True)
                for at in range(0, cols, SPAN)
            ]
            m.d.sync += [copy.eq(value) for copy in held]
            return held

        # a reset that does not wait for `chooses`, which is far away
        chooses, resets = (
            per_span(self.sums.valid, "chooses"),
            per_span(self.sums.valid & self.sums.tag.first, "resets"),
        )
        shift = per_span(self.sums.tag.shift, "shift")
        # when the memory answers, the adder holds the same pixel
        again = per_span(pixel == Mux(valid, read_pixel, write_pixel), "again") if config.dense else []

        # choose; the adder keeps its operands until the next pixel
        shifted = [self.sums.columns[col] for col in range(cols)]
        width = cols // 2 if config.folding else 0
        while width:
            bit = width.bit_length() - 1
            shifted[:width] = [Mux(shift[col // SPAN][bit], shifted[col + width], shifted[col]) for col in range(width)]
            width //= 2
        with m.If(valid):
            m.d.sync += [write_pixel.eq(read_pixel), out_tag.eq(tag)]

        # add before the registers, which takes fewer of them, or with `pipeline_registers` after them, which is faster
        kept, sums = (Signal.like(value, reset_less=True) for value in (totals, self.sums.columns))
        for col in range(cols):
            span = col // SPAN
            before = Mux(again[span], totals[col], read.data[col]) if config.dense else read.data[col]
            if config.pipeline_registers:
                with m.If(chooses[span]):
                    m.d.sync += [kept[col].eq(before), sums[col].eq(shifted[col])]
                with m.If(resets[span]):
                    m.d.sync += kept[col].eq(0)
                m.d.comb += totals[col].eq(kept[col] + sums[col])
            else:
                with m.If(chooses[span]):
                    # a choice behind the adder, not in front: iCE40 then needs one LUT a bit for both
                    m.d.sync += totals[col].eq(Mux(resets[span], shifted[col], before + shifted[col]))
        m.d.sync += [write.en.eq(valid), self.totals.valid.eq(valid & tag.last)]
        m.d.comb += [write.addr.eq(write_pixel), write.data.eq(totals), self.totals.payload.tag.eq(out_tag)]
        return m
