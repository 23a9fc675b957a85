"""The DSP blocks of ECP5 against the generic RTL, side by side under Icarus.

There is no open model of MULT18X18D: the one here is written from Lattice's guide (FPGA-TN-02205). So this holds operands,
enables, resets and latency against the guide, not against silicon.
"""

import random
import shutil
import subprocess
from types import SimpleNamespace

import pytest
from amaranth.back import verilog

from deeplock.hw.families import blocks_of
from deeplock.hw.families.ecp5 import DSP_BLOCKS, pll_dividers
from deeplock.pymodel.spec.config import Config
from deeplock.sim.toolchain import environment
from tests.hw.families.test_ice40 import BENCH, CYCLES, Multipliers

BITS = range(18)
PORTS = [*(f"input {name}{bit}" for name in "AB" for bit in BITS), *(f"output P{bit}" for bit in range(36))]
MODEL = f"""
module MULT18X18D({", ".join(PORTS)},
                  input SIGNEDA, input SIGNEDB, input CLK0, input CE0, input CE1, input RST0);
  parameter REG_INPUTA_CLK = "NONE", REG_INPUTA_CE = "CE0", REG_INPUTA_RST = "RST0";
  parameter REG_INPUTB_CLK = "NONE", REG_INPUTB_CE = "CE0", REG_INPUTB_RST = "RST0";
  parameter REG_OUTPUT_CLK = "NONE", REG_OUTPUT_CE = "CE0", REG_OUTPUT_RST = "RST0";
  parameter GSR = "ENABLED", RESETMODE = "SYNC";
  wire [17:0] a_in = {{{", ".join(f"A{bit}" for bit in reversed(BITS))}}};
  wire [17:0] b_in = {{{", ".join(f"B{bit}" for bit in reversed(BITS))}}};
  reg [17:0] a_reg = 0, b_reg = 0;
  reg [35:0] p_reg = 0;
  wire [17:0] a = REG_INPUTA_CLK == "NONE" ? a_in : a_reg;
  wire [17:0] b = REG_INPUTB_CLK == "NONE" ? b_in : b_reg;
  wire signed [18:0] a_wide = {{SIGNEDA & a[17], a}};
  wire signed [18:0] b_wide = {{SIGNEDB & b[17], b}};
  wire [35:0] product = a_wide * b_wide;
  assign {{{", ".join(f"P{bit}" for bit in reversed(range(36)))}}} = REG_OUTPUT_CLK == "NONE" ? product : p_reg;
  always @(posedge CLK0) begin
    if (RST0) begin a_reg <= 0; b_reg <= 0; p_reg <= 0; end
    else begin
      if (REG_INPUTA_CE == "CE1" ? CE1 : CE0) a_reg <= a_in;
      if (REG_INPUTB_CE == "CE1" ? CE1 : CE0) b_reg <= b_in;
      if (REG_OUTPUT_CE == "CE1" ? CE1 : CE0) p_reg <= product;
    end
  end
endmodule
"""


def test_the_blocks_do_what_the_generic_rtl_does(tmp_path):
    if shutil.which("iverilog") is None:
        pytest.fail("iverilog is missing: apt-get install iverilog")
    dut, seed = Multipliers(SimpleNamespace(device="LFE5U-85F")), random.randrange(1 << 31)
    print("seed", seed)
    ports = {name: (getattr(dut, name), None) for name in ("random", "check", "equal")}
    with environment():
        (tmp_path / "dut.v").write_text(verilog.convert(dut, ports=ports) + MODEL)
    (tmp_path / "bench.v").write_text(BENCH.format(last=len(dut.random) - 1, seed=seed, cycles=CYCLES))
    subprocess.run(["iverilog", "-g2012", "-o", "bench", "-s", "bench", "bench.v", "dut.v"], cwd=tmp_path, check=True)
    said = subprocess.run(["vvp", "-n", "bench"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    compared, different = map(int, said.split("\n")[0].split())
    assert compared > CYCLES // 5
    assert different == 0


@pytest.mark.parametrize(
    ("device", "rows", "cols", "lanes", "cycles", "fits"),
    [
        ("LFE5U-85F", 8, 16, 8, 1, True),  # 128 + 16 of 156
        ("LFE5U-85F", 8, 16, 16, 1, False),  # 128 + 32
        ("LFE5U-85F", 8, 16, 16, 2, True),
        ("LFE5U-25F", 8, 8, 1, 4, False),
        ("LFE5U-25F", 4, 4, 4, 1, True),
    ],
)
def test_blocks_are_for_arrays_that_find_one_for_each_multiplication(device, rows, cols, lanes, cycles, fits):
    rows_of_lanes = max(rows, lanes)
    config = Config(rows=rows_of_lanes, cols=cols, bytes_per_beat=4, lanes=lanes, multiplier_cycles=cycles)
    assert rows_of_lanes != rows or blocks_of(SimpleNamespace(device=device)).multiply_for(config) == fits
    assert not blocks_of(None).multiply_for(config)
    assert DSP_BLOCKS["LFE5U-85F"] == 156 and DSP_BLOCKS["LFE5U-25F"] == 28  # Lattice FPGA-DS-02012


@pytest.mark.parametrize("output_hz", [25_000_000, 50_000_000, 80_000_000, 100_000_000])
def test_pll(output_hz):
    dividers = pll_dividers(25_000_000, output_hz)
    assert 25_000_000 / dividers.clki * dividers.clkfb == output_hz
    assert 25_000_000 / dividers.clki >= 3.125e6
    assert 400e6 <= output_hz * dividers.clkop <= 800e6
