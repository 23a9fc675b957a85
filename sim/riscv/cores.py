"""The cores of the software baseline and their Verilog, with that of our custom function unit."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from deeplock.pymodel.errors import DeeplockError

__all__ = ["CORES", "Core", "core_verilog", "packaged_verilog"]

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Core:
    """A processor core.

    package  Python package with its Verilog; `file` is the file's name there
    top      Verilog around it, in this folder: modules `processor` and, with a memory, `soc`
    csr      CSR of its own cycle counter
    cpu      CPU that the compiler schedules for
    traps    it has the CSRs of the trap vector
    cfu      with our unlock unit as a custom function unit; defines the macro CFU for `top`
    """

    package: str
    file: str
    top: str
    csr: str
    cpu: str
    traps: bool
    cfu: bool = False


CORES = {
    "vexriscv": Core("pythondata_cpu_vexriscv", "VexRiscv_Full.v", "vexriscv.v", "0xb00", "rocket_rv32+m", True),
    "vexriscv-cfu": Core(
        "pythondata_cpu_vexriscv", "VexRiscv_FullCfu.v", "vexriscv.v", "0xb00", "rocket_rv32+m", True, True
    ),
    "picorv32": Core("pythondata_cpu_picorv32", "picorv32.v", "picorv32.v", "0xc00", "generic_rv32+m", False),
}
"""By name."""


def packaged_verilog(core: Core) -> Path:
    """The core's Verilog in its package; DeeplockError if that is not installed."""
    spec = importlib.util.find_spec(core.package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    path = Path(places[0]) / "verilog" / core.file if places else None
    if path is None or not path.is_file():
        raise DeeplockError(f"no {core.file}: install the Python package {core.package.replace('_', '-')}")
    return path


def core_verilog(core: Core, folder: Path) -> list[Path]:
    """The files of a core, of the Verilog around it and of its custom function unit, which is written to `folder`.

    Simulation (build.py) and synthesis (fpga/flow/riscv.py) use the same. Raises DeeplockError as `packaged_verilog`.
    """
    files = [_HERE / core.top, packaged_verilog(core)]
    if core.cfu:
        from amaranth.back import verilog

        from deeplock.sim.riscv.cfu import Cfu

        files.append(folder / "cfu.v")
        files[-1].write_text(verilog.convert(Cfu(), name="cfu", emit_src=False, strip_internal_attrs=True))
    return files
