"""The memory master's registers: pymodel.spec.memory as hardware behind an AXI4-Lite port."""

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from deeplock.hw.basics.axi import AxiLite, Response
from deeplock.hw.memory.transfer import TRANSFER
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.memory import ID, REGISTERS, Channel, Command, Error, Interrupt, Status, address

__all__ = ["MemoryRegisters", "REGISTER_ADDRESS_BITS"]

REGISTER_ADDRESS_BITS = 12
_INDEX = slice(2, 5)
"""The address bits that select a register."""
_PAGE = slice(5, REGISTER_ADDRESS_BITS)
"""The address bits that are 0 for every register."""
_CAUSES = sum(Interrupt)


class MemoryRegisters(wiring.Component):
    """AXI4-Lite subordinate: takes a transfer and gives it to its channel when that is free. One transfer waits at a time.

    Latency: AW and W are taken together in the cycle after the later of them came, AR in the cycle after it came; B and R are
    valid in the next one. Throughput: one read and one write at a time; a read or write every 3 cycles.

    - Bits 1..0 of an address are ignored. Unmapped addresses read as zero with SLVERR; write-only registers with OKAY.
    - A write without effect answers SLVERR: with fewer than four strobes, to an unmapped or read-only register; to ADDRESS,
      BYTES and PACKETS with a value that they do not take, or while a transfer waits; to CONTROL with anything but one
      command. A command that begins a transfer is refused too while one waits, while there is an error, and if BYTES is not
      whole beats of a stream that comes from memory. Unused bits of INTERRUPT are ignored.
    - STOP also drops the transfer that waits, and clears the error.
    - `irq` is a level, from a register: a cycle after STATUS or INTERRUPT has changed it follows.

    Members:
        s_axil     AXI4-Lite subordinate
        transfers  by pymodel.spec.memory.Channel
        stop       pulse
        busy       bits by Channel
        error      Error code for one cycle, else Error.NONE; the first one is kept
        irq        STATUS shows a cause of pymodel.spec.memory.Interrupt whose bit in INTERRUPT is set
    """

    def __init__(self, config: Config):
        self._whole = {Channel.LOADABLE: config.bytes_per_beat, Channel.IFMAP: config.rows, Channel.OFMAP: 1}
        super().__init__(
            {
                "s_axil": In(AxiLite(REGISTER_ADDRESS_BITS)),
                "transfers": Out(stream.Signature(TRANSFER)).array(len(Channel)),
                "stop": Out(1),
                "busy": In(len(Channel)),
                "error": In(8),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        error, waits = Signal(range(len(Error))), Signal(len(Channel))
        with m.If(~error.any()):
            m.d.sync += error.eq(self.error)
        for channel, each in enumerate(self.transfers):
            m.d.comb += each.valid.eq(waits[channel])
            with m.If(each.ready):
                m.d.sync += waits[channel].eq(0)

        status, interrupt = Signal(16), Signal(_CAUSES.bit_length())
        m.d.comb += status[8:].eq(error)
        for bit, value in (
            *((Status(1 << channel), self.busy[channel]) for channel in Channel),
            (Status.PENDING, waits.any()),
            (Status.IDLE, ~(waits.any() | self.busy.any())),
        ):
            m.d.comb += status[exact_log2(bit)].eq(value)
        m.d.sync += self.irq.eq((Cat(status[:8], error.any()) & interrupt).any())
        self._reads(m, {"ID": ID, "STATUS": status, "INTERRUPT": interrupt})
        self._writes(m, waits, error, interrupt)
        return m

    def _reads(self, m: Module, readable: dict[str, Value | int]) -> None:
        bus = self.s_axil
        mapped, word = Signal(), Signal(32)
        with m.Switch(bus.araddr[_INDEX]):
            for register in REGISTERS:
                with m.Case(register.address >> 2):
                    m.d.comb += mapped.eq(bus.araddr[_PAGE] == 0)
                    if register.name in readable:
                        m.d.comb += word.eq(readable[register.name])
        m.d.sync += bus.arready.eq(bus.arvalid & ~bus.arready & ~bus.rvalid)
        with m.If(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        with m.If(bus.arready):
            m.d.sync += [
                bus.rvalid.eq(1),
                bus.rresp.eq(Mux(mapped, Response.OKAY, Response.SLVERR)),
                bus.rdata.eq(Mux(mapped, word, 0)),
            ]

    def _writes(self, m: Module, waits: Signal, error: Signal, interrupt: Signal) -> None:
        bus, wdata, next_one = self.s_axil, self.s_axil.wdata, Signal(TRANSFER, reset_less=True)
        accept, write, taken = Signal(), Signal(), Signal()
        m.d.comb += [bus.awready.eq(accept), bus.wready.eq(accept)]
        m.d.comb += write.eq(accept & bus.wstrb.all() & (bus.awaddr[_PAGE] == 0))
        m.d.comb += (each.payload.eq(next_one) for each in self.transfers)
        m.d.sync += accept.eq(bus.awvalid & bus.wvalid & ~accept & ~bus.bvalid)
        with m.If(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(accept):
            m.d.sync += [bus.bvalid.eq(1), bus.bresp.eq(Mux(taken, Response.OKAY, Response.SLVERR))]

        beat = exact_log2(self._whole[Channel.LOADABLE])
        fields = {  # what they keep, and what they take
            "ADDRESS": (next_one.address, wdata, wdata[:beat] == 0),
            "BYTES": (next_one.bytes_1, wdata - 1, wdata.any()),
            "PACKETS": (next_one.packets, wdata, wdata.any()),
        }
        with m.Switch(bus.awaddr[_INDEX]):
            for name, (field, value, fits) in fields.items():
                with m.Case(address(name) >> 2):
                    m.d.comb += taken.eq(write & ~waits.any() & fits & (wdata[len(field) :] == 0))
                    with m.If(taken):
                        m.d.sync += field.eq(value)
            with m.Case(address("INTERRUPT") >> 2):
                m.d.comb += taken.eq(write)
                with m.If(taken):
                    m.d.sync += interrupt.eq(wdata & _CAUSES)
            with m.Case(address("CONTROL") >> 2):
                free = ~waits.any() & ~error.any()
                for channel in Channel:
                    whole = next_one.bytes_1[: exact_log2(self._whole[channel])].all()
                    with m.If((wdata == Command(1 << channel)) & free & whole):
                        m.d.comb += taken.eq(write)
                        m.d.sync += waits[channel].eq(write)
                with m.If(wdata == Command.STOP):
                    m.d.comb += [taken.eq(write), self.stop.eq(write)]
        with m.If(self.stop):
            m.d.sync += [waits.eq(0), error.eq(0)]
