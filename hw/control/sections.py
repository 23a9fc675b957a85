"""Sections: tells the parts of the loadable stream apart, in front of the lock."""

from amaranth import Const, Module, Mux, Signal
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from deeplock.hw.basics.bundles import Part, Run, part_layout
from deeplock.hw.basics.layouts import HeaderLayout, beat_layout
from deeplock.hw.basics.loops import counted
from deeplock.pymodel.lock.ciphers.sizes import KEY_BYTES
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.record import WORDS
from deeplock.pymodel.spec.registers import Error

__all__ = ["Sections"]


class _State(enum.Enum):
    IDLE = 0
    NONCE = 1
    HEAD = 2
    HEAD_TAG = 3
    PARAMETERS = 4
    TAG = 5
    CUT = 6  # the packet has ended within the head; what came before is still being checked
    DONE = 7  # nothing more to pass, or an error
    MODEL_KEY = 8  # with licences only, and last, so that others have a bit less


_JUDGED = 8
"""After 2 ** _JUDGED cycles and one the port has checked all beats that were on their way to it."""


class Sections(wiring.Component):
    """Passes head and parameters, with nonce and tags if the suite seals, and marks where each part ends. With
    `config.licences` a licence comes in front of the head.

    The packet must end with the last part of an inference. A beat that ends it elsewhere, or should and does not, is taken at
    once and not passed on. It is reported at once too, but within the head 257 cycles later if beats before it may still be on
    their way: what the head itself breaks comes first, whatever the sender's pauses are.

    Latency: 0 cycles. Throughput: one beat a cycle, also from one part to the next.

    Members:
        load    pulse, not during a run: a head comes
        run     of a loaded program: `count` inferences, the first one's part is the rest of the head's packet or, as of all
                others, a packet of its own
        stop    pulse: abandon whatever is in progress
        header  as far as it has come; its words are here before the head ends
        inlet   beats; `last` marks the packet's last one
        outlet  beats, each with its part
        error   Error code for one cycle, else Error.NONE
    """

    def __init__(self, config: Config):
        self._config = config
        size = config.bytes_per_beat
        super().__init__(
            {
                "load": In(1),
                "run": In(Run()),
                "stop": In(1),
                "header": In(HeaderLayout),
                "inlet": In(stream.Signature(beat_layout(size))),
                "outlet": Out(stream.Signature(part_layout(self._config))),
                "error": Out(8),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        inlet, outlet, size = self.inlet, self.outlet, self._config.bytes_per_beat
        chosen = suite(self._config.suite)
        record = 4 * WORDS // size  # beats of one
        small = {_State.NONCE: chosen.nonce_bytes(size) // size} | dict.fromkeys(
            (_State.HEAD_TAG, _State.TAG), chosen.tag_bytes(size) // size
        )

        state = Signal(_State)
        of_licence = Signal() if self._config.licences else Const(0, 1)
        active, wrong, take = Signal(), Signal(), Signal()
        part_ends, packet_ends = Signal(), Signal()
        m.d.comb += [
            wrong.eq(inlet.payload.last ^ packet_ends),
            outlet.payload.data.eq(inlet.payload.data),
            outlet.payload.last.eq(part_ends),
            outlet.valid.eq(inlet.valid & active & ~wrong),
            inlet.ready.eq(active & (outlet.ready | (inlet.valid & wrong))),
            take.eq(outlet.valid & outlet.ready),
        ]

        # beats of a part that is not parameters. The header's check refuses more layers before they are counted
        in_flight = chosen.seals or self._config.pipeline_registers  # beats may be, between here and the port
        most = record * (1 + self._config.program_words // WORDS)
        at = Signal(max(ceil_log2(most), (_JUDGED + 1) * in_flight))
        sections = Signal(16)  # minus the inferences to come, minus one
        beats = Signal.like(self.header.parameter_beats)  # of parameters: minus those after this one, minus two
        # known a cycle ahead, because much logic follows `last_beat`; `single`: the parameters are one beat
        last_beat, single = Signal(), Signal()
        outside = state != _State.PARAMETERS
        with m.If(outside | take):
            m.d.sync += beats.eq(counted(beats, outside | last_beat, ~self.header.parameter_beats))
        with m.If(take & outside):
            m.d.sync += at.eq(Mux(part_ends, 0, at + 1))

        end, ends_run = _State.TAG if chosen.seals else _State.PARAMETERS, sections[1:].all()
        with m.If((state == _State.IDLE) | (take & packet_ends)):
            m.d.sync += sections.eq(counted(sections, state == _State.IDLE, ~self.run.count))
        m.d.comb += packet_ends.eq(part_ends & (state == end) & ~of_licence)

        def part(here: _State, shown: Part, ends, then) -> None:
            with m.Case(here):
                m.d.comb += [active.eq(1), outlet.payload.part.eq(shown), part_ends.eq(ends)]
                with m.If(take & ends):
                    m.d.sync += state.eq(then)

        within = record.bit_length() - 1  # bits of `at` that count within a record
        layers = self.header.layers[: len(at) - within]  # more than the check lets through
        head_ends = at[within:].any() & (at[within:] == layers) & at[:within].all()

        def begin() -> None:
            with m.If(self.load):
                m.d.sync += state.eq(_State.NONCE if chosen.seals else _State.HEAD)
                if self._config.licences:
                    m.d.sync += of_licence.eq(1)

        with m.Switch(state):
            with m.Case(_State.IDLE):
                is_single = beats[2:].all() & (beats[:2] == 2)
                m.d.sync += [single.eq(is_single), last_beat.eq(is_single), at.eq(0)]
                with m.If(self.run.active):
                    m.d.sync += state.eq(_State.PARAMETERS)
                begin()
            terms_end = at[:within].all()
            part(
                _State.HEAD,
                Part.HEAD,
                Mux(of_licence, terms_end, head_ends),
                _State.HEAD_TAG if chosen.seals else _State.IDLE,
            )
            part(_State.PARAMETERS, Part.PARAMETERS, last_beat, end)
            if chosen.seals:
                part(_State.NONCE, Part.NONCE, at == small[_State.NONCE] - 1, _State.HEAD)
                after_head, after_parameters = _State.IDLE, _State.PARAMETERS
                if self._config.licences:
                    m.d.comb += outlet.payload.of_licence.eq(of_licence)
                    after_head = Mux(of_licence, _State.MODEL_KEY, after_head)
                    after_parameters = Mux(of_licence, _State.NONCE, after_parameters)
                    part(_State.MODEL_KEY, Part.PARAMETERS, at == KEY_BYTES // size - 1, _State.TAG)
                part(_State.HEAD_TAG, Part.TAG, at == small[_State.HEAD_TAG] - 1, after_head)
                part(_State.TAG, Part.TAG, at == small[_State.TAG] - 1, after_parameters)
            if in_flight:
                with m.Case(_State.CUT):
                    m.d.sync += at.eq(at + 1)
                    with m.If(at[_JUDGED]):
                        m.d.comb += self.error.eq(Mux(self.stop, Error.NONE, Error.LOADABLE_TRUNCATED))
                        m.d.sync += state.eq(_State.DONE)
            with m.Case(_State.DONE):
                with m.If(~self.run.active):
                    m.d.sync += [state.eq(_State.IDLE), at.eq(0)]
                    begin()

        with m.If(take & ~outside):
            m.d.sync += last_beat.eq(Mux(last_beat, single, beats[2:].all() & (beats[:2] == 1)))
        if self._config.licences:
            with m.If(take & part_ends & (state == _State.TAG)):
                m.d.sync += of_licence.eq(0)
        with m.If(take & packet_ends & ends_run):
            m.d.sync += state.eq(_State.DONE)
        with m.If(active & inlet.valid & wrong & ~self.stop):
            with m.If((outside & ((state != _State.TAG) | of_licence)) if in_flight else Const(0)):
                m.d.sync += [state.eq(_State.CUT), at.eq(0)]
            with m.Else():
                m.d.comb += self.error.eq(Mux(packet_ends, Error.LOADABLE_TOO_LONG, Error.LOADABLE_TRUNCATED))
                m.d.sync += state.eq(_State.DONE)
        with m.If(self.stop):
            m.d.sync += state.eq(_State.IDLE)
            if self._config.licences:
                m.d.sync += of_licence.eq(0)
        return m
