"""The board's end of the link: executes requests."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from deeplock.fpga.frames import ITEM_BYTES, VERSION, Command, Info
from deeplock.fpga.gateware.flash import REQUEST
from deeplock.fpga.gateware.framer import Framer
from deeplock.hw.basics.axi import AxiLite
from deeplock.hw.basics.layouts import beat_layout
from deeplock.hw.control.registers import ADDRESS_BITS
from deeplock.pymodel.spec.config import Config

__all__ = ["Link"]


class Step(enum.Enum, shape=2):
    """Each item of a request's payload is gathered, then executed, and may emit bytes of the answer."""

    GATHER = 0
    ACT = 1
    EMIT = 2


class Link(wiring.Component):
    """Executes the commands of fpga.frames on an accelerator and a flash reader. Optimised for few LUTs: bytes go one by one.

    No command waits for a stream, so each gets an answer. Ifmap beats are offered only while the accelerator is ready; its
    ready must not wait for them. Ofmap beats are fetched as far as they are there and fit. STREAM is refused while the
    flash reader is not ready.

    Latency from the last byte of a request to the first byte of its answer, in cycles: 3, plus at most, for each item, 2 a
    byte, 1 more with `config.pipeline_registers`, and 1 to act (READ 5 and 4 to answer, WRITE 3, with hw.control); for each
    ofmap beat lanes + 2; INFO 17, RECEIVE and RESET 1. Throughput: the UART's.

    Members:
        rx, tx        bytes from and to the UART, see Framer
        flash         request to the flash reader; its ready must stay until the request is taken
        reset         pulse, for the accelerator and the flash reader
        registers     of the accelerator
        ifmap, ofmap  to and from its streams
    """

    def __init__(self, config: Config, clock_hz: int, board: str):
        self._config, self._clock_hz = config, clock_hz
        self._info = Info(VERSION, clock_hz, board).encode()
        super().__init__(
            {
                "rx": In(stream.Signature(8, always_ready=True)),
                "tx": Out(stream.Signature(8)),
                "flash": Out(stream.Signature(REQUEST)),
                "reset": Out(1),
                "registers": Out(AxiLite(ADDRESS_BITS)),
                "ifmap": Out(stream.Signature(beat_layout(config.rows))),
                "ofmap": In(stream.Signature(beat_layout(config.lanes, keep=True))),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.framer = framer = Framer(self._clock_hz)
        connect(m, flipped(self.rx), framer.rx)
        connect(m, framer.tx, flipped(self.tx))
        command = framer.command[:3]
        step, refused, last = Signal(Step), Signal(), Signal()
        m.d.comb += framer.state.eq(Cat(refused, last, self.ofmap.valid, self.ifmap.ready))

        later = "sync" if self._config.pipeline_registers else "comb"
        # an item's bytes enter at the upper end of `word`; a register's leave at bit -32
        rows = self._config.rows
        word, shift, load = Signal(8 * max(rows, ITEM_BYTES[Command.STREAM])), Signal(), Signal()
        # the byte that was taken from the payload
        entering, taken, waits = framer.payload.payload, framer.payload.valid & framer.payload.ready, Const(0)
        if self._config.pipeline_registers:
            entering, waits = Signal(8, reset_less=True), Signal()
            m.d.sync += [entering.eq(framer.payload.payload), waits.eq(taken)]
            taken = waits  # of two cycles, a byte comes in one
        with m.If(shift | load):
            m.d.sync += word.eq(Cat(word[8:], entering))
            with m.If(load):
                m.d.sync += word[-32:].eq(self.registers.rdata)
        m.d.comb += [
            self.registers.araddr.eq(word[-8:] << 2),
            self.registers.awaddr.eq(word[-40:-32] << 2),
            self.registers.wdata.eq(word[-32:]),
            self.registers.wstrb.eq(0xF),
            self.registers.rready.eq(1),
            self.registers.bready.eq(1),
            self.ifmap.payload.data.eq(word[-8 * rows :]),
            self.ifmap.payload.last.eq((command == Command.SEND_LAST) & framer.at_end),
            self.flash.payload.eq(word[-REQUEST.size :]),
        ]
        number = Signal(4)  # of the byte that is gathered or emitted
        is_final = self._is_final(m, command, step, number)
        with m.If(shift):
            m.d.sync += number.eq(Mux(is_final, 0, number + 1))
        # of an ofmap beat, the byte to be emitted is the lowest; a single byte stays at the port until then
        beat = self.ofmap.payload
        if self._config.lanes > 1:
            beat = Signal.like(self.ofmap.payload, reset_less=True)
            with m.If(step == Step.ACT):
                m.d.sync += beat.eq(self.ofmap.payload)
            with m.Elif(shift):
                m.d.sync += [beat.data.eq(beat.data >> 8), beat.keep.eq(beat.keep >> 1)]
        byte = Signal(8)
        keep = self._data(m, command, number, word[-32:-24], beat, byte)
        # `run` is high until `done`, which comes no earlier
        m.d[later] += [
            framer.data.payload.eq(byte),
            framer.data.valid.eq(framer.run & (step == Step.EMIT) & keep),
        ]

        address_sent, data_sent = Signal(), Signal()
        m.d.sync += self.ofmap.ready.eq(0)  # registered, because much of the accelerator depends on it
        m.d[later] += [self.flash.valid.eq(0), self.reset.eq(0)]
        with m.If(~framer.run):
            has_items = framer.command[3] | ~command.matches(Command.INFO, Command.RECEIVE, Command.RESET)
            m.d.sync += [refused.eq(framer.command[3]), last.eq(0), number.eq(0)]
            m.d.sync += step.eq(Mux(has_items, Step.GATHER, Step.ACT))
        with m.Elif(step == Step.GATHER):
            m.d.comb += [
                framer.done.eq((framer.at_end | refused) & ~waits),
                framer.payload.ready.eq(~refused & ~waits),
                shift.eq(taken),
            ]
            m.d.sync += [address_sent.eq(0), data_sent.eq(0)]
            with m.If(shift & is_final):
                m.d.sync += step.eq(Step.ACT)
        with m.Elif(step == Step.ACT):
            m.d.sync += step.eq(Step.GATHER)
            with m.Switch(command):
                with m.Case(Command.INFO):
                    m.d.sync += step.eq(Step.EMIT)
                with m.Case(Command.RECEIVE):
                    with m.If(self.ofmap.ready):  # the previous beat leaves in this cycle
                        m.d.sync += step.eq(Step.ACT)
                    with m.Elif(self.ofmap.valid & framer.room & ~last):
                        m.d.sync += step.eq(Step.EMIT)
                with m.Case(Command.RESET):
                    m.d[later] += self.reset.eq(1)
                with m.Case(Command.READ):
                    m.d.comb += [self.registers.arvalid.eq(~address_sent), load.eq(self.registers.rvalid)]
                    m.d.sync += [
                        address_sent.eq(address_sent | self.registers.arready),
                        refused.eq(self.registers.rresp[1]),
                        step.eq(Mux(self.registers.rvalid, Step.EMIT, Step.ACT)),
                    ]
                with m.Case(Command.WRITE):
                    m.d.comb += [self.registers.awvalid.eq(~address_sent), self.registers.wvalid.eq(~data_sent)]
                    m.d.sync += [
                        address_sent.eq(address_sent | self.registers.awready),
                        data_sent.eq(data_sent | self.registers.wready),
                        refused.eq(self.registers.bresp[1]),
                        step.eq(Mux(self.registers.bvalid, Step.GATHER, Step.ACT)),
                    ]
                with m.Case(Command.SEND, Command.SEND_LAST):
                    m.d.comb += self.ifmap.valid.eq(self.ifmap.ready)
                    m.d.sync += refused.eq(~self.ifmap.ready)
                with m.Case(Command.STREAM):
                    # its payload is still there in the next cycle
                    m.d[later] += self.flash.valid.eq(self.flash.ready)
                    m.d.sync += refused.eq(~self.flash.ready)
        with m.Elif(step == Step.EMIT):
            m.d.comb += shift.eq(1)
            with m.If(is_final):
                m.d.sync += step.eq(Step.GATHER)
                with m.If(command == Command.RECEIVE):
                    m.d.sync += self.ofmap.ready.eq(1)
                    m.d.sync += [last.eq(self.ofmap.payload.last), step.eq(Step.ACT)]
        return m

    def _is_final(self, m: Module, command, step, number):
        """Whether byte `number` is the last to be gathered, or emitted."""
        gathered = ITEM_BYTES | dict.fromkeys((Command.SEND, Command.SEND_LAST), self._config.rows)
        emitted = {Command.INFO: len(self._info), Command.READ: 4, Command.RECEIVE: self._config.lanes}
        is_final = Signal()
        with m.Switch(Cat(command, step == Step.EMIT)):
            for sizes, emits in ((gathered, 0), (emitted, 8)):
                for code, size in sizes.items():
                    with m.Case(code | emits):
                        m.d.comb += is_final.eq(number == size - 1)
        return is_final

    def _data(self, m: Module, command, number, register_byte, beat, byte) -> Signal:
        """Drive `byte` with byte `number` of the answer, or with the lowest of an ofmap beat; returns whether it is valid."""
        keep = Signal()
        info = data.ArrayLayout(8, len(self._info)).const(self._info)
        m.d.comb += keep.eq(1)
        with m.Switch(command):
            with m.Case(Command.INFO):
                m.d.comb += byte.eq(info[number])
            with m.Case(Command.RECEIVE):
                m.d.comb += [byte.eq(beat.data[:8]), keep.eq(beat.keep[0])]
            with m.Default():
                m.d.comb += byte.eq(register_byte)
        return keep
