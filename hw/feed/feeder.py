"""Window feeder: reads the words of a layer's input in the order in which the array needs them."""

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from deeplock.hw.basics.bundles import Layer
from deeplock.hw.basics.layouts import feeder_fields, tag_layout, word_layout
from deeplock.hw.basics.loops import NestedLoops, chosen
from deeplock.hw.basics.stream_buffers import SkidBuffer
from deeplock.hw.families.placement import kept_if_large
from deeplock.hw.feed.activation_memory import WordRead
from deeplock.pymodel.spec.config import Config

__all__ = ["WindowFeeder"]


class WindowFeeder(wiring.Component):
    """Runs the loops of one layer: column group, kernel row, kernel column, channel block, output row, output column,
    row and column of the pooling window. Reads one activation word in each innermost round.

    Words outside the input read as the padding value, channels that the input lacks as zero. Without `config.padding` every
    word is assumed to be inside the input, without `config.folding` every tile to hold one k-block.

    Latency: 2 cycles from `layer.start` to the first word. Throughput: one word a cycle.

    Members:
        layer   fields are stable from the cycle before `start` to `done`, the cycle in which the last word is taken
        memory  the activation memory
        out     words with their tags
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "layer": In(Layer(feeder_fields)),
                "memory": Out(WordRead(config)),
                "out": Out(stream.Signature(word_layout(config))),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config, fields = self._config, self.layer.fields
        # registers `ready`: reading does not wait for what the issue stage decides in the same cycle. The bytes go elsewhere
        # than the tags that it decides from, so they have a buffer of their own
        m.submodules.skid = skid = SkidBuffer(data.StructLayout({"swap": 1, "tag": tag_layout(config), "end": 1}))
        m.submodules.data_skid = data_skid = SkidBuffer(8 * config.rows, kept_if_large(config))
        valid = Signal()  # a word has been read
        beside = data.StructLayout(
            {"swap": 1, "tag": tag_layout(config), "end": 1, "inside": 1, "exists": data.ArrayLayout(1, config.rows)}
        )
        held = Signal(beside, reset_less=True)  # of the word that has been read
        tag = held.tag

        pixels = ceil_log2(config.accumulators)  # no layer has more
        m.submodules.loops = loops = NestedLoops(wx=4, wy=4, px=pixels, py=pixels, block=12, kx=8, ky=8, group=8)
        last, ends = loops.last, loops.ends
        rounds = {
            "wx": fields.pool_w,
            "wy": fields.pool_h,
            "px": fields.out_w,
            "py": fields.out_h,
            "block": fields.cblocks,
            "kx": fields.kernel_w,
            "ky": fields.kernel_h,
            "group": fields.groups,
        }
        m.d.comb += [loops.rounds[name].eq(count) for name, count in rounds.items()]

        taken = Signal()
        advance = Signal()
        load = Signal()
        m.d.comb += [
            taken.eq(~valid | skid.inlet.ready),
            self.memory.read.eq(loops.active & taken),
            advance.eq(self.memory.read & self.memory.granted),
            load.eq(~loops.active | advance),
            loops.begin.eq(self.layer.start),
            loops.advance.eq(advance),
            skid.inlet.valid.eq(valid),
            skid.inlet.payload.end.eq(held.end),
            skid.inlet.payload.swap.eq(held.swap),
            skid.inlet.payload.tag.eq(tag),
            skid.outlet.ready.eq(self.out.ready),
            data_skid.inlet.valid.eq(valid),
            data_skid.outlet.ready.eq(self.out.ready),
            self.out.valid.eq(skid.outlet.valid),
            self.out.payload.data.eq(data_skid.outlet.payload),
            self.out.payload.swap.eq(skid.outlet.payload.swap),
            self.out.payload.tag.eq(skid.outlet.payload.tag),
            self.layer.done.eq(self.out.valid & self.out.ready & skid.outlet.payload.end),
        ]

        self._address(m, load, loops)
        inside = self._inside(m, load, advance, loops) if config.padding else Const(1)

        first_pixel, first_block = Signal(init=1), Signal(init=1)
        shift = Signal.like(tag.shift)
        with m.If(taken):
            m.d.sync += valid.eq(advance)
        with m.If(advance):
            m.d.sync += [
                first_pixel.eq(ends.py),
                held.inside.eq(inside),
                *(
                    held.exists[row].eq(~last.block | (row < fields.rows_last[: config.rows.bit_length()]))
                    for row in range(config.rows)
                ),
                held.end.eq(ends.group),
                held.swap.eq(first_pixel & (shift == 0)),
                tag.first.eq(first_block),
                tag.last.eq(last.block & last.kx & last.ky),
                tag.final.eq(last.group),
                tag.window_last.eq(ends.wy),
                tag.pixel_last.eq(ends.py),
                tag.shift.eq(shift),
            ]
            with m.If(ends.py):
                # a folded tile: the next k-block's weights are `cols >> fold` columns further right
                further = Mux(last.group, config.cols >> fields.fold, 0) if config.folding else 0
                m.d.sync += [first_block.eq(ends.ky), shift.eq(Mux(ends.ky, 0, shift + further))]
        for row in range(config.rows):
            value = self.memory.word.word_select(row, 8)
            if config.padding:
                value = Mux(held.inside, value, fields.pad_value)
            m.d.comb += data_skid.inlet.payload.word_select(row, 8).eq(Mux(held.exists[row], value, 0))
        return m

    def _address(self, m: Module, load: Signal, loops: NestedLoops) -> None:
        """Step the address from the last word, or the first of its k-block or group; before `start` it is the layer's first."""
        config, fields, ends, goes = self._config, self.layer.fields, loops.ends, loops.goes
        group_source, block_source, address, following = (
            Signal.like(self.memory.addresses[0], name=name, reset_less=True)
            for name in ("group_source", "block_source", "at_address", "next_address")
        )
        in_block, in_group, in_layer = (loops.active & ~end for end in (ends.py, ends.ky, ends.group))
        base = chosen(
            (in_block, address),
            (in_group & ends.py, block_source),
            (in_layer & ends.ky, group_source),
            (~in_layer, fields.source),
        )
        step = chosen(
            (goes.wx, fields.step_x),
            (goes.wy, fields.step_y),
            (goes.px, fields.step_window),
            (goes.py, fields.step_row),
            (goes.block, 1),
            (goes.kx, fields.column_step if config.diagonal else 1),
            (goes.ky, fields.kernel_step),
            (goes.group, fields.group_step if config.diagonal else 0),
        )
        # the parts of a large memory are far apart
        addresses = Signal.like(self.memory.addresses, attrs=kept_if_large(config), reset_less=True)
        m.d.comb += [self.memory.addresses.eq(addresses), following.eq(base[: len(address)] + step[: len(address)])]
        with m.If(load):
            m.d.sync += [address.eq(following), *(copy.eq(following) for copy in addresses)]
            with m.If(~in_block):
                m.d.sync += block_source.eq(following)
                with m.If(~in_group):
                    m.d.sync += group_source.eq(following)

    def _inside(self, m: Module, load, advance, loops: NestedLoops) -> Value:
        """Whether the word at `address` is inside the input."""
        fields, last, ends, goes = self.layer.fields, loops.last, loops.ends, loops.goes
        kx, ky = Signal(8), Signal(8)
        with m.If(advance & ends.block):
            m.d.sync += kx.eq(Mux(last.kx, 0, kx + 1))
        with m.If(advance & ends.kx):
            m.d.sync += ky.eq(Mux(last.ky, 0, ky + 1))
        inside_x = self._coordinate(
            m,
            load,
            next_pixel=goes.wx,
            same_window=goes.wy,
            next_window=goes.px,
            same_kernel=goes.py | goes.block,
            next_kernel=goes.kx,
            origin=fields.x0,
            kernel=kx,
            size=fields.in_w,
        )
        inside_y = self._coordinate(
            m,
            load & ~goes.wx,
            next_pixel=goes.wy,
            same_window=goes.px,
            next_window=goes.py,
            same_kernel=goes.block | goes.kx,
            next_kernel=goes.ky,
            origin=fields.y0,
            kernel=ky,
            size=fields.in_h,
        )
        return inside_x & inside_y

    def _coordinate(
        self, m: Module, load, *, next_pixel, same_window, next_window, same_kernel, next_kernel, origin, kernel, size
    ):
        """Whether the column, or the row, of the word at `address` is inside the input, which has `size` of them.

        next_pixel, same_window, next_window   one stride on, back to the window's first, one window stride on
        same_kernel, next_kernel               back to the first window, for the same or the next kernel column or row
        """
        # -1 - coordinate, modulo 2 ** 13: adding `size` overflows if it is inside, one carry chain without inverters
        at, window, following = (Signal(13, name=name) for name in ("at", "window", "next_at"))
        in_windows = next_pixel | same_window | next_window
        base = chosen((next_pixel, ~at), (same_window | next_window, ~window), (~in_windows, origin))
        step = chosen(
            (next_pixel, self.layer.fields.stride),
            (next_window, self.layer.fields.window_stride),
            (same_kernel | next_kernel, kernel),
        )
        # the appended bit carries next_kernel in: one adder for three numbers
        m.d.comb += following.eq(~(Cat(1, base) + Cat(next_kernel, step))[1:])
        with m.If(load):
            m.d.sync += at.eq(following)
            with m.If(~(next_pixel | same_window)):
                m.d.sync += window.eq(following)
        return (at + size)[len(at)]
