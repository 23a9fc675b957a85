"""Area of the composite S-boxes. That they are right is proved in tests/formal/test_sbox.py."""

import re
import subprocess

import pytest
from amaranth.back import rtlil

from deeplock.hw.lock.composite_sbox import CompositeSbox
from tests.hw.refusal import assert_refused
from tests.hw.yosys import YOSYS

SYNTHESIS = {"ice40": "synth_ice40 -device u", "ecp5": "synth_ecp5 -nowidelut"}


def count_luts(direction: str, family: str, folder) -> int:
    (folder / "sbox.il").write_text(rtlil.convert(CompositeSbox(direction)))
    # Quiet, and by files: the WebAssembly build of Yosys stops without a word if ABC writes to its log.
    script = f"read_rtlil sbox.il; {SYNTHESIS[family]}; tee -o stat.txt stat"
    subprocess.run([YOSYS, "-q", "-p", script], cwd=folder, check=True, timeout=120)
    (count,) = re.findall(r"^\s+(\d+)\s+(?:SB_)?LUT4$", (folder / "stat.txt").read_text(), re.MULTILINE)
    return int(count)


# docs/architecture.md gives these bounds for the inverse S-box and for the shared pair.
@pytest.mark.parametrize(
    "direction, family, most",
    [
        pytest.param("inverse", "ice40", 70, marks=pytest.mark.slow),
        ("inverse", "ecp5", 75),
        ("both", "ice40", 88),
        pytest.param("both", "ecp5", 91, marks=pytest.mark.slow),
    ],
)
def test_composite_sbox_takes_few_luts(tmp_path, direction, family, most):
    luts = count_luts(direction, family, tmp_path)
    print(direction, family, luts, "LUT4")
    assert luts <= most


def test_faults_of_arguments_are_named():
    assert_refused("direction must be forward, inverse or both, not back", lambda: CompositeSbox("back"))
    assert_refused(
        "cuts must be some of ('forms', 'norm'), not ('middle',)", lambda: CompositeSbox("forward", ("middle",))
    )
