"""Loadable port: the only entrance of header, program and parameters."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, enum, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from deeplock.hw.basics.bundles import Run
from deeplock.hw.basics.layouts import HeaderLayout, beat_layout
from deeplock.hw.basics.loops import counted
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.header import header_rules
from deeplock.pymodel.spec.record import WORDS
from deeplock.pymodel.spec.registers import Error

__all__ = ["LoadControl", "LoadablePort"]


_HEADER_ERRORS = (Error.BAD_MAGIC, Error.BAD_GEOMETRY, Error.TOO_LARGE, Error.BAD_DESCRIPTOR)
"""In order of precedence: the first that applies is reported."""


class State(enum.Enum):
    IDLE = 0
    HEAD = 1
    PARAMETERS = 2
    DONE = 3  # nothing more to pass, or an error


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
    """Checks the header, writes the program memory, and passes on `parameter_beats` beats per inference.

    Latency: parameters pass in the same cycle; header and program take a cycle per 32-bit word.
    Throughput: one beat of parameters a cycle.

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
        broken = {error: Signal(name=error.name.lower()) for error in _HEADER_ERRORS}
        fails = Signal()  # high with `error`, but does not depend on which one it is
        sections = Signal(16)  # minus the sections to come, minus one
        beats = Signal.like(self.header.parameter_beats)  # minus the beats after this one, minus two
        # known a cycle ahead, because much logic follows `last_beat`; `single`: the section is one beat
        last_beat, single = Signal(), Signal()
        last_word = (number[4:] == self.header.layers) & number[:4].all()
        word = loadable.payload.data.word_select(part, 32)
        m.d.comb += [
            self.program.addr.eq(number - WORDS),
            self.program.data.eq(word),
            self.parameters.payload.data.eq(loadable.payload.data),
            self.parameters.payload.last.eq(last_beat),
        ]

        state = Signal(State)
        outside = state != State.PARAMETERS
        with m.If(outside | accept):
            m.d.sync += beats.eq(counted(beats, outside | last_beat, ~self.header.parameter_beats))
        with m.If(outside | (accept & last_beat)):
            m.d.sync += sections.eq(counted(sections, outside, ~self.run.count))
        m.d.comb += self.control.loading.eq(state == State.HEAD)
        with m.Switch(state):
            with m.Case(State.IDLE):
                is_single = beats[2:].all() & (beats[:2] == 2)
                m.d.sync += [single.eq(is_single), last_beat.eq(is_single)]
                with m.If(self.control.load):
                    m.d.sync += [self.control.loaded.eq(0), number.eq(0), part.eq(0), state.eq(State.HEAD)]
                    m.d.sync += [flag.eq(0) for flag in broken.values()]
                with m.Elif(self.run.active):
                    m.d.sync += state.eq(State.PARAMETERS)

            with m.Case(State.HEAD):
                m.d.comb += loadable.ready.eq(last_part)
                with m.If(loadable.valid):
                    m.d.sync += [part.eq(Mux(last_part, 0, part + 1)), number.eq(number + 1)]
                    m.d.comb += self.program.en.eq(number >= WORDS)
                    with m.If(number == WORDS + 1):
                        m.d.comb += fails.eq(Cat(broken.values()).any())
                        for error in reversed(_HEADER_ERRORS):
                            with m.If(broken[error]):
                                m.d.comb += self.control.error.eq(error)
                    with m.If((number >= WORDS) & last_word & last_part):
                        m.d.sync += [self.control.loaded.eq(~loadable.payload.last), state.eq(State.IDLE)]
                    with m.If(last_part & loadable.payload.last):
                        m.d.comb += [fails.eq(1), self.control.error.eq(Error.LOADABLE_TRUNCATED)]

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

        # with `pipeline_registers` the header is stored and checked a cycle later; the flags are read later still
        checked, checked_number, checks = Signal.like(word), Signal.like(number), Signal()
        m.d["sync" if config.pipeline_registers else "comb"] += [
            checked.eq(word),
            checked_number.eq(number),
            checks.eq((state == State.HEAD) & loadable.valid),
        ]
        with m.If(checks):
            with m.Switch(checked_number):
                for index in range(WORDS):
                    with m.Case(index):
                        m.d.sync += self.header.as_value()[32 * index : 32 * index + 32].eq(checked)
            for name, error, breaks in self._rules(checked):
                with m.If((checked_number == HeaderLayout[name].offset // 32) & breaks):
                    m.d.sync += broken[error].eq(1)

        with m.If(fails):
            m.d.sync += [state.eq(State.DONE), self.control.loaded.eq(self.control.loaded & ~self.control.loading)]
        with m.If(self.stop):
            m.d.sync += state.eq(State.IDLE)
            with m.If(self.control.loading):
                m.d.sync += self.control.loaded.eq(0)
        return m

    def _rules(self, word) -> list[tuple]:
        """Header fields, the Error of each, and whether it is wrong. A rule is evaluated while `word` holds its field, so only
        fields that are used later are stored."""
        field = data.View(HeaderLayout, word.replicate(WORDS))
        return [(name, error, breaks(field[name])) for name, error, breaks in header_rules(self._config)]
