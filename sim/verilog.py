"""Verilog of a component, as every simulator takes it: for our simulations (build.py) and for designs of others (export/)."""

import re

from amaranth.back import verilog
from amaranth.lib.wiring import Component

from deeplock.hw.basics.axi import flat_ports
from deeplock.sim.toolchain import environment

__all__ = ["to_verilog"]


def to_verilog(top: Component, name: str) -> str:
    """Verilog-2005 of `top` as module `name`. The names of the modules below begin with it."""
    with environment():
        text = verilog.convert(top, name=name, ports=flat_ports(top), emit_src=False, strip_internal_attrs=True)
    return _awake(text)


def _awake(text: str) -> str:
    """Verilog in which every `always @*` runs at time 0. In Icarus it sleeps, with outputs X, until an input changes.

    Yosys makes each read an extra register for this, but initialises that before the blocks wait for it. (always_comb would do
    too, but Icarus 11 then evaluates blocks too often and takes three times as long.)
    """
    return re.sub(
        r"^( *)reg (\\\$auto\$verilog_backend\S+ ) = 0;$", r"\1reg \2;\n\1initial \2 <= 0;", text, flags=re.MULTILINE
    )
