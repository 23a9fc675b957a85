"""Weight-stationary systolic array of rows x cols processing elements."""

from amaranth import Cat, Module, ResetInserter, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import tag_layout
from hw.pe import ProcessingPair
from pymodel.config import Config

__all__ = ["SystolicArray", "WeightWrite", "kept_if_large"]


def _is_large(config: Config) -> bool:
    return config.rows * config.cols > 16


def kept_if_large(config: Config) -> dict[str, int]:
    """Attributes of registers of one value for several places: those of a large accelerator stay apart, each near its place,
    while synthesis merges those of a small one, which does better with fewer registers and fewer resets."""
    return {"keep": 1} if _is_large(config) else {}


def WeightWrite(config: Config) -> wiring.Signature:
    """Writes `bytes_per_beat` weights of one row into the shadow registers, from column slice * bytes_per_beat on."""
    return wiring.Signature(
        {
            "en": Out(1),
            "row": Out(range(config.rows)),
            "slice": Out(range(max(2, config.cols // config.bytes_per_beat))),
            "data": Out(8 * config.bytes_per_beat),
        }
    )


class SystolicArray(wiring.Component):
    """Matrix-vector product a cycle: sums[c] = sum over r of word[r] * weight[r][c].

    Partial sums move down the columns, one row a cycle; a word is broadcast along the rows, row r delayed by r cycles, and
    the swap to the next weight tile moves down with it. So no column skew is needed on either side, and row r of the next
    tile may be written from r cycles after the swap on: tiles can follow each other without a gap.

    Latency: `latency` cycles from `valid` to `sums`: rows + 2, and one more in arrays of more than 16 elements, whose far ends
    are a cycle away. Throughput: one word a cycle; it cannot be stalled.

    Members:
        clear       all registers return to their initial values, those of the processing elements a cycle later
        weights     shadow register writes; row r must be written before the cycle in which the swap reaches it
        valid, data, swap, tag   a word enters; with `swap` it is the first that meets the new weights
        out_valid, out_tag   in the cycle before the word's sums
        sums        the products of one word, cols sums of 16 + log2(rows) bits
    """

    def __init__(self, config: Config):
        self._config = config
        self._far = _is_large(config)
        self.latency = config.rows + 2 + self._far
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

        def register(value: Value, name: str) -> Signal:
            held = Signal(len(value), name=name)
            with m.If(self.clear):
                m.d.sync += held.eq(0)
            with m.Else():
                m.d.sync += held.eq(value)
            return held

        loads = [
            self.weights.en & (self.weights.row == row) & (self.weights.slice == part)
            for row in range(config.rows)
            for part in range(config.cols // lanes)
        ]
        inputs = Cat(self.weights.data, self.valid & self.swap, self.data, loads)
        if self._far:
            inputs = register(inputs, "registered")
        weights, swap, skewed, load = (
            Signal.like(self.weights.data),
            Signal(),
            Signal.like(self.data),
            Signal(len(loads)),
        )
        m.d.comb += Cat(weights, swap, skewed, load).eq(inputs)

        sums = [0] * config.cols
        for row in range(config.rows):
            clear = Signal(name=f"clear_{row}", attrs=kept_if_large(config))
            m.d.sync += clear.eq(self.clear)
            for col in range(0, config.cols, 2):
                pair = ProcessingPair(self.sum_width)
                m.submodules[f"pe_{row}_{col}"] = ResetInserter(clear)(pair)
                m.d.comb += [
                    pair.activation.eq(skewed[:8]),
                    pair.load.eq(load[row * (config.cols // lanes) + col // lanes]),
                    pair.weights_in.eq(weights.word_select(col % lanes // 2, 16)),
                    pair.swap.eq(swap),
                    pair.sums_in[0].eq(sums[col]),
                    pair.sums_in[1].eq(sums[col + 1]),
                ]
                sums[col : col + 2] = pair.sums_out[0], pair.sums_out[1]
            if row + 1 < config.rows:
                skewed, swap = register(skewed[8:], f"skew_{row}"), register(swap, f"swap_{row + 1}")
        m.d.comb += [self.sums[col].eq(sums[col]) for col in range(config.cols)]

        beside = Cat(self.valid, self.tag)
        for stage in range(self.latency - 1):
            beside = register(beside, f"beside_{stage}")
        m.d.comb += Cat(self.out_valid, self.out_tag).eq(beside)
        return m
