"""Loadable port: the only entrance of header and program, behind the lock."""

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data, enum, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from deeplock.hw.basics.layouts import HeaderLayout, beat_layout
from deeplock.hw.control.program_check import HeadWord, ProgramCheck, factors_in
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.record import WORDS
from deeplock.pymodel.spec.registers import Error

__all__ = ["LoadControl", "LoadablePort"]


class _State(enum.Enum):
    IDLE = 0
    HEAD = 1
    CHECK = 2  # the head's last words are still being checked, or its tag is
    WRONG = 3  # until it is stopped


class LoadControl(wiring.Signature):
    """Between control and loadable port, seen from control.

    Members:
        load     pulse: the next beats are header and program
        forget   pulse: the program may not be run any more
        loaded   header and program are complete and correct
        loading  between `load` and `loaded`
        error    Error code for one cycle, else Error.NONE
    """

    def __init__(self):
        super().__init__({"load": Out(1), "forget": Out(1), "loaded": In(1), "loading": In(1), "error": In(8)})


class LoadablePort(wiring.Component):
    """Checks the head and writes the program memory.

    What the header breaks is told with the second word after it, what the program breaks at its end. `loaded` rises only when
    the head is trusted too.

    Latency and throughput: header and program take as long as their check, program_check.steps_of each, and 2 cycles; with
    `config.pipeline_registers` a cycle a word and 2 cycles more.

    Members:
        control    see LoadControl
        stop       pulse: abandon whatever is in progress
        head       beats; `last` marks the last one
        trusted    the head that has passed the lock is authentic
        refusal    Error for which its licence refuses it, else Error.NONE
        program    write port of the program memory
        header     of the program that is loaded or being loaded
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "control": In(LoadControl()),
                "stop": In(1),
                "head": In(stream.Signature(beat_layout(config.bytes_per_beat))),
                "trusted": In(1),
                "refusal": In(8),
                "program": In(memory.WritePort.Signature(addr_width=ceil_log2(config.program_words), shape=32)),
                "header": Out(HeaderLayout),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config, control = self._config, self.control
        words_per_beat = config.bytes_per_beat // 4

        part = Signal(range(max(2, words_per_beat)))
        last_part = part == words_per_beat - 1
        number = Signal(range(WORDS + config.program_words))  # of the word within header and program
        fails = Signal()  # high with `error`, but does not depend on which one it is

        state = Signal(_State)
        in_head = (state == _State.HEAD) | (state == _State.CHECK)
        head = self._held_head(m, state == _State.HEAD) if config.pipeline_registers else self.head
        m.submodules.check = check = ProgramCheck(config)
        offered, word = self._head_words(m, len(self.program.addr))
        in_record, of_header = number[: WORDS.bit_length() - 1], ~number[WORDS.bit_length() - 1 :].any()
        m.d.comb += [
            offered.valid.eq((state == _State.HEAD) & head.valid),
            offered.payload.at.eq(number - WORDS),
            offered.payload.word.data.eq(head.payload.data.word_select(part, 32)),
            offered.payload.word.number.eq(in_record),
            offered.payload.word.of_header.eq(of_header),
            offered.payload.word.factors.eq(factors_in(in_record, of_header, suite(config.suite).seals)),
            word.ready.eq(check.words.ready | ~in_head),
            check.words.valid.eq(word.valid & in_head),
            check.words.payload.eq(word.payload.word),
            check.header.eq(self.header),
        ]

        self._keep(m, check, word.payload)

        m.d.comb += control.loading.eq(in_head)
        with m.Switch(state):
            with m.Case(_State.IDLE):
                with m.If(control.load):
                    m.d.comb += check.begin.eq(1)
                    m.d.sync += [control.loaded.eq(0), number.eq(0), part.eq(0), state.eq(_State.HEAD)]

            with m.Case(_State.HEAD):
                m.d.comb += head.ready.eq(last_part & offered.ready)
                with m.If(head.valid & offered.ready):
                    m.d.sync += [part.eq(Mux(last_part, 0, part + 1)), number.eq(number + 1)]
                    with m.If(number == WORDS + 1):  # the header has been checked
                        m.d.comb += [fails.eq(check.error.any()), control.error.eq(check.error)]
                    with m.If(head.payload.last & last_part):
                        m.d.sync += state.eq(_State.CHECK)

            with m.Case(_State.CHECK):
                wrong = check.error.any() | check.incomplete
                checked = ~word.valid & ~check.settling
                with m.If(checked & wrong):
                    m.d.comb += [fails.eq(1), control.error.eq(Error.BAD_DESCRIPTOR)]
                with m.Elif(checked & self.trusted & self.refusal.any()):
                    m.d.comb += [fails.eq(1), control.error.eq(self.refusal)]
                with m.Elif(checked & self.trusted):
                    m.d.sync += [control.loaded.eq(1), state.eq(_State.IDLE)]

        with m.If(fails):
            m.d.sync += state.eq(_State.WRONG)
        with m.If(self.stop):
            m.d.sync += state.eq(_State.IDLE)
        with m.If(control.forget | (self.stop & in_head)):  # also in the cycle in which it would become loaded
            m.d.sync += control.loaded.eq(0)
        return m

    def _held_head(self, m: Module, takes: Value) -> stream.Interface:
        """The head behind a register, so that no path goes from the lock through the check, or back. It takes a beat when it is
        empty, which costs no cycle, because a word takes two."""
        head = self.head.signature.create(path=("held",))
        full, beat = Signal(), Signal.like(head.payload, reset_less=True)
        m.d.comb += [self.head.ready.eq(takes & ~full), head.valid.eq(full), head.payload.eq(beat)]
        with m.If(~full):
            m.d.sync += beat.eq(self.head.payload)
        with m.If(~full & takes):
            m.d.sync += full.eq(self.head.valid)
        with m.If((full & head.ready) | self.stop):
            m.d.sync += full.eq(0)
        return head

    def _head_words(self, m: Module, address: int) -> tuple[stream.Interface, stream.Interface]:
        """Both ends of the words' way to the check, with their `address` bits of the program memory. With `pipeline_registers`
        a register is in between. It takes a word when it is empty, so that the check is in no path to the stream's `ready`."""
        words = stream.Signature(data.StructLayout({"word": HeadWord, "at": address}))
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

    def _keep(self, m: Module, check: ProgramCheck, payload: data.View) -> None:
        """Store the words that the check takes: header or program."""
        word, taken = payload.word, check.words.valid & check.words.ready
        m.d.comb += [
            self.program.addr.eq(payload.at),
            self.program.data.eq(word.data),
            self.program.en.eq(taken & ~word.of_header),
        ]
        for index in range(WORDS):
            with m.If(taken & word.of_header & (word.number == index)):
                m.d.sync += self.header.as_value()[32 * index : 32 * index + 32].eq(word.data)
