"""Window feeder: reads the words of a layer's input that the array needs, in the order in which it needs them."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import feeder_fields, word_layout
from pymodel.config import Config

__all__ = ["WindowFeeder"]


class WindowFeeder(wiring.Component):
    """Runs the loops of one layer: column group, kernel row, kernel column, channel block, output row, output column,
    row and column of the pooling window; one word of activations for each.

    Words outside the input read as the padding value; channels that the input does not have read as zero.

    Latency: 2 cycles from `start` to the first word. Throughput: one word a cycle.

    Members:
        start, fields   a layer begins; its fields stay until `done`
        done            in the cycle in which the layer's last word is taken
        address, read, granted, word   read port of the activation memory: `word` is what `address` held in the last cycle
                        with `read` and `granted`
        out             words with their tags
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "fields": In(feeder_fields),
                "done": Out(1),
                "address": Out(range(config.activation_words)),
                "read": Out(1),
                "granted": In(1, init=1),
                "word": In(8 * config.rows),
                "out": Out(stream.Signature(word_layout(config))),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config, fields = self._config, self.fields
        tag = self.out.payload.tag

        active = Signal()
        # loop counters, innermost first
        wx, wy = Signal(4), Signal(4)
        px, py = Signal(12), Signal(12)
        block, kx, ky = Signal(12), Signal(8), Signal(8)
        group = Signal(8)
        # where a layer, group, k-block and pixel begin
        group_source, block_source, address = Signal(16), Signal(16), Signal(16)
        # input coordinates of the k-block's first pixel, the pooling window and the pixel
        block_x, block_y = Signal(signed(13)), Signal(signed(13))
        window_x, window_y = Signal(signed(13)), Signal(signed(13))
        x, y = Signal(signed(13)), Signal(signed(13))
        shift = Signal.like(tag.shift)

        last_wx, last_wy = wx == fields.pool_w - 1, wy == fields.pool_h - 1
        last_px, last_py = px == fields.out_w - 1, py == fields.out_h - 1
        last_block, last_kx, last_ky = block == fields.cblocks - 1, kx == fields.kernel_w - 1, ky == fields.kernel_h - 1
        last_group = group == fields.groups - 1
        last_of_window = Signal()
        last_of_block = Signal()
        last_of_group = Signal()
        m.d.comb += [
            last_of_window.eq(last_wx & last_wy),
            last_of_block.eq(last_of_window & last_px & last_py),
            last_of_group.eq(last_block & last_kx & last_ky),
        ]

        taken = Signal()
        advance = Signal()
        held_end = Signal()
        m.d.comb += [
            taken.eq(~self.out.valid | self.out.ready),
            self.read.eq(active & taken),
            advance.eq(self.read & self.granted),
            self.address.eq(address),
            self.done.eq(self.out.valid & self.out.ready & held_end),
        ]

        next_block_source, next_block_x, next_block_y = Signal(16), Signal(signed(13)), Signal(signed(13))
        next_group = group_source + fields.group_step
        m.d.comb += [next_block_x.eq(block_x), next_block_y.eq(block_y)]
        with m.If(~last_block):
            m.d.comb += next_block_source.eq(block_source + 1)
        with m.Elif(~last_kx):
            m.d.comb += [next_block_source.eq(block_source + fields.column_step), next_block_x.eq(block_x + 1)]
        with m.Elif(~last_ky):
            m.d.comb += next_block_source.eq(block_source + fields.kernel_step)
            m.d.comb += [next_block_x.eq(fields.x0), next_block_y.eq(block_y + 1)]
        with m.Else():
            m.d.comb += [next_block_source.eq(next_group), next_block_x.eq(fields.x0), next_block_y.eq(fields.y0)]

        def begin_block(source, at_x, at_y) -> list:
            return [
                block_source.eq(source), address.eq(source),
                block_x.eq(at_x), window_x.eq(at_x), x.eq(at_x),
                block_y.eq(at_y), window_y.eq(at_y), y.eq(at_y),
            ]  # fmt: skip

        with m.If(self.start):
            m.d.sync += [active.eq(1), group_source.eq(fields.source)]
            m.d.sync += begin_block(fields.source, fields.x0, fields.y0)
        with m.If(advance):
            m.d.sync += wx.eq(Mux(last_wx, 0, wx + 1))
            with m.If(last_wx):
                m.d.sync += wy.eq(Mux(last_wy, 0, wy + 1))
            with m.If(last_of_window):
                m.d.sync += px.eq(Mux(last_px, 0, px + 1))
                with m.If(last_px):
                    m.d.sync += py.eq(Mux(last_py, 0, py + 1))

            with m.If(~last_wx):
                m.d.sync += [address.eq(address + fields.step_x), x.eq(x + fields.stride)]
            with m.Elif(~last_wy):
                m.d.sync += [address.eq(address + fields.step_y), x.eq(window_x), y.eq(y + fields.stride)]
            with m.Elif(~last_px):
                next_x = window_x + fields.window_stride
                m.d.sync += [
                    address.eq(address + fields.step_window),
                    window_x.eq(next_x),
                    x.eq(next_x),
                    y.eq(window_y),
                ]
            with m.Elif(~last_py):
                next_y = window_y + fields.window_stride
                m.d.sync += [address.eq(address + fields.step_row), window_x.eq(block_x), x.eq(block_x)]
                m.d.sync += [window_y.eq(next_y), y.eq(next_y)]
            with m.Else():
                m.d.sync += begin_block(next_block_source, next_block_x, next_block_y)
                m.d.sync += block.eq(Mux(last_block, 0, block + 1))
                with m.If(last_block):
                    m.d.sync += kx.eq(Mux(last_kx, 0, kx + 1))
                    with m.If(last_kx):
                        m.d.sync += ky.eq(Mux(last_ky, 0, ky + 1))
                # a folded tile: the next k-block's weights are `cols >> fold` columns further right
                m.d.sync += shift.eq(shift + Mux(last_group, config.cols >> fields.fold, 0))
                with m.If(last_of_group):
                    m.d.sync += [shift.eq(0), group.eq(group + 1), group_source.eq(next_group)]
                    with m.If(last_group):
                        m.d.sync += [active.eq(0), group.eq(0)]

        first_pixel = Signal(init=1)
        inside = Signal()
        partial = Signal()
        m.d.comb += inside.eq((x >= 0) & (x < fields.in_w) & (y >= 0) & (y < fields.in_h))
        held_inside = Signal()
        with m.If(taken):
            m.d.sync += self.out.valid.eq(advance)
        with m.If(advance):
            m.d.sync += [
                first_pixel.eq(last_of_block),
                held_inside.eq(inside),
                partial.eq(last_block),
                held_end.eq(last_of_block & last_of_group & last_group),
                self.out.payload.swap.eq(first_pixel & (shift == 0)),
                tag.first.eq((block == 0) & (kx == 0) & (ky == 0)),
                tag.last.eq(last_of_group),
                tag.final.eq(last_group),
                tag.window_last.eq(last_of_window),
                tag.pixel_last.eq(last_of_block),
                tag.shift.eq(shift),
            ]
        for row in range(config.rows):
            value = Mux(held_inside, self.word.word_select(row, 8), fields.pad_value)
            exists = ~partial | (row < fields.rows_last)
            m.d.comb += self.out.payload.data.word_select(row, 8).eq(Mux(exists, value, 0))
        return m
