"""Weight-stationary systolic array of rows x cols processing elements."""

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from deeplock.hw.array.pe import ProcessingPair
from deeplock.hw.basics.layouts import tag_layout
from deeplock.hw.families import blocks_of
from deeplock.hw.families.placement import SPAN, kept_if_large, load_span
from deeplock.pymodel.spec.config import Config

__all__ = ["SystolicArray", "WeightWrite"]


def WeightWrite(config: Config) -> wiring.Signature:
    """Writes `bytes_per_beat` weights of one row into the shadow registers: bit row * cols / span + s of `load` is for `span`
    columns from s * span on, where span is `load_span(config)`."""
    return wiring.Signature(
        {
            "load": Out(config.rows * config.cols // load_span(config)),
            "data": Out(8 * config.bytes_per_beat),
        }
    )


class SystolicArray(wiring.Component):
    """Matrix-vector product a cycle: sums[c] = sum over r of word[r] * weight[r][c].

    Partial sums move down the columns, one row a cycle; a word is broadcast along the rows, and the swap to the next weight
    tile moves down with it: both reach row r `entry` + r cycles after they enter. So no column skew is needed on either side,
    and tiles can follow each other without a gap.

    Latency: `latency` cycles from `valid` to `sums`, rows + 2 + `entry`. `entry` is 1, because the far ends of an array are a
    cycle away, and 0 with `config.lean`. Throughput: one word a cycle; it cannot be stalled.

    Members:
        clear       no word inside comes out; in the next cycle zeros must be written to all shadow registers, as the weight
                    loader does, and a swap carries them down to the weights. Until it is through, `rows` cycles later, no
                    word should enter. A reset does the same.
        weights     shadow register writes, straight into their row: a row of the next tile from the cycle in which the swap
                    before reaches it, and before the one in which its own does
        valid, data, swap, tag   a word enters; with `swap` it is the first that meets the new weights
        out_valid, out_tag   in the cycle before the word's sums
        sums        the products of one word, cols sums of 16 + log2(rows) bits
    """

    def __init__(self, config: Config):
        self._config = config
        self.entry = int(not config.lean)
        self.latency = config.rows + 2 + self.entry
        self.sum_width = 16 + (config.rows - 1).bit_length()
        super().__init__(
            {
                "clear": In(1),
                "weights": In(WeightWrite(config)),
                "valid": In(1),
                "data": In(8 * config.rows),
                "swap": In(1),
                "tag": In(tag_layout(config)),
                "out_valid": Out(1),
                "sums": Out(data.ArrayLayout(signed(self.sum_width), config.cols)),
                "out_tag": Out(tag_layout(config)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self._config
        lanes = config.bytes_per_beat

        def register(value: Value, name: str, cleared: bool = False) -> Signal:
            held = Signal(len(value), name=name, attrs=kept_if_large(config), reset_less=not cleared)
            m.d.sync += held.eq(Mux(self.clear, 0, value) if cleared else value)
            return held

        # row 0 swaps two cycles after `clear`, when zeros have come to the shadow registers
        clearing = Signal(2, init=1)
        m.d.sync += clearing.eq(Cat(self.clear, clearing))
        swap = (self.valid & self.swap) | clearing[1 - self.entry]
        # each span of columns has registers of its own for what goes along the rows
        spans = [range(first, min(first + SPAN, config.cols), 2) for first in range(0, config.cols, SPAN)]
        entering = [(self.data, swap)] * len(spans)
        if self.entry:
            entering = [
                (register(self.data, f"skew_0_{span}"), register(swap, f"swap_0_{span}")) for span in range(len(spans))
            ]
        in_blocks = blocks_of(platform).multiply_for(config)
        load_spans = config.cols // load_span(config)
        sums = [0] * config.cols
        for row in range(config.rows):
            for columns, (skewed, swap) in zip(spans, entering, strict=True):
                for col in columns:
                    m.submodules[f"pe_{row}_{col}"] = pair = ProcessingPair(self.sum_width, in_blocks)
                    m.d.comb += [
                        pair.activation.eq(skewed[:8]),
                        pair.load.eq(self.weights.load[row * load_spans + col // load_span(config)]),
                        pair.weights_in.eq(self.weights.data.word_select(col % lanes // 2, 16)),
                        pair.swap.eq(swap),
                        pair.sums_in[0].eq(sums[col]),
                        pair.sums_in[1].eq(sums[col + 1]),
                    ]
                    sums[col : col + 2] = pair.sums_out[0], pair.sums_out[1]
            entering = [
                (register(skewed[8:], f"skew_{row + 1}_{span}"), register(swap, f"swap_{row + 1}_{span}"))
                for span, (skewed, swap) in enumerate(entering)
            ]
        m.d.comb += [self.sums[col].eq(sums[col]) for col in range(config.cols)]

        valid, tag = self.valid, self.tag.as_value()
        for stage in range(self.latency - 1):
            valid, tag = register(valid, f"valid_{stage}", True), register(tag, f"tag_{stage}")
        m.d.comb += [self.out_valid.eq(valid), self.out_tag.eq(tag)]
        return m
