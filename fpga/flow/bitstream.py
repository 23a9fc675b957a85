"""Bitstreams: packs a placed and routed design for a board's flash."""

from functools import partial
from pathlib import Path

from deeplock.fpga.flow.families import find_family
from deeplock.fpga.flow.families.family import Family
from deeplock.fpga.flow.toolchain import run_program
from deeplock.pymodel.cache import made

__all__ = ["bitstream", "pack"]


def pack(routed: Path, family: Family, packed: Path) -> None:
    """Pack a configuration into the file `packed` beside it; RuntimeError if the packer fails."""
    program, *arguments = (part.format(configuration=routed.name, bitstream=packed.name) for part in family.pack)
    printed = run_program(program, arguments, packed.parent)
    # check the preamble: icepack leaves a file even if it fails
    if not packed.exists() or family.preamble not in packed.read_bytes():
        raise RuntimeError(f"{program} made no bitstream of {routed}: {printed[-2000:] or 'it said nothing'}")


def bitstream(routed: Path, family: str) -> bytes:
    """The bitstream of `routed`, which nextpnr wrote for a device of `family`; cached beside it.

    Raises DeeplockError if the family's packer is missing, RuntimeError if it fails.
    """
    found = find_family(family)
    return made(routed.with_suffix(found.bitstream), partial(pack, routed, found)).read_bytes()
