"""The cores of the software baseline as components: what `deeplock bench software` simulates, without the memory."""

import re

from amaranth import ClockSignal, Instance, Module, ResetSignal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Member, Out

from deeplock.fpga.flow.toolchain import find_program
from deeplock.fpga.flow.yosys import run_yosys
from deeplock.pymodel.scratch import scratch
from deeplock.sim.riscv.cores import CORES, core_verilog
from deeplock.sim.toolchain import environment

__all__ = ["PROCESSOR", "Processor", "core_rtlil", "ports_of"]

PROCESSOR = "processor"
"""The module of sim/riscv/*.v that holds a core and all that it needs, except a memory."""

_CLOCK, _RESET = "clk", "reset"
_PORT = re.compile(r"^  wire (?:width (\d+) )?(input|output) \d+ \\(\w+)$", re.MULTILINE)


def core_rtlil(core: str) -> str:
    """RTLIL of PROCESSOR around a core, with all modules below, from the Verilog that is simulated.

    Raises DeeplockError if Yosys or the package with the Verilog is missing.
    """
    macro = "-DCFU" if CORES[core].cfu else ""
    with scratch() as folder, environment(YOSYS=find_program("yosys")):
        made = folder / "core.il"
        files = core_verilog(CORES[core], folder)
        (folder / "core.v").write_text("\n".join(path.read_text() for path in files))
        # deferred: the memory, which PROCESSOR does not need, is read but not elaborated
        run_yosys(
            (f"read_verilog -defer {macro} core.v", f"hierarchy -top {PROCESSOR}", f"write_rtlil {made.name}"), made
        )
        return made.read_text()


def ports_of(rtlil: str) -> dict[str, Member]:
    """The ports of PROCESSOR in RTLIL, without clock and reset."""
    module = rtlil.partition(f"\nmodule \\{PROCESSOR}\n")[2].partition("\nend\n")[0]
    found = {name: (In if flow == "input" else Out)(int(width or 1)) for width, flow, name in _PORT.findall(module)}
    return {name: member for name, member in found.items() if name not in (_CLOCK, _RESET)}


class Processor(wiring.Component):
    """A RISC-V core with what sim/riscv/*.v puts around it, except the memory: an instance of PROCESSOR.

    Arguments
    ---------
    core : str
        One of sim.riscv.cores.CORES.

    Members
    -------
    The ports of PROCESSOR.

    Attributes
    ----------
    rtlil : str
        PROCESSOR with all modules below.

    Raises
    ------
    DeeplockError
        As for `core_rtlil`.
    """

    def __init__(self, core: str):
        self.rtlil = core_rtlil(core)
        super().__init__(ports_of(self.rtlil))

    def elaborate(self, platform) -> Module:
        m = Module()
        ports = {
            f"{'i' if member.flow == In else 'o'}_{name}": getattr(self, name)
            for name, member in self.signature.members.items()
        }
        clock = {f"i_{_CLOCK}": ClockSignal(), f"i_{_RESET}": ResetSignal()}
        m.submodules[PROCESSOR] = Instance(PROCESSOR, **clock, **ports)
        return m
