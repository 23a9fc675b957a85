"""Issue stage: decides in each cycle whether a word enters the array, and if not, why."""

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from deeplock.hw.basics.layouts import word_layout
from deeplock.hw.feed.weight_loader import TileHandover
from deeplock.pymodel.spec.config import Config

__all__ = ["Events", "IssueReport", "IssueStage"]


class Events(data.Struct):
    """What became of a cycle; one is high. empty: no word, or too soon; weights, post, output_stalled: what the word awaits."""

    compute: 1
    weights: 1
    empty: 1
    post: 1
    output_stalled: 1


class IssueReport(wiring.Signature):
    """Status of an issue stage.

    Members:
        events  of this cycle
    """

    def __init__(self):
        super().__init__({"events": Out(Events)})


class IssueStage(wiring.Component):
    """Passes a word in the cycle in which it comes, unless
    - it starts a weight tile that is not full yet,
    - it finishes accumulators, and the post-processor has not taken all chunks of the pixel before, or still has a layer
      before this one,
    - its results and those in flight might not fit into the ofmap buffer of `room` beats, or
    - it would be the third in a row in a layer of two pixels: its accumulators are just being written; without `config.dense`
      also if it would be the second or third in a layer of one pixel.

    Latency: 0 cycles. Throughput: one word a cycle; one finishing word every cols / lanes * multiplier_cycles cycles.

    Members:
        words    from the window feeder
        tiles    from the weight loader
        out      into the array
        retired  pulse: a pixel has left the post-processor
        opens    pulse: the next layer's words may finish accumulators
        ends     pulse: a layer's last word enters the array
        held     beats in the ofmap buffer
        report   see IssueReport
    """

    def __init__(self, config: Config, room: int):
        self._config = config
        self._room = room
        super().__init__(
            {
                "words": In(stream.Signature(word_layout(config))),
                "tiles": In(TileHandover()),
                "out": Out(stream.Signature(word_layout(config), always_ready=True)),
                "retired": In(1),
                "opens": In(1),
                "ends": Out(1),
                "held": In(range(room + 1)),
                "report": Out(IssueReport()),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        chunks = self._config.cols // self._config.lanes
        word = self.words.payload

        period = chunks * self._config.multiplier_cycles  # of the post-processor: cycles a pixel
        pause, pauses = Signal(range(period)), Signal()
        inside = Signal(range(self._room + 1))
        no_room = Signal()
        finishes = self.out.valid & word.tag.last
        m.d.sync += inside.eq(inside + finishes - self.retired)
        # decided a cycle ahead, to keep ofmap level and sums out of the path to `ready`. This word counts only if the period
        # is 1: otherwise the next one waits for the post-processor anyway
        sure = inside + 1 + (finishes if period == 1 else 0)
        m.d.sync += no_room.eq(sure * chunks + self.held > self._room)
        with m.If(finishes):
            m.d.sync += [pause.eq(period - 1), pauses.eq(period > 1)]
        with m.Elif(pauses):
            m.d.sync += [pause.eq(pause - 1), pauses.eq(pause != 1)]

        first, second = Signal(init=1), Signal()  # the next word's place in its k-block
        pair = Signal()  # the previous k-block had two pixels
        issued, too_soon = Signal(), Signal()
        m.d.sync += issued.eq(self.out.valid)
        with m.If(self.out.valid):
            m.d.sync += [first.eq(word.tag.pixel_last), second.eq(first & ~word.tag.pixel_last)]
            with m.If(word.tag.pixel_last):
                m.d.sync += pair.eq(second)
        m.d.sync += too_soon.eq(Mux(word.tag.pixel_last, second, pair) & self.out.valid & issued)

        soon: Value = too_soon
        if not self._config.dense:
            alone = Signal(2)  # a k-block of one pixel was a cycle ago, or two
            m.d.sync += alone.eq(Cat(self.out.valid & first & word.tag.pixel_last, alone[0]))
            soon = too_soon | alone.any()
        waits_for_weights = word.swap & ~self.tiles.full
        closed = Signal(init=1)  # the post-processor is not ready for the next word's layer
        m.d.comb += self.ends.eq(finishes & word.tag.final & word.tag.pixel_last)
        with m.If(self.ends):
            m.d.sync += closed.eq(1)
        with m.If(self.opens):
            m.d.sync += closed.eq(0)
        waits_for_post = word.tag.last & (pauses | closed)
        waits_for_room = word.tag.last & no_room
        with m.If(~self.words.valid | soon):
            m.d.comb += self.report.events.empty.eq(1)
        with m.Elif(waits_for_weights):
            m.d.comb += self.report.events.weights.eq(1)
        with m.Elif(waits_for_post):
            m.d.comb += self.report.events.post.eq(1)
        with m.Elif(waits_for_room):
            m.d.comb += self.report.events.output_stalled.eq(1)
        with m.Else():
            m.d.comb += self.report.events.compute.eq(1)
        m.d.comb += [
            self.out.valid.eq(self.report.events.compute),
            self.words.ready.eq(self.report.events.compute),
            self.tiles.swap.eq(self.out.valid & word.swap),
            self.out.payload.eq(word),
        ]
        return m
