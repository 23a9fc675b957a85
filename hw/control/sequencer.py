"""Sequencer: runs the program, layer after layer, inference after inference."""

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from deeplock.hw.basics.bundles import Layer, Run
from deeplock.hw.basics.layouts import FEEDER_WORDS, POST_WORDS, feeder_fields, post_fields
from deeplock.hw.basics.loops import counted
from deeplock.hw.feed.activation_memory import read_steps
from deeplock.hw.feed.unfold import IfmapHandover
from deeplock.pymodel.spec.config import Config

__all__ = ["Profiling", "Sequencer", "SequencerReport"]


class SequencerReport(wiring.Signature):
    """Status of a sequencer.

    Members:
        idle             all inferences have left
        feeding          the feeder has a layer
        waits_for_ifmap  the next layer lacks only its ifmap
    """

    def __init__(self):
        super().__init__({"idle": Out(1), "feeding": Out(1), "waits_for_ifmap": Out(1)})


class Profiling(wiring.Signature):
    """Selects the cycles that count, seen from the sequencer.

    Members:
        profile, counted  this cycle belongs to layer `profile`, from 1; 0: to any. A layer's cycles go from the one after the
                          previous layer's last word entered the array to that in which its own does
    """

    def __init__(self):
        super().__init__({"profile": In(8), "counted": Out(1)})


class Sequencer(wiring.Component):
    """Reads descriptors, and starts each layer twice: in the feeder and, when the layer before it has left, in the
    post-processor.

    The feeder may start before the results of the layer before are all in memory: `slack` of the descriptor says how much
    earlier. No more than two layers are between feeder and post-processor.

    Latency: with `config.pipeline_registers` a layer's feeder fields are read while the feeder has the layer before, and it
    starts 2 cycles after `feeder.done`, if nothing is in its way; else 14 cycles after. Its post-processing fields follow, 6 or
    5 cycles after its start or after `post.done` of the layer before, whichever comes later.

    settled  cycles from a layer's last word to the next layer's start, if that needs all of its results

    Members:
        run, layers            inferences of `layers` layers
        program                read port of the program memory
        feeder, post           layers for the window feeder and for the post-processor
        words_end              pulse: a layer's last word enters the array
        opens                  pulse: words of the layer after that may finish accumulators from now on
        ifmap                  ifmaps of the unfolder
        last_layer             the layer in the post-processor is the program's last
        report                 see SequencerReport
        profiling              see Profiling
    """

    def __init__(self, config: Config, settled: int):
        self._config = config
        self._settled = settled
        super().__init__(
            {
                "run": In(Run()),
                "layers": In(self._config.layer_bits),
                "program": In(memory.ReadPort.Signature(addr_width=ceil_log2(config.program_words), shape=32)),
                "feeder": Out(Layer(feeder_fields)),
                "post": Out(Layer(post_fields(config))),
                "words_end": In(1),
                "opens": Out(1),
                "ifmap": In(IfmapHandover()),
                "last_layer": Out(1),
                "report": Out(SequencerReport()),
                "profiling": Out(Profiling()),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self._config
        ahead = config.pipeline_registers  # reads the next layer's fields while the feeder uses the current ones
        fetched = Signal(feeder_fields, reset_less=True) if ahead else self.feeder.fields
        layer_bits = config.layer_bits
        layer, post_layer = (
            Signal(layer_bits),
            Signal(layer_bits),
        )  # that is fetched; that is in the post-processor, or comes there next
        fetching, post_fetching = Signal(), Signal()
        # the post-processor's few words go first
        reads, post_reads = Signal(), Signal()
        complete, index = self._read(m, FEEDER_WORDS, fetched, fetching, reads, ~post_reads)
        post_complete, post_index = self._read(m, POST_WORDS, self.post.fields, post_fetching, post_reads, Const(1))
        m.d.comb += self.program.addr.eq(
            Cat(Mux(post_reads, post_index, index)[:4], Mux(post_reads, post_layer, layer))
        )

        # layers that have begun in the feeder and not left the post-processor
        pending, next_pending = Signal(range(3)), Signal(range(4))
        m.d.comb += next_pending.eq(pending + self.feeder.start - self.post.done)
        m.d.sync += pending.eq(next_pending)
        unended = Signal(range(3))  # layers that have begun and whose last word has not entered the array
        m.d.sync += unended.eq(unended + self.feeder.start - self.words_end)
        settles = Signal()
        m.d.comb += settles.eq(self._settles(m, pending, unended))
        begun = self._run_feeder(m, fetched, fetching, complete, layer, settles, unended)
        m.d.comb += self.report.idle.eq(begun & (pending == 0))
        self._run_post(m, post_fetching, post_complete, post_layer, next_pending)

        entering, number = Signal(layer_bits), Signal(layer_bits)  # layer whose words enter the array or come next
        m.d.comb += number.eq(entering + 1)
        with m.If(self.words_end & ~(begun & (unended == 1))):  # the run's last layer also has the cycles behind it
            m.d.sync += entering.eq(Mux(number == self.layers, 0, number))
        profile = self.profiling.profile
        m.d.comb += self.profiling.counted.eq((profile == 0) | (profile == number))
        return m

    def _read(
        self, m: Module, words: range, target, fetching: Signal, asks: Signal, may: Value
    ) -> tuple[Signal, Signal]:
        """While `fetching`, read a descriptor's words and store them. `asks`: reads the word whose number is the second value
        returned. The first is a pulse in the first cycle in which all are there."""
        read = Signal(range(words.stop + 1), init=words.start)
        m.d.comb += asks.eq(fetching & (read != words.stop) & may)
        m.d.sync += read.eq(Mux(fetching, read + asks, words.start))
        arrives, arriving, word = Signal(), Signal.like(read), self.program.data
        m.d.sync += [arrives.eq(asks), arriving.eq(read)]
        if self._config.pipeline_registers:  # the fields of a large accelerator are far from the program memory
            arrived, arrived_as, held = Signal(), Signal.like(read), Signal.like(word, reset_less=True)
            m.d.sync += [arrived.eq(arrives), arrived_as.eq(arriving), held.eq(word)]
            arrives, arriving, word = arrived, arrived_as, held
        with m.If(arrives):
            with m.Switch(arriving):
                for at, number in enumerate(words):
                    with m.Case(number):
                        m.d.sync += target.as_value()[32 * at : 32 * at + 32].eq(word)
        complete = Signal()
        m.d.sync += complete.eq(arrives & (arriving == words.stop - 1))
        return complete, read

    def _settles(self, m: Module, pending: Signal, unended: Signal) -> Value:
        """Whether all results that the next layer reads will be in memory when it reads them."""
        settled, slack = self._settled, self.feeder.fields.slack
        age = Signal(range(settled + 1))  # cycles since a layer's last word did
        with m.If(self.words_end):
            m.d.sync += age.eq(1)
        with m.Elif(age != settled):
            m.d.sync += age.eq(age + 1)
        late, far = Signal(), Signal()  # registered; `late` is of a cycle ahead
        m.d.sync += late.eq(~self.words_end & (age + slack >= settled - 1))
        # words that are still on their way to the array hold back those behind them
        m.d.sync += far.eq(slack >= settled + read_steps(self._config) + 2)
        return (pending == 0) | ((pending == 1) & (far | (late & (unended == 0))))

    def _run_feeder(self, m: Module, fetched, fetching, complete, layer, settles, unended) -> Value:
        """Fetch layers and start them in the feeder. Returns whether all have begun."""
        fields, ahead = self.feeder.fields, fetched is not self.feeder.fields
        inferences = Signal(16)  # minus those whose last layer has not begun, minus one
        number, last = Signal.like(layer), Signal()
        ending, begun = Signal(), Signal()
        begins, ends = Signal(), Signal()
        m.d.comb += [number.eq(layer + 1), last.eq(number == self.layers)]
        m.d.sync += ending.eq(inferences == 0xFFFE)
        with m.If(begins | ends):
            m.d.sync += inferences.eq(counted(inferences, begins, ~self.run.count))
        busy = Signal()
        m.d.comb += self.report.feeding.eq(busy)
        with m.If(self.feeder.done):
            m.d.sync += busy.eq(0)

        with m.FSM(name="feeder_fsm"):
            with m.State("IDLE"):
                m.d.comb += begins.eq(1)
                with m.If(self.run.active & ~begun):
                    m.next = "FETCH"

            with m.State("FETCH"):
                m.d.comb += fetching.eq(1)
                with m.If(complete):
                    m.next = "FETCHED" if ahead else "READY"

            if ahead:
                with m.State("FETCHED"):
                    with m.If(~busy | self.feeder.done):
                        m.d.sync += fields.eq(fetched)
                        m.next = "SHOWN"
                with m.State("SHOWN"):  # the feeder sees them a cycle before it starts
                    m.next = "READY"

            with m.State("READY"):
                lacks = fields.wait_input & ~self.ifmap.ready & (unended == 0)  # no earlier layer will yet release it
                m.d.comb += self.report.waits_for_ifmap.eq(settles & lacks)
                with m.If(settles & (~fields.wait_input | self.ifmap.ready)):
                    m.d.comb += [self.feeder.start.eq(1), self.ifmap.take.eq(fields.wait_input)]
                    m.d.sync += [busy.eq(1), layer.eq(number)]
                    m.next = "FETCH" if ahead else "FEED"
                    with m.If(last):
                        m.d.comb += ends.eq(1)
                        m.d.sync += [layer.eq(0), begun.eq(ending)]
                        with m.If(ending):
                            m.next = "IDLE"

            if not ahead:
                with m.State("FEED"):
                    with m.If(self.feeder.done):
                        m.next = "FETCH"
        return begun

    def _run_post(self, m: Module, fetching, complete, layer, pending) -> None:
        """Fetch the fields of each layer that has begun and start it in the post-processor, when the layer before has left."""
        number, opens = Signal.like(layer), Signal()
        m.d.comb += [number.eq(layer + 1), self.post.start.eq(complete)]
        m.d.sync += self.opens.eq(opens)
        m.d.sync += self.last_layer.eq(number == self.layers)

        with m.FSM(name="post_fsm"):
            with m.State("EMPTY"):
                with m.If(pending != 0):
                    m.next = "FETCH"
                    m.d.comb += opens.eq(1)
            with m.State("FETCH"):
                m.d.comb += fetching.eq(1)
                with m.If(complete):
                    m.next = "BUSY"
            with m.State("BUSY"):
                with m.If(self.post.done):
                    m.next = "EMPTY"
                    with m.If(pending != 0):
                        m.next = "FETCH"
                        m.d.comb += opens.eq(1)
                    m.d.sync += layer.eq(Mux(self.last_layer, 0, number))
