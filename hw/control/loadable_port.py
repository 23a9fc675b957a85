"""Loadable port: the only entrance of header, program and parameters."""

from amaranth import Module, Mux, Shape, Signal
from amaranth.lib import data, enum, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from deeplock.hw.basics.bundles import Run
from deeplock.hw.basics.layouts import HeaderLayout, beat_layout
from deeplock.hw.basics.loops import counted
from deeplock.hw.control.program_check import ProgramCheck
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.record import WORDS
from deeplock.pymodel.spec.registers import Error

__all__ = ["LoadControl", "LoadablePort"]


class State(enum.Enum):
    IDLE = 0
    HEAD = 1
    CHECK = 2  # the head's last words are still being checked
    PARAMETERS = 3
    DONE = 4  # nothing more to pass, or an error


class LoadControl(wiring.Signature):
    """Between control and loadable port, seen from control.

    Members:
        load     pulse: the next beats are header and program
        loaded   header and program are complete and correct
        loading  between `load` and `loaded`
        error    Error code for one cycle, else Error.NONE
    """

    def __init__(self):
        super().__init__({"load": Out(1), "loaded": In(1), "loading": In(1), "error": In(8)})


class LoadablePort(wiring.Component):
    """Checks the head, writes the program memory, and passes on `parameter_beats` beats per inference.

    What the header breaks is told with the second word after it, what the program breaks at its end.

    Latency: parameters pass in the same cycle; header and program take as long as their check, program_check.steps_of each, and
    2 cycles; with `config.pipeline_registers` a cycle a word more. Throughput: one beat of parameters a cycle.

    Members:
        control    see LoadControl
        run        of a loaded program: `count` parameter sections, each the rest of a packet or a packet of its own
        stop       pulse: abandon whatever is in progress
        loadable   the loadable stream
        parameters locked beats
        program    write port of the program memory
        header     of the program that is loaded or being loaded
    """

    def __init__(self, config: Config):
        self._config = config
        beats = stream.Signature(beat_layout(config.bytes_per_beat))
        super().__init__(
            {
                "control": In(LoadControl()),
                "run": In(Run()),
                "stop": In(1),
                "loadable": In(beats),
                "parameters": Out(beats),
                "program": In(memory.WritePort.Signature(addr_width=ceil_log2(config.program_words), shape=32)),
                "header": Out(HeaderLayout),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self._config
        loadable = self.loadable
        words_per_beat = config.bytes_per_beat // 4
        accept = Signal()
        m.d.comb += accept.eq(loadable.valid & loadable.ready)

        part = Signal(range(max(2, words_per_beat)))
        last_part = part == words_per_beat - 1
        number = Signal(range(WORDS + config.program_words))  # of the word within header and program
        fails = Signal()  # high with `error`, but does not depend on which one it is
        sections = Signal(16)  # minus the sections to come, minus one
        beats = Signal.like(self.header.parameter_beats)  # minus the beats after this one, minus two
        # known a cycle ahead, because much logic follows `last_beat`; `single`: the section is one beat
        last_beat, single = Signal(), Signal()
        last_word = (number[4:] == self.header.layers) & number[:4].all()

        state = Signal(State)
        in_head = (state == State.HEAD) | (state == State.CHECK)
        m.submodules.check = check = ProgramCheck(config)
        offered, word = self._head_words(m, number.shape())
        m.d.comb += [
            offered.valid.eq((state == State.HEAD) & loadable.valid),
            offered.payload.data.eq(loadable.payload.data.word_select(part, 32)),
            offered.payload.number.eq(number),
            word.ready.eq(check.words.ready | ~in_head),
            check.words.valid.eq(word.valid & in_head),
            check.header.eq(self.header),
            self.parameters.payload.data.eq(loadable.payload.data),
            self.parameters.payload.last.eq(last_beat),
        ]

        self._keep(m, check, word.payload)

        outside = state != State.PARAMETERS
        with m.If(outside | accept):
            m.d.sync += beats.eq(counted(beats, outside | last_beat, ~self.header.parameter_beats))
        with m.If(outside | (accept & last_beat)):
            m.d.sync += sections.eq(counted(sections, outside, ~self.run.count))
        m.d.comb += self.control.loading.eq(in_head)
        with m.Switch(state):
            with m.Case(State.IDLE):
                is_single = beats[2:].all() & (beats[:2] == 2)
                m.d.sync += [single.eq(is_single), last_beat.eq(is_single)]
                with m.If(self.control.load):
                    m.d.comb += check.begin.eq(1)
                    m.d.sync += [self.control.loaded.eq(0), number.eq(0), part.eq(0), state.eq(State.HEAD)]
                with m.Elif(self.run.active):
                    m.d.sync += state.eq(State.PARAMETERS)

            with m.Case(State.HEAD):
                m.d.comb += loadable.ready.eq(last_part & offered.ready)
                with m.If(loadable.valid & offered.ready):
                    m.d.sync += [part.eq(Mux(last_part, 0, part + 1)), number.eq(number + 1)]
                    with m.If(number == WORDS + 1):  # the header has been checked
                        m.d.comb += [fails.eq(check.error.any()), self.control.error.eq(check.error)]
                    with m.If((number >= WORDS) & last_word & last_part):
                        m.d.sync += state.eq(State.CHECK)
                    with m.If(last_part & loadable.payload.last):
                        m.d.comb += [fails.eq(1), self.control.error.eq(Error.LOADABLE_TRUNCATED)]

            with m.Case(State.CHECK):
                wrong = check.error.any() | check.incomplete
                with m.If(~word.valid):
                    m.d.sync += [self.control.loaded.eq(1), state.eq(State.IDLE)]
                    m.d.comb += [fails.eq(wrong), self.control.error.eq(Mux(wrong, Error.BAD_DESCRIPTOR, Error.NONE))]

            with m.Case(State.PARAMETERS):
                # a wrong beat does not wait for the lock: it is reported and taken at once
                wrong = loadable.payload.last ^ last_beat
                m.d.comb += [
                    loadable.ready.eq(self.parameters.ready | (loadable.valid & wrong)),
                    self.parameters.valid.eq(loadable.valid),
                ]
                with m.If(loadable.valid & wrong & ~self.stop):
                    m.d.comb += fails.eq(1)
                    m.d.comb += self.control.error.eq(Mux(last_beat, Error.LOADABLE_TOO_LONG, Error.LOADABLE_TRUNCATED))
                with m.If(accept):
                    m.d.sync += last_beat.eq(Mux(last_beat, single, beats[2:].all() & (beats[:2] == 1)))
                    with m.If(last_beat & sections[1:].all()):
                        m.d.sync += state.eq(State.DONE)

            with m.Case(State.DONE):
                with m.If(~self.run.active):
                    m.d.sync += state.eq(State.IDLE)

        with m.If(fails):
            m.d.sync += [state.eq(State.DONE), self.control.loaded.eq(self.control.loaded & ~self.control.loading)]
        with m.If(self.stop):
            m.d.sync += state.eq(State.IDLE)
            with m.If(self.control.loading):
                m.d.sync += self.control.loaded.eq(0)
        return m

    def _head_words(self, m: Module, number: Shape) -> tuple[stream.Interface, stream.Interface]:
        """Both ends of the words' way to the check. With `pipeline_registers` a register is in between. It takes a word when
        it is empty, so that the check is in no path to the stream's `ready`."""
        words = stream.Signature(data.StructLayout({"data": 32, "number": number}))
        if not self._config.pipeline_registers:
            direct = words.create()
            return direct, direct
        offered, word = words.create(path=("offered",)), words.create(path=("word",))
        full, held = Signal(), Signal.like(word.payload, reset_less=True)
        m.d.comb += [offered.ready.eq(~full), word.valid.eq(full), word.payload.eq(held)]
        with m.If(~full):
            m.d.sync += [full.eq(offered.valid), held.eq(offered.payload)]
        with m.Elif(word.ready):
            m.d.sync += full.eq(0)
        return offered, word

    def _keep(self, m: Module, check: ProgramCheck, word: data.View) -> None:
        """Store the words that the check takes: header or program."""
        of_header = ~word.number[WORDS.bit_length() - 1 :].any()
        taken = check.words.valid & check.words.ready
        m.d.comb += [
            check.words.payload.data.eq(word.data),
            check.words.payload.number.eq(word.number),
            check.words.payload.of_header.eq(of_header),
            self.program.addr.eq(word.number - WORDS),
            self.program.data.eq(word.data),
            self.program.en.eq(taken & ~of_header),
        ]
        for index in range(WORDS):
            with m.If(taken & (word.number == index)):
                m.d.sync += self.header.as_value()[32 * index : 32 * index + 32].eq(word.data)
