"""Weight-stationary systolic array of rows x cols processing elements."""

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from deeplock.hw.array.pe import ProcessingPair
from deeplock.hw.basics.layouts import tag_layout, word_layout
from deeplock.hw.families import blocks_of
from deeplock.hw.families.placement import SPAN, kept_if_large, load_span
from deeplock.pymodel.spec.config import Config

__all__ = ["ColumnSums", "SystolicArray", "WeightWrite"]


def WeightWrite(config: Config) -> wiring.Signature:
    """Writes `bytes_per_beat` weights of one row into the shadow registers. With span = `load_span(config)`, bit
    row * cols / span + s of `load` selects the `span` columns from s * span on."""
    return wiring.Signature(
        {
            "load": Out(config.rows * config.cols // load_span(config)),
            "data": Out(8 * config.bytes_per_beat),
        }
    )


def ColumnSums(config: Config, width: int) -> wiring.Signature:
    """Sums of `width` bits that leave an array; `columns` come one cycle after their word's `valid` and `tag`."""
    return wiring.Signature(
        {
            "valid": Out(1),
            "tag": Out(tag_layout(config)),
            "columns": Out(data.ArrayLayout(signed(width), config.cols)),
        }
    )


class SystolicArray(wiring.Component):
    """Matrix-vector product a cycle: sums[c] = sum over r of word[r] * weight[r][c].

    Partial sums move down the columns, one row a cycle; the first two rows are added in one, because row 0 has no sums to
    add to. A word is broadcast along the rows, so columns need no skew. Word and swap to the next weight tile reach row r
    `entry` + max(0, r - 1) cycles after they enter, so tiles follow each other without a gap.

    Latency: `latency` = rows + 1 + `entry` cycles from a word to its sums. `entry` is 1 with `config.pipeline_registers`, which
    add a register before the first rows, else 0. Throughput: one word a cycle; it cannot be stalled.

    Members:
        clear       drop all words inside. In the next cycle zeros must be written to all shadow registers, as the weight
                    loader does; a swap then carries them down to the weights. No word should enter until that is done,
                    `rows` cycles later. A reset does the same.
        weights     shadow register writes. A row of the next tile may be written from the cycle in which the last swap
                    reaches it, and must be written before the cycle in which its own swap does
        words       a word with `swap` is the first that meets the new weights
        sums        cols sums of one word, `sum_width` = 16 + log2(rows) bits each
    """

    def __init__(self, config: Config):
        self._config = config
        self.entry = int(config.pipeline_registers)
        self.latency = config.rows + 1 + self.entry
        self.sum_width = 16 + (config.rows - 1).bit_length()
        super().__init__(
            {
                "clear": In(1),
                "weights": In(WeightWrite(config)),
                "words": In(stream.Signature(word_layout(config), always_ready=True)),
                "sums": Out(ColumnSums(config, self.sum_width)),
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

        # the first rows swap two cycles after `clear`, when zeros have reached the shadow registers
        clearing = Signal(2, init=1)
        m.d.sync += clearing.eq(Cat(self.clear, clearing))
        word = self.words.payload
        swap = (self.words.valid & word.swap) | clearing[1 - self.entry]
        # each span of columns has its own registers for what is broadcast along the rows
        spans = [range(first, min(first + SPAN, config.cols), 2) for first in range(0, config.cols, SPAN)]
        entering = [(word.data, swap)] * len(spans)
        if self.entry:
            entering = [
                (register(word.data, f"skew_0_{span}"), register(swap, f"swap_0_{span}")) for span in range(len(spans))
            ]
        in_blocks = blocks_of(platform).multiply_for(config)
        load_spans = config.cols // load_span(config)
        sums = [0] * config.cols
        for row in range(config.rows):
            for columns, (skewed, swap) in zip(spans, entering, strict=True):
                for col in columns:
                    m.submodules[f"pe_{row}_{col}"] = pair = ProcessingPair(
                        self.sum_width, first=row == 0, in_blocks=in_blocks
                    )
                    m.d.comb += [
                        pair.activation.eq(skewed[:8]),
                        pair.load.eq(self.weights.load[row * load_spans + col // load_span(config)]),
                        pair.weights_in.eq(self.weights.data.word_select(col % lanes // 2, 16)),
                        pair.swap.eq(swap),
                        pair.sums_in[0].eq(sums[col]),
                        pair.sums_in[1].eq(sums[col + 1]),
                    ]
                    sums[col : col + 2] = pair.sums_out[0], pair.sums_out[1]
            entering = [(skewed[8:], swap) for skewed, swap in entering]
            if row > 0:
                entering = [
                    (register(skewed, f"skew_{row + 1}_{span}"), register(swap, f"swap_{row + 1}_{span}"))
                    for span, (skewed, swap) in enumerate(entering)
                ]
        m.d.comb += [self.sums.columns[col].eq(sums[col]) for col in range(config.cols)]

        valid, tag = self.words.valid, word.tag.as_value()
        for stage in range(self.latency - 1):
            valid, tag = register(valid, f"valid_{stage}", True), register(tag, f"tag_{stage}")
        m.d.comb += [self.sums.valid.eq(valid), self.sums.tag.eq(tag)]
        return m
