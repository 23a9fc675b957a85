"""Window feeder: reads the words of a layer's input in the order in which the array needs them."""

from itertools import pairwise

from amaranth import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from deeplock.hw.basics.bundles import Layer
from deeplock.hw.basics.layouts import feeder_fields, tag_layout, word_layout
from deeplock.hw.basics.loops import NestedLoops, chosen
from deeplock.hw.basics.stream_buffers import SkidBuffer
from deeplock.hw.families.placement import kept_if_large
from deeplock.hw.feed.activation_memory import WordRead, read_steps
from deeplock.pymodel.spec.config import Config

__all__ = ["WindowFeeder"]


def _edges_layout(config: Config) -> data.StructLayout:
    """Where a word lies to the edges of the input.

    row                  its row is inside
    before, near         its first byte is left of the input, by less than a word
    first                its column, modulo a word
    beyond, whole, left  the input's bytes from there on: none, at least a word, or so many
    """
    lane = ceil_log2(config.rows)
    return data.StructLayout({"row": 1, "before": 1, "near": 1, "first": lane, "beyond": 1, "whole": 1, "left": lane})


def _inside(edges: data.View, config: Config) -> Value:
    """A bit for each byte of the word; without `config.dense` one for all."""
    if not config.dense:
        return edges.row & ~edges.before & ~edges.beyond & (edges.whole | edges.left.any())
    return Cat(
        edges.row
        & (~edges.before | (edges.near & (edges.first >= config.rows - lane)))
        & ~edges.beyond
        & (edges.whole | (edges.left > lane))
        for lane in range(config.rows)
    )


class WindowFeeder(wiring.Component):
    """Runs the loops of one layer: column group, kernel row, run of a kernel row, word of a run, output row, output column, row
    and column of the pooling window. Reads one activation word in each innermost round.

    Bytes outside the input read as the padding value, bytes behind a run's last one as zero. Without `config.padding` every
    byte is assumed to be inside the input, without `config.folding` every tile to hold one k-block.

    Latency: 1 + `read_steps(config)` cycles from `layer.start` to the first word. Throughput: one word a cycle.

    Members:
        layer    fields are stable from the cycle before `start` to `done`, the cycle in which the last word is asked for
        memory   the activation memory
        out      words with their tags
        release  pulse: the last word of a layer is taken, and it was the last layer to read the ifmap
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "layer": In(Layer(feeder_fields)),
                "memory": Out(WordRead(config)),
                "out": Out(stream.Signature(word_layout(config))),
                "release": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config, fields = self._config, self.layer.fields
        # registers `ready`: reading does not wait for what the issue stage decides in the same cycle. The bytes go elsewhere
        # than the tags that it decides from, so they have a buffer of their own
        m.submodules.skid = skid = SkidBuffer(data.StructLayout({"swap": 1, "tag": tag_layout(config), "release": 1}))
        m.submodules.data_skid = data_skid = SkidBuffer(8 * config.rows, kept_if_large(config))

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

        # a word that is being read, with what travels beside it, one for each step of the memory
        beside = data.StructLayout(
            {
                "swap": 1,
                "tag": tag_layout(config),
                "release": 1,
                "pad_value": 8,
                "inside": data.ArrayLayout(1, config.rows if config.dense else 1),
                "exists": data.ArrayLayout(1, config.rows),
            }
        )
        steps = range(read_steps(config))
        valid = [Signal(name=f"valid_{step}") for step in steps]
        reading = [Signal(beside, name=f"reading_{step}", reset_less=True) for step in steps]
        entering, word = reading[0], reading[-1]
        moves, advance, load = Signal(), Signal(), Signal()
        m.d.comb += [
            moves.eq(~valid[-1] | skid.inlet.ready),
            self.memory.read.eq(moves if config.dense else loops.active & moves),
            advance.eq(loops.active & moves & self.memory.granted),
            load.eq(~loops.active | advance),
            loops.begin.eq(self.layer.start),
            loops.advance.eq(advance),
            skid.inlet.valid.eq(valid[-1]),
            skid.inlet.payload.release.eq(word.release),
            skid.inlet.payload.swap.eq(word.swap),
            skid.inlet.payload.tag.eq(word.tag),
            skid.outlet.ready.eq(self.out.ready),
            data_skid.inlet.valid.eq(valid[-1]),
            data_skid.outlet.ready.eq(self.out.ready),
            self.out.valid.eq(skid.outlet.valid),
            self.out.payload.data.eq(data_skid.outlet.payload),
            self.out.payload.swap.eq(skid.outlet.payload.swap),
            self.out.payload.tag.eq(skid.outlet.payload.tag),
            self.release.eq(self.out.valid & self.out.ready & skid.outlet.payload.release),
            self.layer.done.eq(advance & ends.group),
        ]

        self._address(m, load, loops)
        edges = self._edges(m, load, loops) if config.padding else None

        first_pixel, first_block = Signal(init=1), Signal(init=1)
        sliding = fields.sliding if config.diagonal else Const(0, 2)  # else nothing pools the columns
        row_begins, odd = Signal(init=1), Signal()  # the next pixel is a row's first; its number in the row
        slides = sliding[0] | (sliding[1] & ~odd)
        shift = Signal.like(entering.tag.shift)
        alike = fields.alike if config.diagonal else Const(0)
        exists = (~last.block | (row < fields.rows_last[: config.rows.bit_length()]) for row in range(config.rows))
        with m.If(moves):
            m.d.sync += valid[0].eq(advance)
            m.d.sync += [later.eq(earlier) for earlier, later in (*pairwise(valid), *pairwise(reading))]
        if edges is not None:
            self._mark_inside(m, edges, reading, advance, moves)
        with m.If(advance):
            m.d.sync += [
                first_pixel.eq(ends.py),
                entering.exists.eq(Cat(exists)),
                entering.release.eq(ends.group & fields.release_input),
                entering.pad_value.eq(fields.pad_value),
                entering.swap.eq(first_pixel & (shift == 0) & (first_block | ~alike)),
                entering.tag.first.eq(first_block),
                entering.tag.last.eq(last.block & last.kx & last.ky),
                entering.tag.final.eq(last.group),
                entering.tag.pixel_last.eq(ends.py),
                entering.tag.emits.eq(Mux(sliding.any(), slides & ~row_begins, ends.wy)),
                entering.tag.slides.eq(slides),
                row_begins.eq(ends.px),
                odd.eq(~odd & ~ends.px),
                entering.tag.shift.eq(shift),
            ]
            with m.If(ends.py):
                # a folded tile: the next k-block's weights are `cols >> fold` columns further right
                further = Mux(last.group, config.cols >> fields.fold, 0) if config.folding else 0
                m.d.sync += [first_block.eq(ends.ky), shift.eq(Mux(ends.ky, 0, shift + further))]
        for row in range(config.rows):
            value = self.memory.word.word_select(row, 8)
            if config.padding:
                value = Mux(word.inside[row % len(word.inside)], value, word.pad_value)
            m.d.comb += data_skid.inlet.payload.word_select(row, 8).eq(Mux(word.exists[row], value, 0))
        return m

    def _address(self, m: Module, load: Signal, loops: NestedLoops) -> None:
        """Step the address from the last word, or the first of its k-block or group; before `start` it is the layer's first."""
        config, fields, stays, goes = self._config, self.layer.fields, loops.stays, loops.goes
        low = 0 if config.dense else ceil_log2(config.rows)  # every word is a multiple of `rows`
        group_source, block_source, address, following = (
            Signal(len(self.memory.address) - low, name=name, reset_less=True)
            for name in ("group_source", "block_source", "at_address", "next_address")
        )
        base = chosen(
            (stays.py, address),
            (stays.ky & ~stays.py, block_source),
            (stays.group & ~stays.ky, group_source),
            (~stays.group, fields.source[low:]),
        )
        steps = [
            *self._shared_steps(goes),
            (goes.wy, fields.step_y),
            (goes.px, fields.step_window),
            (goes.py, fields.step_row),
            (goes.ky, fields.kernel_step),
        ]
        if config.diagonal:
            steps.append((goes.group, Mux(fields.diagonal, config.cols, 0)))
        step = chosen(*((condition, value >> low) for condition, value in steps))
        m.d.comb += [self.memory.address[low:].eq(address), following.eq(base + step)]
        with m.If(load):
            m.d.sync += address.eq(following)
            with m.If(~stays.py):
                m.d.sync += block_source.eq(following)
                with m.If(~stays.ky):
                    m.d.sync += group_source.eq(following)

    def _shared_steps(self, goes: data.View) -> list[tuple[Value, Value]]:
        """Steps of the address that are also the column's; first in both choices, so that synthesis makes them once."""
        fields = self.layer.fields
        return [(goes.wx, fields.step_x), (goes.block, Const(self._config.rows)), (goes.kx, fields.column_step)]

    def _edges(self, m: Module, load, loops: NestedLoops) -> data.View:
        """Where the word at `address` lies to the edges of the input."""
        config, fields = self._config, self.layer.fields
        column, size = self._column(m, load, loops), fields.row_bytes
        lane_bits = ceil_log2(config.rows)
        edges = Signal(_edges_layout(config))
        after = Signal(signed(len(column) + 1))  # bytes from the word's first to the input's end
        m.d.comb += [
            after.eq(size - column),
            edges.row.eq(self._row(m, load, loops)),
            edges.before.eq(column[-1]),
            edges.near.eq(column[lane_bits:].all()),
            edges.first.eq(column),
            edges.beyond.eq(after[-1]),
            edges.whole.eq(after[lane_bits:-1].any()),
            edges.left.eq(after),
        ]
        return edges

    def _mark_inside(
        self, m: Module, edges: data.View, reading: list[data.View], advance: Signal, moves: Signal
    ) -> None:
        """Mark the bytes of a word that are inside the input: if reading takes steps, in the second one, because the column's
        carry chains come first."""
        config = self._config
        if len(reading) == 1:
            with m.If(advance):
                m.d.sync += reading[0].inside.eq(_inside(edges, config))
            return
        kept = Signal.like(edges, reset_less=True)
        with m.If(advance):
            m.d.sync += kept.eq(edges)
        with m.If(moves):
            m.d.sync += reading[1].inside.eq(_inside(kept, config))

    def _column(self, m: Module, load, loops: NestedLoops) -> Signal:
        """Byte of its input row at which the word at `address` begins; signed."""
        fields, goes, stays = self.layer.fields, loops.goes, loops.stays
        at, window, run, following = (
            Signal(signed(17), name=name, reset_less=True)
            for name in ("column", "window_column", "run_column", "next_column")
        )
        base = chosen(
            (goes.wx, at),
            (stays.px & ~goes.wx, window),
            (stays.kx & ~stays.px, run),
            (~stays.kx, fields.x0),
        )
        step = chosen(*self._shared_steps(goes), (goes.px, fields.window_step))
        m.d.comb += following.eq(base + step)
        with m.If(load):
            m.d.sync += at.eq(following)
            with m.If(~stays.wy):
                m.d.sync += window.eq(following)
            with m.If(~stays.py):
                m.d.sync += run.eq(following)
        return at

    def _row(self, m: Module, load, loops: NestedLoops) -> Value:
        """Whether the input row of the word at `address` is inside the input."""
        fields, goes, stays = self.layer.fields, loops.goes, loops.stays
        # -1 - row, modulo 2 ** 13: adding the input's height overflows if it is inside, one carry chain without inverters
        at, window, kernel, following = (
            Signal(13, name=name, reset_less=True) for name in ("row", "window_row", "kernel_row", "next_row")
        )
        base = chosen(
            (goes.wy, ~at),
            (stays.py & ~stays.wy, ~window),
            (stays.ky & ~stays.py, ~kernel),
            (~stays.ky, fields.y0),
        )
        step = chosen((goes.wy, fields.stride), (goes.py, fields.window_stride), (goes.ky, Const(1)))
        m.d.comb += following.eq(~(base + step))
        with m.If(load & ~goes.wx):
            m.d.sync += at.eq(following)
            with m.If(~(goes.wy | goes.px)):
                m.d.sync += window.eq(following)
                with m.If(~goes.py):
                    m.d.sync += kernel.eq(following)
        return (at + fields.in_h)[len(at)]
