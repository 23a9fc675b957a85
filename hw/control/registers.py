"""The register file: pymodel.spec.registers as hardware behind an AXI4-Lite port. Optimised for few LUTs, not for speed."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from deeplock.hw.basics.axi import AxiLite, Response
from deeplock.hw.control.counters import FIRST_COUNTER, Counters
from deeplock.hw.lock.key_memory import KeyWrites
from deeplock.hw.lock.lock import MasterKey
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.spec.config import FEATURE_BITS, Config
from deeplock.pymodel.spec.registers import (
    COUNTERS,
    ID,
    REGISTERS,
    Access,
    Command,
    Interrupt,
    Register,
    Status,
    address,
    counters_of,
)

__all__ = ["ADDRESS_BITS", "ControlRegisters", "CounterRegisters", "RegisterFile", "constants"]

ADDRESS_BITS = 12
_INDEX = slice(2, 8)
"""The address bits that select a register."""
_PAGE = slice(8, ADDRESS_BITS)
"""The address bits that are 0 for every register."""
_CAUSES = sum(Interrupt)


def constants(config: Config) -> dict[str, int]:
    """The registers that describe the accelerator, and their values."""
    return {
        "ID": ID,
        "GEOMETRY": config.rows | config.cols << 8 | config.bytes_per_beat << 16 | suite(config.suite).id << 24,
        "LANES": config.lanes,
        "ACTIVATION_WORDS": config.activation_words,
        "ACCUMULATORS": config.accumulators,
        "PROGRAM_WORDS": config.program_words,
        "IFMAP_BYTES": config.ifmap_bytes,
        "SUM_BITS": config.sum_bits,
        "OFMAP_BYTES": config.ofmap_bytes,
        "FEATURES": sum(getattr(config, name) << bit for bit, name in enumerate(FEATURE_BITS)),
    }


class ControlRegisters(wiring.Signature):
    """Between register file and control, seen from the register file.

    Members:
        command         one-cycle pulses, bits as in pymodel.spec.registers.Command
        keyed           a key is in place
        bad_key_size    one-cycle pulse
        count           inferences of a run: stable while BUSY
        zeroise_at_end  bit 0 of CONFIG
        zeroise         clears keyed in the next cycle and key in the one after, as the command ZEROISE does; also a key
                        half written
        status          value of STATUS
    """

    def __init__(self):
        super().__init__(
            {
                "command": Out(len(Command)),
                "keyed": Out(1),
                "bad_key_size": Out(1),
                "count": Out(16, init=1),
                "zeroise_at_end": Out(1),
                "zeroise": In(1),
                "status": In(16),
            }
        )


class CounterRegisters(wiring.Signature):
    """Between register file and cycle events, seen from the register file.

    Members:
        profile  layer whose cycles count, from 1; 0: all
        events   what the counters count, in the order of pymodel.spec.registers.COUNTERS
        restart  clears all counters
    """

    def __init__(self):
        super().__init__({"profile": Out(8), "events": In(len(COUNTERS)), "restart": In(1)})


class RegisterFile(wiring.Component):
    """AXI4-Lite subordinate with the registers of pymodel.spec.registers, counters included.

    Latency: AW and W are taken together in the cycle after the later of them came; B is valid in the next one. AR is taken two
    cycles after it came, for a counter up to one cycle later (see `Counters`); R is valid in the next one. Throughput: one read
    and one write at a time; from a manager that is always ready, a write every 3 cycles and a read every 4.

    - Bits 1..0 of an address are ignored. Unmapped addresses, and those of key registers that `config` does not use, read
      as zero with SLVERR. Write-only registers read as zero with OKAY. No path leads from a key register to the bus.
    - A write without effect answers SLVERR: with fewer than four strobes, to an unmapped or read-only register, to COUNT
      outside 1..65535, and to COUNT, KEY_SIZE and KEY0..KEY7 while BUSY. Unused bits of CONTROL, CONFIG, PROFILE and
      INTERRUPT are ignored.
    - A key comes in one strict order: its size, then each word once, from KEY0 on. A write of KEY_SIZE clears what is in place,
      whole or half written. With the last word the key is in place. Any other write of a key register clears it and answers
      SLVERR. So whoever writes a key out of order, or a part of it, ends with none.
    - KEY_SIZE with a value that is not in config.key_sizes clears the key and answers OKAY; the error code reports it.
    - A counter reads as it was at some time between AR and R.
    - `irq` is a level, from a register: a cycle after STATUS or INTERRUPT has changed it follows. So it is low two cycles after
      B of the LOAD or START that takes the cause back is valid, and one after that of an INTERRUPT without it.

    Members
    -------
    s_axil    AXI4-Lite subordinate
    key       the key register itself: stable while `keyed` and BUSY. Its size is one of config.key_sizes while `keyed`;
              without a key it is that of the one half written, or 0. With licences what is written to it, because the lock
              keeps it
    control   see ControlRegisters
    counters  see CounterRegisters
    irq       STATUS shows a cause of pymodel.spec.registers.Interrupt whose bit in INTERRUPT is set
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {
                "s_axil": In(AxiLite(ADDRESS_BITS)),
                "key": Out(KeyWrites() if config.licences else MasterKey()),
                "control": Out(ControlRegisters()),
                "counters": Out(CounterRegisters()),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        status, interrupt = self.control.status, Signal(_CAUSES.bit_length())
        m.d.sync += self.irq.eq((Cat(status[:8], status[8:].any()) & interrupt).any())
        words = _key_words(self.config)
        left_out = {f"KEY{index}" for index in range(len(words), 8)} | ({"KEY_SIZE"} if not words else set())
        mapped = [register for register in REGISTERS if register.name not in left_out]
        self._reads(m, mapped, interrupt)
        self._writes(m, [each for each in mapped if each.access != Access.READ and each not in words], interrupt)
        return m

    def _reads(self, m: Module, mapped: list[Register], interrupt: Signal) -> None:
        # address bits 7 and 5..2 index the memory of constants and counters, which holds 0 for the other registers
        fixed = {address(name) >> 2: value for name, value in constants(self.config).items()}
        m.submodules.counters = counters = Counters(
            [fixed.get(index, 0) for index in range(FIRST_COUNTER)], len(counters_of(self.config))
        )
        for index, (name, _) in enumerate(COUNTERS, FIRST_COUNTER):
            assert address(name) == (index & 16) << 3 | (index & 15) << 2, name
        bus, control = self.s_axil, self.control
        others = {
            "STATUS": control.status,
            "CONFIG": control.zeroise_at_end,
            "COUNT": control.count,
            "PROFILE": self.counters.profile,
            "INTERRUPT": interrupt,
        }

        araddr = bus.araddr
        m.d.comb += [
            counters.events.eq(self.counters.events),
            counters.clear.eq(self.counters.restart),
            counters.address.eq(Cat(araddr[2:6], araddr[7])),
            counters.read.eq(bus.arvalid & ~bus.arready & ~bus.rvalid),
        ]
        m.d.sync += bus.arready.eq(counters.granted)
        other = Signal(16)
        with m.Switch(araddr[_INDEX]):
            for name, value in others.items():
                with m.Case(address(name) >> 2):
                    m.d.comb += other.eq(value)
        with m.If(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        with m.If(bus.arready):
            readable = [register for register in mapped if register.access != Access.WRITE]
            m.d.sync += [
                bus.rvalid.eq(1),
                bus.rresp.eq(Mux(_is_one_of(mapped, araddr), Response.OKAY, Response.SLVERR)),
                bus.rdata.eq(Mux(_is_one_of(readable, araddr), counters.word | other, 0)),
            ]

    def _writes(self, m: Module, writable: list[Register], interrupt: Signal) -> None:
        bus, control, wdata = self.s_axil, self.control, self.s_axil.wdata
        begin, accept, taken = Signal(), Signal(), Signal()
        m.d.comb += [
            begin.eq(bus.awvalid & bus.wvalid & ~accept & ~bus.bvalid),
            bus.awready.eq(accept),
            bus.wready.eq(accept),
        ]
        m.d.sync += accept.eq(begin)
        with m.If(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(accept):
            m.d.sync += [bus.bvalid.eq(1), bus.bresp.eq(Mux(taken, Response.OKAY, Response.SLVERR))]

        # registered, because the sources are far apart on a large device; writes are too far apart for that to matter
        idle = Signal(init=1)
        m.d.sync += idle.eq(~(control.status & Status.BUSY).any())

        # while `accept`; decoded after one register for all, or with `pipeline_registers` before one for each
        select = {register.name: Signal(name=f"select_{register.name}") for register in writable}
        before, after = ("comb", "sync") if self.config.pipeline_registers else ("sync", "comb")
        write = Signal()
        m.d[before] += write.eq(begin & bus.wstrb.all() & (bus.awaddr[_PAGE] == 0))
        for register in writable:
            m.d[after] += select[register.name].eq(write & (bus.awaddr[_INDEX] == register.address >> 2))
        m.d.sync += control.command.eq(0)
        with m.If(select["CONTROL"]):
            m.d.comb += taken.eq(1)
            m.d.sync += control.command.eq(wdata)
        with m.If(select["CONFIG"]):
            m.d.comb += taken.eq(1)
            m.d.sync += control.zeroise_at_end.eq(wdata)
        with m.If(select["PROFILE"]):
            m.d.comb += taken.eq(1)
            if self.config.counters:
                m.d.sync += self.counters.profile.eq(wdata)
        with m.If(select["INTERRUPT"]):
            m.d.comb += taken.eq(1)
            m.d.sync += interrupt.eq(wdata & _CAUSES)
        with m.If(select["COUNT"]):
            m.d.comb += taken.eq((wdata[:16] != 0) & (wdata[16:] == 0) & idle)
            with m.If(taken):
                m.d.sync += control.count.eq(wdata)
        if self.config.key_sizes:
            # all words together, because no more than one is expected
            words, expected = _key_words(self.config), Signal(range(max(self.config.key_sizes) // 4))
            is_word, is_expected = Signal(), Signal()
            m.d[after] += [
                is_word.eq(write & _is_one_of(words, bus.awaddr)),
                is_expected.eq(bus.awaddr[2 : 2 + len(expected)] == expected),
            ]
            zeroises = select["CONTROL"] & (wdata & Command.ZEROISE).any()
            self._key(m, zeroises, select["KEY_SIZE"] & idle, is_word & idle, is_expected, expected, taken)

    def _key(self, m: Module, zeroises, is_size, is_word, is_expected, expected: Signal, taken: Signal) -> None:
        """`expected`: the word that comes next while a key is half written."""
        control, wdata, sizes = self.control, self.s_axil.wdata, self.config.key_sizes
        several = len(sizes) > 1
        size, half_written = Signal(6), Signal()
        begins = is_size & Cat(wdata == size for size in sizes).any()
        takes = is_word & is_expected & half_written
        refuses = is_word & ~takes
        erase = Signal()
        m.d.comb += erase.eq(control.zeroise | zeroises | is_size | refuses)
        with m.If(is_size | takes):
            m.d.comb += taken.eq(1)
        m.d.sync += control.bad_key_size.eq(is_size & ~begins)
        with m.If(takes):
            m.d.sync += expected.eq(expected + 1)
            with m.If(expected == ((size if several else Const(sizes[0])) >> 2) - 1):
                m.d.sync += [control.keyed.eq(1), half_written.eq(0)]
        if self.config.licences:
            with m.If(self.key.provisioned):
                m.d.sync += control.keyed.eq(1)
        with m.If(erase):
            m.d.sync += [control.keyed.eq(0), half_written.eq(0), expected.eq(0), size.eq(0)]
        with m.If(begins):
            m.d.sync += [half_written.eq(1), size.eq(wdata)]

        erased = Signal()  # one cycle later, because the words may be far away; no write comes so soon after another
        m.d.sync += erased.eq(erase)
        if self.config.licences:
            m.d.comb += [self.key.write.eq(takes), self.key.index.eq(expected), self.key.data.eq(wdata)]
            m.d.comb += self.key.erase.eq(erased)
            return
        m.d.comb += self.key.size.eq(size if several else Mux(control.keyed | half_written, sizes[0], 0))
        for index in range(max(sizes) // 4):  # each word a clock enable and a synchronous reset, no logic per bit
            word = self.key.value.word_select(index, 32)
            with m.If(takes & (expected == index)):
                m.d.sync += word.eq(wdata)
            with m.If(erased):
                m.d.sync += word.eq(0)


def _key_words(config: Config) -> list[Register]:
    """The registers of the longest key that the accelerator takes."""
    names = [f"KEY{index}" for index in range(max(config.key_sizes, default=0) // 4)]
    return [register for register in REGISTERS if register.name in names]


def _is_one_of(registers: list[Register], where):
    """Whether bus address `where` is that of one of the registers."""
    mask = sum(1 << (register.address >> 2) for register in registers)
    return Const(mask, 64).bit_select(where[_INDEX], 1) & (where[_PAGE] == 0)
