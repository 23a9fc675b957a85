"""The FuseSoC core file (CAPI2): targets to lint and to simulate."""

from deeplock import __version__

__all__ = ["fusesoc_core"]

_HEAD = """\
CAPI=2:
name: ::{module}:{version}
description: Deeplock's int8 systolic accelerator, whose weights stay locked outside of it

filesets:
  rtl:
    files: [deeplock.v]
    file_type: verilogSource-2005
  waiver:
    files: [deeplock.vlt]
    file_type: vlt
"""

_TESTBENCH = """\
  tb:
    files:
      - tb/deeplock_tb.v: {file_type: verilogSource-2005}
"""

_HEX = "      - tb/{name}: {{file_type: user, copyto: tb/{name}}}\n"

_TARGETS = """\

targets:
  default:
    filesets: [rtl]
    toplevel: {module}
  lint:
    filesets: [rtl, waiver]
    toplevel: {module}
    default_tool: verilator
    tools:
      verilator:
        mode: lint-only
        verilator_options: [-Wall]
"""

_SIM = """\
  sim:
    filesets: [rtl, "tool_verilator? (waiver)", tb]
    toplevel: deeplock_tb
    default_tool: icarus
    tools:
      icarus:
        iverilog_options: [-g2005]
      verilator:
        mode: binary
        verilator_options: [--timing]
"""


def fusesoc_core(module: str, hexes: list[str]) -> str:
    """deeplock.core. hexes: the testbench's hex files; none if there is no testbench."""
    bench = _TESTBENCH + "".join(_HEX.format(name=name) for name in hexes) if hexes else ""
    head, targets = (part.format(module=module, version=__version__) for part in (_HEAD, _TARGETS))
    return head + bench + targets + (_SIM if hexes else "")
