"""Bitstreams: what a placed and routed design becomes on its way into a board's flash."""

from pathlib import Path

from deeplock.fpga.flow.toolchain import run_program
from deeplock.pymodel.cache import made

__all__ = ["SUFFIX", "bitstream"]

SUFFIX = {"ice40": ".bin", "ecp5": ".bit"}
"""Of a bitstream's file, by the device's family."""

_PREAMBLE = {"ice40": bytes.fromhex("7eaa997e"), "ecp5": bytes.fromhex("ffffbdb3")}
"""Begins the commands of a bitstream, behind a comment (Lattice FPGA-TN-02001, FPGA-TN-02039). It is looked for because
icepack leaves a file where it fails."""


def _pack(routed: Path, family: str, packed: Path) -> None:
    program, arguments = "icepack", [routed.name, packed.name]
    if family == "ecp5":
        program, arguments = "ecppack", ["--compress", "--input", routed.name, "--bit", packed.name]
    printed = run_program(program, arguments, packed.parent)
    if not packed.exists() or _PREAMBLE[family] not in packed.read_bytes():
        raise RuntimeError(f"{program} made no bitstream of {routed}: {printed[-2000:] or 'it said nothing'}")


def bitstream(routed: Path, family: str) -> bytes:
    """The bitstream of `routed`, which nextpnr wrote for a device of `family`; it is kept beside that.

    Raises DeeplockError if icepack or ecppack is missing, RuntimeError if it fails.
    """
    return made(routed.with_suffix(SUFFIX[family]), lambda packed: _pack(routed, family, packed)).read_bytes()
