"""The commands of fpga/litex/README.md: digits on VexRiscv with SDRAM, in simulation; ULX3S's SoC, elaborated."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LITEX = ROOT / "fpga" / "litex"
EXPORTED = ROOT / "build" / "litex" / "deeplock"
"""Where the page and `make test-litex` have `deeplock verilog` write."""

SIMULATION = ROOT / "build" / "litex" / "simulation"
"""Where simulate.py writes."""

OURS = re.findall("^python (fpga/litex/.*?)(?: *#.*)?$", (LITEX / "README.md").read_text(), re.MULTILINE)
"""The page's commands in the environment that has LiteX."""


def python(line: str) -> subprocess.CompletedProcess:
    command = [sys.executable, *shlex.split(line)]
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)


def test_digits_run_bit_exact_on_the_soc():
    (line,) = (line for line in OURS if "simulate.py" in line)
    done = python(line)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(
        "^CYCLES \\d+\nPARAM_STARVED \\d+\nCYCLES \\d+\nPARAM_STARVED \\d+\nPASS: ", done.stdout, re.MULTILINE
    )


def test_a_wrong_byte_ends_in_an_error(tmp_path):
    """In the simulation that the test before built: the ROM alone differs."""
    shutil.copytree(SIMULATION / "gateware", tmp_path / "gateware")
    _, *ofmap = (EXPORTED / "tb" / "ofmap.hex").read_text().splitlines()
    words = "".join(ofmap[3::-1]) + "\n" + "".join(ofmap[7:3:-1])  # two of the ROM's
    rom = tmp_path / "gateware" / "soc_rom.init"
    text = rom.read_text()
    assert text.count(words) == 1
    rom.write_text(text.replace(words, f"{int(words[:8], 16) ^ 1:08x}{words[8:]}"))
    done = subprocess.run(
        [SIMULATION / "verilated" / "Vsimulate"], cwd=rom.parent, text=True, capture_output=True, check=False
    )
    assert done.returncode != 0 and "FAIL: a wrong byte of the ofmap, number 0" in done.stdout


def test_the_soc_of_ulx3s_is_elaborated_with_its_program(tmp_path):
    (line,) = (line for line in OURS if "ulx3s.py" in line)
    done = python(f"{line} --output-dir {tmp_path}")
    assert done.returncode == 0, done.stdout + done.stderr
    verilog = (tmp_path / "gateware" / "radiona_ulx3s.v").read_text()
    assert re.search(r"^deeplock deeplock\b", verilog, re.MULTILINE) and "sdram_dq" in verilog
    assert 'LOCATE COMP "sdram_a[0]"' in (tmp_path / "gateware" / "radiona_ulx3s.lpf").read_text()
    assert len((tmp_path / "gateware" / "radiona_ulx3s_rom.init").read_text().split()) > 1000


@pytest.mark.parametrize("script", ["simulate.py", "ulx3s.py"])
def test_a_folder_without_the_verilog_is_named(script, tmp_path):
    done = python(f"fpga/litex/{script} {tmp_path}")
    assert done.returncode == 2
    assert (
        f"{tmp_path}/deeplock.v is missing: give a folder that `deeplock verilog` wrote" in done.stderr.splitlines()[-1]
    )
