"""Framer: receives and checks requests, and sends answers."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import enum, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from deeplock.fpga.frames import ANSWER_SYNC, BYTE_TIMEOUT, CRC, REQUEST_SYNC

__all__ = ["Framer"]


class Phase(enum.IntEnum, shape=3):
    """Position in a frame; then, for a complete request, its check and execution."""

    SYNC = 0
    TAG = 1
    LENGTH = 2
    PAYLOAD = 3
    CRC_LOW = 4
    CRC_HIGH = 5
    CHECK = 6
    RUN = 7


class Framer(wiring.Component):
    """Hands on each complete request whose CRC is right, and sends the answer when it is done.

    A request that is damaged, or pauses for longer than frames.BYTE_TIMEOUT, is dropped without an answer. One that repeats
    the last sequence number, unless that is 0, is not handed on: it gets the last answer again. Bytes received during an
    answer are lost.

    Latency: `run` rises 2 cycles after the last byte of a request, and an answer is offered in the cycle after `done`.
    Throughput: requests a byte every 4 cycles, payload a byte every 2, data a byte a cycle, answers a byte every 2. Answers
    follow their data by 2 cycles.

    Members:
        rx        bytes from the UART, at least 4 cycles apart
        tx        bytes to the UART
        run       a request is being executed
        command   its code
        payload   its payload, while `run`
        at_end    all of the payload was taken
        data      of the answer, while `run`; bytes beyond 255 are lost
        room      there is room for at least 16 bytes of data
        state     code of the answer, with `done`
        done      pulse, ends `run`
    """

    def __init__(self, clock_hz: float):
        self._timeout_bits = ceil_log2(int(clock_hz * BYTE_TIMEOUT))
        super().__init__(
            {
                "rx": In(stream.Signature(8, always_ready=True)),
                "tx": Out(stream.Signature(8)),
                "run": Out(1),
                "command": Out(4),
                "payload": Out(stream.Signature(8)),
                "at_end": Out(1),
                "data": In(stream.Signature(8, always_ready=True)),
                "room": Out(1),
                "state": In(4),
                "done": In(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        # lower half: the last request's payload; upper half: the last answer's data
        m.submodules.buffer = buffer = memory.Memory(shape=8, depth=512, init=[])
        read, write = buffer.read_port(domain="comb"), buffer.write_port()
        # a register that is never loaded in a cycle with a write: Yosys then maps it to the block RAM's read port, without
        # logic for reading the old byte during a write
        read_data = Signal(8)
        with m.If(~write.en):
            m.d.sync += read_data.eq(read.data)

        phase, answering = Signal(Phase), Signal()
        sequence, last_sequence, state = Signal(4), Signal(4), Signal(4)
        length, size = Signal(8), Signal(8)  # of request and answer
        m.submodules.crc = crc = CRC.create()
        byte, advance = Signal(8), Signal()

        # `at` counts through the payload while a frame passes, and again while the request is executed
        at, next_byte, settled = Signal(8), Signal(), Signal()
        ended = Signal()  # `at` is past the payload; valid once `settled`
        m.d.sync += ended.eq(Mux(answering, at == size, self.at_end))
        m.d.comb += [
            self.at_end.eq(at == length),
            read.addr.eq(Cat(at, answering)),
        ]
        m.d.sync += settled.eq(0)  # the byte at `at` has been read
        with m.If((phase != Phase.PAYLOAD) & (phase != Phase.RUN)):
            m.d.sync += at.eq(0)
        with m.Elif(next_byte):
            m.d.sync += at.eq(at + 1)
        with m.Else():
            m.d.sync += settled.eq(1)

        with m.If(answering):
            with m.Switch(phase):
                with m.Case(Phase.SYNC):
                    m.d.comb += byte.eq(ANSWER_SYNC)
                with m.Case(Phase.TAG):
                    m.d.comb += byte.eq(Cat(state, sequence))
                with m.Case(Phase.LENGTH):
                    m.d.comb += byte.eq(size)
                with m.Case(Phase.PAYLOAD):
                    m.d.comb += byte.eq(read_data)
                with m.Default():
                    m.d.comb += byte.eq(crc.crc[:8])  # then the upper half, which a step moves down
            m.d.comb += [
                self.tx.valid.eq((phase != Phase.PAYLOAD) | (settled & ~ended)),
                advance.eq(self.tx.valid & self.tx.ready),
            ]
        with m.Else():
            m.d.comb += [byte.eq(self.rx.payload), advance.eq(self.rx.valid)]
        m.d.comb += self.tx.payload.eq(byte)

        starting = phase == Phase.SYNC
        m.d.comb += [crc.start.eq(starting), crc.valid.eq(advance & ~starting), crc.data.eq(byte)]

        silence = Signal(self._timeout_bits + 1)
        m.d.sync += silence.eq(silence + 1)
        with m.If(self.rx.valid):
            m.d.sync += silence.eq(0)

        next_phase, restart, begin, answer = Signal(), Signal(), Signal(), Signal()
        right = crc.match_detected
        repeated = (sequence == last_sequence) & sequence.any()
        m.d.comb += [next_phase.eq(advance), restart.eq(silence[-1] & ~answering)]
        with m.Switch(phase):
            with m.Case(Phase.SYNC):
                m.d.comb += next_phase.eq(advance & (answering | (self.rx.payload == REQUEST_SYNC)))
            with m.Case(Phase.TAG):
                with m.If(advance & ~answering):
                    m.d.sync += Cat(self.command, sequence).eq(self.rx.payload)
            with m.Case(Phase.LENGTH):
                with m.If(advance & ~answering):
                    m.d.sync += length.eq(self.rx.payload)
            with m.Case(Phase.PAYLOAD):
                m.d.comb += [next_phase.eq(settled & ended), next_byte.eq(advance & ~ended)]
            with m.Case(Phase.CRC_HIGH):
                with m.If(advance & answering):
                    m.d.comb += [next_phase.eq(0), restart.eq(1)]
            with m.Case(Phase.CHECK):
                m.d.comb += [begin.eq(right & ~repeated), answer.eq(right & repeated)]
                m.d.comb += [next_phase.eq(begin), restart.eq(~begin)]
            with m.Case(Phase.RUN):
                m.d.comb += [self.run.eq(1), next_byte.eq(self.payload.valid & self.payload.ready)]
                m.d.comb += [next_phase.eq(self.done), answer.eq(self.done), restart.eq(0)]
        with m.If(next_phase):
            m.d.sync += phase.eq(phase + 1)
        with m.Elif(restart):
            m.d.sync += [phase.eq(Phase.SYNC), answering.eq(0)]
        with m.If(answer):
            m.d.sync += answering.eq(1)
        with m.If(begin):
            m.d.sync += last_sequence.eq(sequence)
        with m.If(self.done):
            m.d.sync += state.eq(self.state)

        m.d.comb += [self.payload.payload.eq(read_data), self.payload.valid.eq(self.run & settled & ~self.at_end)]
        next_size = Signal.like(size)
        m.d.comb += next_size.eq(Mux(begin, 0, size + (self.run & self.data.valid)))
        m.d.sync += [size.eq(next_size), self.room.eq(~next_size[4:].all())]
        with m.If(self.run):
            m.d.comb += [write.addr.eq(Cat(size, 1)), write.data.eq(self.data.payload), write.en.eq(self.data.valid)]
        with m.Else():
            m.d.comb += [write.addr.eq(at), write.data.eq(self.rx.payload)]
            m.d.comb += write.en.eq(next_byte & ~answering)
        return m
