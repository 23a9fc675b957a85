"""An AXI4-Lite master for tests of the register file, and the configurations that they are run with."""

from dataclasses import replace

from amaranth.hdl import ResetInserter
from amaranth.sim import Simulator

from deeplock.hw.basics.axi import Response
from deeplock.hw.control.registers import RegisterFile
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.registers import address, key_writes
from tests.features import LEAN

__all__ = ["CONFIG", "CONFIGS", "FIXED", "KEY", "KEY_REGISTERS", "NO_KEY", "PLAIN", "Bus", "left_out", "run"]

KEY = bytes(range(0xA1, 0xC1))
CONFIG = Config(rows=4, cols=16, bytes_per_beat=8, lanes=2, activation_words=4096, accumulators=256,
                program_words=128, ifmap_bytes=1024)  # fmt: skip
PLAIN = Config(suite="plain", sum_bits=24, **LEAN)
FIXED = {size: replace(CONFIG, key_sizes=(size,)) for size in (16, 24, 32)}
CONFIGS = [CONFIG, PLAIN, *FIXED.values()]
KEY_REGISTERS = ["KEY_SIZE", *(f"KEY{i}" for i in range(8))]


def left_out(config: Config) -> list[str]:
    """Key registers that `config` does not have."""
    return KEY_REGISTERS[1 + config.key_sizes[-1] // 4 :] if config.key_sizes else KEY_REGISTERS


class Bus:
    """AXI4-Lite master of one transaction at a time. `cycles` is what the last one took, first cycle to answer."""

    def __init__(self, dut: RegisterFile, ctx):
        self.dut, self.ctx, self.cycles = dut, ctx, 0
        self.pulses: list[int] = []
        self.bad_key_sizes = 0

    def __getattr__(self, name):
        return getattr(self.dut.s_axil, name)

    async def tick(self, *signals):
        sampled = await self.ctx.tick().sample(*signals, self.dut.control.command, self.dut.control.bad_key_size)
        *_, command, bad = sampled
        self.pulses += [command] if command else []
        self.bad_key_sizes += bad
        return sampled[2:-2]

    async def write(self, where, value, strobe=0xF, aw_delay=0, w_delay=0, b_delay=0) -> Response:
        set, cycle, aw_done, w_done, seen = self.ctx.set, 0, False, False, 0
        while True:
            set(self.awvalid, not aw_done and cycle >= aw_delay)
            set(self.awaddr, where if not aw_done and cycle >= aw_delay else 0x5A4)
            set(self.wvalid, not w_done and cycle >= w_delay)
            set(self.wdata, value if not w_done and cycle >= w_delay else 0xDEAD_BEEF)
            set(self.wstrb, strobe)
            set(self.bready, seen >= b_delay)
            awready, wready, bvalid, bresp = await self.tick(self.awready, self.wready, self.bvalid, self.bresp)
            assert not bvalid or (aw_done and w_done)
            aw_done |= bool(awready and cycle >= aw_delay)
            w_done |= bool(wready and cycle >= w_delay)
            cycle += 1
            if bvalid and seen >= b_delay:
                set(self.bready, 0)
                self.cycles = cycle
                return Response(bresp)
            assert bvalid or not seen, "BVALID fell before BREADY"
            seen += bvalid
            assert cycle < 100

    async def read(self, where, delay=0) -> tuple[int, Response]:
        set, cycle, done, seen, first = self.ctx.set, 0, False, 0, None
        while True:
            set(self.arvalid, not done)
            set(self.araddr, 0x5A4 if done else where)
            set(self.rready, seen >= delay)
            arready, rvalid, rdata, rresp = await self.tick(self.arready, self.rvalid, self.rdata, self.rresp)
            done |= bool(arready)
            cycle += 1
            if rvalid:
                first = first or (rdata, rresp)
                assert (rdata, rresp) == first
            if rvalid and seen >= delay:
                set(self.rready, 0)
                self.cycles = cycle
                return rdata, Response(rresp)
            seen += rvalid
            assert cycle < 100

    async def load_key(self, key: bytes) -> None:
        for name, value in key_writes(key):
            assert await self.write(address(name), value) == Response.OKAY

    def key(self) -> tuple[int, bytes, int]:
        get, dut = self.ctx.get, self.dut
        return get(dut.control.keyed), get(dut.key.value).to_bytes(32, "little"), get(dut.key.size)


NO_KEY = (0, bytes(32), 0)


def run(testbench, config=CONFIG, reset=None):
    """Run `await testbench(bus)` on a register file."""
    dut = RegisterFile(config)
    simulator = Simulator(ResetInserter(reset)(dut) if reset is not None else dut)
    simulator.add_clock(1e-6)

    async def process(ctx):
        await testbench(Bus(dut, ctx))

    simulator.add_testbench(process)
    simulator.run()
