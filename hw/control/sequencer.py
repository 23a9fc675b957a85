"""Sequencer: runs the program, layer after layer, inference after inference."""

from amaranth import Array, Cat, Const, Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from deeplock.hw.basics.bundles import Layer, Run
from deeplock.hw.basics.layouts import FEEDER_WORDS, POST_WORDS, feeder_fields, post_fields
from deeplock.hw.feed.unfold import IfmapHandover
from deeplock.pymodel.spec.config import Config

__all__ = ["Profiling", "Sequencer", "SequencerReport"]


class SequencerReport(wiring.Signature):
    """Status of a sequencer.

    Members:
        idle             all inferences have left
        feeding          the feeder has a layer
        waits_for_ifmap  the next layer lacks only its ifmap
        bad              pulse, one cycle later: a descriptor is wrong
    """

    def __init__(self):
        super().__init__({"idle": Out(1), "feeding": Out(1), "waits_for_ifmap": Out(1), "bad": Out(1)})


class Profiling(wiring.Signature):
    """Selects the cycles that count, seen from the sequencer.

    Members:
        profile, counted  this cycle belongs to layer `profile`, from 1; 0: to any. A layer's cycles go from the one after the
                          previous layer's `done` to that of its own `done`
    """

    def __init__(self):
        super().__init__({"profile": In(8), "counted": Out(1)})


class Sequencer(wiring.Component):
    """Reads descriptors and starts feeder and post-processor; a layer starts when the previous one has left.

    Latency: a layer's feeder fields are read while the layer before drains. So it starts in the cycle after `post.done` if the
    drain takes 14 cycles or more, and one more at the end of an inference. Its post-processing fields follow in the next 5
    cycles, before the first word can reach the post-processor. Without `config.pipeline_registers` these are 13 and 4 cycles.

    Members:
        run, layers            inferences of `layers` layers
        program                read port of the program memory
        feeder, post           layers for the window feeder and for the post-processor
        ifmap                  ifmaps of the unfolder
        loaded                 inferences whose parameters the weight loader has seen
        to_stream, last_layer  the running layer writes to the ofmap stream; it is the program's last
        report                 see SequencerReport
        profiling              see Profiling
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "run": In(Run()),
                "layers": In(8),
                "program": In(memory.ReadPort.Signature(addr_width=ceil_log2(config.program_words), shape=32)),
                "feeder": Out(Layer(feeder_fields)),
                "post": Out(Layer(post_fields)),
                "ifmap": In(IfmapHandover()),
                "loaded": In(16),
                "to_stream": Out(1),
                "last_layer": Out(1),
                "report": Out(SequencerReport()),
                "profiling": Out(Profiling()),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        fields = self.feeder.fields
        layer, number = Signal(8), Signal(8)  # its number from 0, and from 1
        m.d.comb += number.eq(layer + 1)
        inferences, next_inferences = Signal(16), Signal(16)
        ending, ended = Signal(), Signal()  # this inference is the last (registered); it is over
        m.d.comb += next_inferences.eq(inferences + 1)
        m.d.sync += ending.eq(next_inferences == self.run.count)
        not_ahead = Signal()  # the weight loader has loaded no later inference (registered)
        m.d.sync += not_ahead.eq(self.loaded == inferences)
        drained = Signal(init=1)
        with m.If(self.post.done):
            m.d.sync += drained.eq(1)

        bad = Signal()
        m.d.sync += self.report.bad.eq(bad)

        words = Array([*FEEDER_WORDS, *POST_WORDS])
        read = Signal(range(len(words) + 1))
        reading = Signal()
        m.d.comb += self.program.addr.eq(Cat(Const(0, 4), layer) | words[read])
        with m.If(reading):
            m.d.sync += read.eq(read + 1)
        arrives, arriving = Signal(), Signal.like(read)  # `word` was asked for; which one it is
        m.d.sync += [arrives.eq(reading), arriving.eq(read)]
        fetching, word = reading | arrives, self.program.data
        if self._config.pipeline_registers:  # the fields of a large accelerator are far from the program memory
            arrived, arrived_as, held = Signal(), Signal.like(arriving), Signal.like(word, reset_less=True)
            m.d.sync += [arrived.eq(arrives), arrived_as.eq(arriving), held.eq(word)]
            fetching, arrives, arriving, word = fetching | arrived, arrived, arrived_as, held
        with m.If(arrives):
            with m.Switch(arriving):
                for index in range(len(words)):
                    split = index - len(FEEDER_WORDS)
                    target, at = (fields, index) if split < 0 else (self.post.fields, split)
                    with m.Case(index):
                        m.d.sync += target.as_value()[32 * at : 32 * at + 32].eq(word)

        m.d.sync += self.post.start.eq(arrives & (arriving == len(words) - 1))
        if self._config.sum_bits == 24:  # no room for the sums of a layer that is not narrow
            with m.If(self.post.start & ~self.post.fields.narrow):
                m.d.comb += bad.eq(1)

        wrong = Signal()  # registered: the fields are complete a cycle before CHECK
        m.d.sync += wrong.eq(self._is_bad(fields))
        fed = Signal()
        ready = drained & (~fields.wait_input | self.ifmap.ready)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.report.idle.eq(drained & ended)
                with m.If(self.run.active & ~ended):
                    m.next = "FETCH"

            with m.State("FETCH"):
                m.d.comb += reading.eq(read != len(FEEDER_WORDS))
                with m.If(~fetching):
                    m.next = "CHECK"

            with m.State("CHECK"):
                m.d.comb += self.report.waits_for_ifmap.eq(drained & fields.wait_input & ~self.ifmap.ready)
                with m.If(wrong):
                    m.d.comb += bad.eq(1)
                    m.next = "STOPPED"
                with m.Elif(ready):
                    m.d.comb += [self.feeder.start.eq(1), self.ifmap.take.eq(fields.wait_input)]
                    m.d.sync += [drained.eq(0), self.to_stream.eq(fields.to_stream)]
                    m.d.sync += self.last_layer.eq(number == self.layers)
                    m.next = "RUN"

            with m.State("RUN"):
                m.d.comb += [self.report.feeding.eq(~fed), reading.eq(read != len(words))]
                m.d.comb += self.ifmap.release.eq(self.feeder.done & fields.release_input)
                m.d.sync += fed.eq(fed | self.feeder.done)
                with m.If(fed & ~fetching):
                    m.d.sync += [fed.eq(0), read.eq(0), layer.eq(number)]
                    m.next = "FETCH"
                    with m.If(self.last_layer):
                        m.d.sync += layer.eq(0)
                        m.next = "LAST"

            with m.State("LAST"):
                # the loader is a tile ahead, unless program and parameters disagree. Barely: the last weights may have come in
                # the cycle before `feeder.done`, three cycles ago; `loaded` was sampled one cycle ago
                m.d.comb += bad.eq(not_ahead)
                m.d.sync += [inferences.eq(next_inferences), ended.eq(ending)]
                m.next = "FETCH"
                with m.If(ending):
                    m.next = "IDLE"

            with m.State("STOPPED"):
                pass

        # while a layer drains `layer` is the next one, and after the last inference there is none
        kept, asked = Signal(), Signal(reset_less=True)  # registered, in time: before the previous layer has drained
        m.d.sync += asked.eq((self.profiling.profile == 0) | (self.profiling.profile == number))
        m.d.comb += self.profiling.counted.eq(kept)
        with m.If(drained & ~self.report.idle):
            m.d.comb += self.profiling.counted.eq(asked)
        m.d.sync += kept.eq(self.profiling.counted)
        return m

    def _is_bad(self, fields):
        sizes = ("out_w", "out_h", "pool_w", "pool_h", "kernel_w", "kernel_h", "cblocks", "groups")
        return Cat(fields[name] == 0 for name in sizes).any()
