"""The register file: pymodel.registers as hardware behind an AXI4-Lite port. Optimises for few LUTs, not for speed."""

from amaranth import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.axi import Response, axi_lite_members
from pymodel.config import Config
from pymodel.registers import COUNTERS, ID, REGISTERS, Access, Command, Register, Status
from pymodel.suites import SUITES

__all__ = ["ADDRESS_BITS", "KEY_SIZES", "RegisterFile", "constants"]

ADDRESS_BITS = 12
KEY_SIZES = (16, 24, 32)
_KEY_REGISTERS = {"KEY_SIZE"} | {f"KEY{index}" for index in range(8)}


def constants(config: Config) -> dict[str, int]:
    """The registers that tell what device this is, and what they read."""
    suite = SUITES[config.suite].id
    return {
        "ID": ID,
        "GEOMETRY": config.rows | config.cols << 8 | config.bytes_per_beat << 16 | suite << 24,
        "LANES": config.lanes,
        "ACTIVATION_WORDS": config.activation_words,
        "ACCUMULATORS": config.accumulators,
        "PROGRAM_WORDS": config.program_words,
        "IFMAP_BYTES": config.ifmap_bytes,
    }


class RegisterFile(wiring.Component):
    """AXI4-Lite slave with the registers of pymodel.registers.

    One read and one write are taken at a time. B is valid 2 cycles after the later of AW and W, R 1 cycle after AR;
    with a master that is always ready, a write and a read go every 2 cycles. Bits 1..0 of an address are ignored.

    - Unmapped addresses, and in a suite that does not lock the key registers, read as zero with SLVERR. Write-only
      registers read as zero with OKAY. No path leads from a key register to the bus.
    - A write that has no effect answers SLVERR: to an unmapped or read-only register, to COUNT outside 1..65535, to
      KEY0..KEY7 and KEY_SIZE while BUSY, and to KEY_SIZE while a key is in place. Unused bits of CONTROL, CONFIG and
      PROFILE are ignored.
    - A master key is all or nothing. The first write to KEY0..KEY7 after a key was taken clears the whole key first,
      and KEY_SIZE cannot be written twice for the same key: who does not know the key can neither keep a part of it nor
      use a shorter one.
    - KEY_SIZE with another value than 16, 24 or 32 clears the key and answers OKAY; the error code tells of it.

    Members
    -------
    s_axil_*        AXI4-Lite slave, see hw.axi
    command         one-cycle pulses, bits as in pymodel.registers.Command
    key             the master key, byte 0 in bits 7..0; live: stable while `keyed` and BUSY
    key_bytes       16, 24 or 32, valid while `keyed`
    keyed           a key is in place
    bad_key_size    one-cycle pulse
    zeroise         clears key, key_bytes and keyed in the next cycle, as the command ZEROISE does
    count           inferences of a run
    zeroise_at_end  bit 0 of CONFIG
    profile         layer whose cycles count, from 1; 0: all
    status          what STATUS reads
    counters        what the counters read, in the order of pymodel.registers.COUNTERS
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            axi_lite_members("s_axil", ADDRESS_BITS)
            | {
                "command": Out(len(Command)),
                "key": Out(256),
                "key_bytes": Out(6),
                "keyed": Out(1),
                "bad_key_size": Out(1),
                "zeroise": In(1),
                "count": Out(16, init=1),
                "zeroise_at_end": Out(1),
                "profile": Out(8),
                "status": In(16),
                "counters": In(data.ArrayLayout(unsigned(32), len(COUNTERS))),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        locks = SUITES[self.config.suite].locks
        mapped = [register for register in REGISTERS if locks or register.name not in _KEY_REGISTERS]
        self._reads(m, mapped)
        self._writes(m, [register for register in mapped if register.access != Access.READ], locks)
        return m

    def _reads(self, m: Module, mapped: list[Register]) -> None:
        sources = {name: Const(value, 32) for name, value in constants(self.config).items()}
        sources |= {name: self.counters[index] for index, (name, _) in enumerate(COUNTERS)}
        sources |= {"STATUS": self.status, "CONFIG": self.zeroise_at_end, "COUNT": self.count, "PROFILE": self.profile}

        m.d.comb += self.s_axil_arready.eq(~self.s_axil_rvalid)
        with m.If(self.s_axil_rready):
            m.d.sync += self.s_axil_rvalid.eq(0)
        with m.If(self.s_axil_arvalid & self.s_axil_arready):
            m.d.sync += [self.s_axil_rvalid.eq(1), self.s_axil_rdata.eq(0), self.s_axil_rresp.eq(Response.SLVERR)]
            with m.Switch(self.s_axil_araddr[2:]):
                for register in mapped:
                    with m.Case(register.address >> 2):
                        m.d.sync += self.s_axil_rresp.eq(Response.OKAY)
                        if register.access != Access.WRITE:
                            m.d.sync += self.s_axil_rdata.eq(sources[register.name])

    def _writes(self, m: Module, writable: list[Register], locks: bool) -> None:
        address, wdata, strobe = Signal(ADDRESS_BITS - 2), Signal(32), Signal(4)
        have_address, have_data = Signal(), Signal()
        execute, taken = Signal(), Signal()

        m.d.comb += [
            self.s_axil_awready.eq(~have_address),
            self.s_axil_wready.eq(~have_data),
            execute.eq(have_address & have_data & ~self.s_axil_bvalid),
        ]
        with m.If(self.s_axil_awvalid & self.s_axil_awready):
            m.d.sync += [address.eq(self.s_axil_awaddr[2:]), have_address.eq(1)]
        with m.If(self.s_axil_wvalid & self.s_axil_wready):
            m.d.sync += [wdata.eq(self.s_axil_wdata), strobe.eq(self.s_axil_wstrb), have_data.eq(1)]
        with m.If(self.s_axil_bready):
            m.d.sync += self.s_axil_bvalid.eq(0)
        with m.If(execute):
            m.d.sync += [
                have_address.eq(0),
                have_data.eq(0),
                wdata.eq(0),  # may be a word of the key
                self.s_axil_bvalid.eq(1),
                self.s_axil_bresp.eq(Mux(taken, Response.OKAY, Response.SLVERR)),
            ]

        select = {register.name: Signal(name=f"select_{register.name}") for register in writable}
        for register in writable:
            m.d.comb += select[register.name].eq(execute & (address == register.address >> 2))
        mask = Cat(bit.replicate(8) for bit in strobe)
        written = wdata & mask
        count = (self.count & ~mask) | written

        m.d.sync += self.command.eq(0)
        with m.If(select["CONTROL"]):
            m.d.comb += taken.eq(1)
            m.d.sync += self.command.eq(written)
        with m.If(select["CONFIG"]):
            m.d.comb += taken.eq(1)
            with m.If(strobe[0]):
                m.d.sync += self.zeroise_at_end.eq(wdata[0])
        with m.If(select["PROFILE"]):
            m.d.comb += taken.eq(1)
            with m.If(strobe[0]):
                m.d.sync += self.profile.eq(wdata)
        with m.If(select["COUNT"]):
            m.d.comb += taken.eq((count[:16] != 0) & (written[16:] == 0))
            with m.If(taken):
                m.d.sync += self.count.eq(count)
        if locks:
            zeroise = self.zeroise | (select["CONTROL"] & (written & Command.ZEROISE).any())
            self._key(m, select, taken, written, mask, strobe.any(), zeroise)

    def _key(self, m: Module, select, taken, written, mask, strobed, zeroise) -> None:
        idle = ~(self.status & Status.BUSY).any()
        valid = Cat(written == size for size in KEY_SIZES).any()
        bad = select["KEY_SIZE"] & idle & strobed & ~valid
        m.d.sync += self.bad_key_size.eq(bad)
        with m.If(select["KEY_SIZE"]):
            m.d.comb += taken.eq(idle & ~(self.keyed & valid))
            with m.If(taken & valid):
                m.d.sync += [self.keyed.eq(1), self.key_bytes.eq(written)]
        for index in range(8):
            word = self.key.word_select(index, 32)
            with m.If(select[f"KEY{index}"]):
                m.d.comb += taken.eq(idle)
                with m.If(taken & strobed):
                    with m.If(self.keyed):
                        m.d.sync += [self.key.eq(0), self.key_bytes.eq(0), self.keyed.eq(0)]
                    m.d.sync += word.eq((word & ~mask & ~self.keyed.replicate(32)) | written)
        with m.If(zeroise | bad):
            m.d.sync += [self.key.eq(0), self.key_bytes.eq(0), self.keyed.eq(0)]
