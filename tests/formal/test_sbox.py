"""Every combinational S-box equals its table, proved by SAT: a miter of the circuit and of a Verilog case statement."""

import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Elaboratable, Module, Signal

from deeplock.hw.lock.composite_sbox import CompositeSbox
from deeplock.hw.lock.sbox import Sbox
from deeplock.pymodel.lock.sbox import INV_SBOX, SBOX
from tests.hw.yosys import YOSYS

CUSTOM = np.random.default_rng(5).permutation(256)


ECP5 = SimpleNamespace(device="LFE5U-85F")
CELLS = """
read_verilog +/ecp5/common_sim.vh
setattr -mod -unset lib_whitebox LUT4 PFUMX L6MUX21
hierarchy -top circuit
"""


def is_equal(circuit: Elaboratable, input: Signal, output: Signal, table: np.ndarray, platform=None) -> bool:
    """Whether Yosys proves that output is table[input]; they carry these names. `platform` None or ECP5."""
    cases = "\n".join(f"8'd{x}: \\output = 8'd{y};" for x, y in enumerate(table))
    script = f"""
read_rtlil <<rtlil
{rtlil.convert(circuit, name="circuit", ports=[input, output], platform=platform)}
rtlil
{CELLS if platform else ""}
read_verilog <<verilog
module table_(input [7:0] \\input , output reg [7:0] \\output );
always @* case (\\input )
{cases}
endcase
endmodule
verilog
proc -norom
memory -nordff
flatten circuit
miter -equiv -flatten table_ circuit miter
sat -verify -prove trigger 0 miter
"""
    command = [YOSYS, "-Q", "-"]
    run = subprocess.run(command, input=script, text=True, capture_output=True, timeout=120)
    log = run.stdout + run.stderr
    proved = "SAT proof finished - no model found: SUCCESS!" in log
    assert proved == (run.returncode == 0), log
    assert proved or "SAT proof finished - model found: FAIL!" in log, log
    return proved


def sbox_is_equal(style: str, table: np.ndarray, expected: np.ndarray, platform=None) -> bool:
    sbox = Sbox(1, style, table)
    return is_equal(sbox, sbox.input, sbox.output, expected, platform)


@pytest.fixture
def proves_equal(record_proof):
    def proves_equal(equal: bool, design: str) -> None:
        record_proof("an S-box equals its table", design, "Yosys sat", equal)
        assert equal, design

    return proves_equal


@pytest.mark.parametrize("style", ["lut", "composite"])
@pytest.mark.parametrize("direction, table", [("forward", SBOX), ("inverse", INV_SBOX)])
def test_aes_sboxes_equal_their_tables(style, direction, table, proves_equal):
    proves_equal(sbox_is_equal(style, table, table), f"AES, {direction}, {style}")


@pytest.mark.parametrize("inverse, direction, table", [(0, "forward", SBOX), (1, "inverse", INV_SBOX)])
def test_shared_sbox_equals_both_tables(inverse, direction, table, proves_equal):
    m = Module()
    m.submodules.sbox = sbox = CompositeSbox("both")
    m.d.comb += sbox.inverse.eq(inverse)
    proves_equal(is_equal(m, sbox.input, sbox.output, table), f"AES, {direction} of a shared one, composite")


@pytest.mark.parametrize("name, platform", [("generic", None), ("ECP5", ECP5)])
def test_custom_sbox_equals_its_table(name, platform, proves_equal):
    proves_equal(sbox_is_equal("lut", CUSTOM, CUSTOM, platform), f"random, lut, {name}")


@pytest.mark.parametrize("style, platform", [("lut", None), ("lut", ECP5), ("composite", None)])
def test_one_wrong_entry_fails_the_proof(style, platform):
    wrong = SBOX.copy()
    wrong[[3, 200]] = wrong[[200, 3]]
    assert not sbox_is_equal(style, SBOX, wrong, platform)
