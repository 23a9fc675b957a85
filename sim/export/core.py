"""The accelerator as one Verilog file: a module with AMBA's names for clock and reset, around what the simulations build."""

import re
from collections import Counter
from dataclasses import asdict

from amaranth import Value
from amaranth.lib.wiring import Component, In

from deeplock import __version__
from deeplock.hw.accelerator import Accelerator
from deeplock.hw.accelerator_with_memory import AcceleratorWithMemory
from deeplock.hw.basics.axi import flat_ports
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.memory import MemoryOptions
from deeplock.sim.verilog import to_verilog

__all__ = ["core_verilog"]

_REGISTERS = {"s_axil": "AXI4-Lite subordinate, 32 bits: the registers, see deeplock_regs.h"}
_INTERRUPT = {"irq": "interrupt: a level, active high, as register INTERRUPT chooses"}
_STREAMS = {
    **_REGISTERS,
    "s_axis_loadable": "AXI4-Stream: loadables, a beat of {bytes_per_beat} bytes; tlast ends a packet",
    "s_axis_ifmap": "AXI4-Stream: ifmaps, a beat of {rows} bytes; tlast ends an ifmap",
    "m_axis_ofmap": "AXI4-Stream: ofmaps, a beat of {lanes} bytes; tkeep tells which, tlast ends an ofmap",
    **_INTERRUPT,
}
"""The ports of an accelerator, by the beginning of their names."""
_MEMORY = {
    **_REGISTERS,
    "s_axil_memory": "AXI4-Lite subordinate, 32 bits: the memory master's registers, see deeplock_memory_regs.h",
    "m_axi": "AXI4 manager, {bytes_per_beat} bytes of data: loadables, ifmaps and ofmaps",
    **_INTERRUPT,
}
"""Those of an accelerator with a memory master."""
_CLOCK = "the clock; the reset, active low, synchronous to it"


_TESTBENCH = (
    "",
    "The self-checking testbench in tb/, run from this folder:",
    "    $ iverilog -g2005 -o tb.vvp deeplock.v tb/deeplock_tb.v && vvp -n tb.vvp",
    "    $ verilator --binary --timing --top-module deeplock_tb deeplock.vlt deeplock.v tb/deeplock_tb.v",
    "    $ obj_dir/Vdeeplock_tb",
)


def _group(name: str, groups: dict[str, str]) -> str:
    """The group that a port is in: the longest one that its name begins with."""
    return max((group for group in groups if name == group or name.startswith(f"{group}_")), key=len)


def _ports(top: Component, config: Config, about: dict[str, str]) -> list[tuple[str, list[tuple[str, str, int]]]]:
    """What each group of ports is, and its ports: direction, name, bits."""
    flows = {"_".join(map(str, path)): member.flow for path, member, _ in top.signature.flatten(top)}
    widths = {name: len(Value.cast(port)) for name, (port, _) in flat_ports(top).items()}
    groups = [(_CLOCK, [("input", "aclk", 1), ("input", "aresetn", 1)])]
    for member, text in about.items():
        names = [name for name in flows if _group(name, about) == member]
        ports = [("input" if flows[name] == In else "output", name, widths[name]) for name in names]
        groups.append((text.format(**vars(config)), ports))
    return groups


def _attributes(name: str, about: dict[str, str]) -> str:
    """By which Vivado knows that a port belongs to an interface; other tools ignore them. Source: UG994, "Referencing RTL
    modules"."""
    group = name if name in ("aclk", "aresetn") else _group(name, about)
    parameters: dict[str, str] = {}
    signal = name.removeprefix(f"{group}_").upper()
    if name == "aclk":
        kind, signal = "signal:clock", "CLK"
        buses = ":".join(bus for bus in about if bus != "irq")
        parameters = {"ASSOCIATED_BUSIF": buses, "ASSOCIATED_RESET": "aresetn"}
    elif name == "aresetn":
        kind, signal, parameters = "signal:reset", "RST", {"POLARITY": "ACTIVE_LOW"}
    elif group == "irq":
        kind, signal, parameters = "signal:interrupt", "INTERRUPT", {"SENSITIVITY": "LEVEL_HIGH"}
    elif "_axis_" in group:
        kind = "interface:axis"
    else:
        kind = "interface:aximm"
        if signal in ("AWADDR", "ARADDR"):
            parameters = {"PROTOCOL": "AXI4LITE" if group.startswith("s_axil") else "AXI4"}
    found = {"X_INTERFACE_INFO": f"xilinx.com:{kind}:1.0 {group} {signal}"}
    if parameters:
        found["X_INTERFACE_PARAMETER"] = ", ".join(f"{key} {value}" for key, value in parameters.items())
    return ", ".join(f'{key} = "{value}"' for key, value in found.items())


def _wrapper(top: Component, config: Config, about: dict[str, str], module: str) -> str:
    groups = _ports(top, config, about)
    declared = []
    for text, ports in groups:
        declared.append(f"    // {text}")
        for direction, name, bits in ports:
            declared.append(f"    (* {_attributes(name, about)} *)")
            declared.append(f"    {direction:6} wire {f'[{bits - 1}:0]' * (bits > 1):7} {name},")
    declared[-1] = declared[-1].removesuffix(",")
    inner = [f"        .{name}({name})" for _, ports in groups[1:] for _, name, _ in ports]
    inner = ["        .clk(aclk)", "        .rst(!aresetn)", *inner]
    lines = [
        f"module {module} (",
        *declared,
        ");",
        f"    {module}_core core (",
        ",\n".join(inner),
        "    );",
        "endmodule",
    ]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Verilog without what Verilator's lint says most often: initial values in declarations, and wires of no bits, which are
    written as if they had two. Nothing uses these."""
    text = re.sub(r"^ *wire \[-1:0\] .*;\n", "", text, flags=re.MULTILINE)
    initial = r"^( *)reg ((?:signed )?(?:\[\S+\] )?)(\\\S+ |\w+) = (.*);$"
    return re.sub(initial, r"\1reg \2\3;\n\1initial \3 = \4;", text, flags=re.MULTILINE)


def _memories(text: str) -> list[str]:
    """The memories of a Verilog text, alike ones of a module together."""
    found, module = Counter(), ""
    for line in text.splitlines():
        if match := re.match(r"module \\?(\S+?) ?\(", line):
            module = match[1]
        elif match := re.match(r" *reg \[(\d+):0\] \\?([a-z]+)\S* *\[(\d+):0\];", line):
            found[int(match[3]) + 1, int(match[1]) + 1, f"{module}: {match[2]}"] += 1
    return [f"{count} of {words} x {bits} bits, {name}" for (words, bits, name), count in found.items()]


def _about(
    config: Config, options: MemoryOptions | None, about: dict[str, str], module: str, command: str, memories: list[str]
) -> str:
    fields = [f"    {name:19} {value}" for name, value in asdict(config).items()]
    ports = [f"    {member + '_*' * (member != 'irq'):19} {text}" for member, text in about.items()]
    master = [f"    {name:19} {value}" for name, value in asdict(options).items()] if options else []
    lines = [
        f"Deeplock's int8 systolic accelerator, whose weights stay locked outside of it: module {module}, Verilog-2005.",
        "SPDX-License-Identifier: Apache-2.0",
        "",
        f"Made by deeplock {__version__}:",
        f"    $ {' '.join(command.splitlines())}",
        "",
        "Configuration, as pymodel/spec/config.py explains it:",
        *fields,
        *(["", "Memory master, as pymodel/spec/memory.py explains it:", *master] if master else []),
        "",
        "Ports:",
        f"    {'aclk, aresetn':19} {_CLOCK}",
        *[line.format(**vars(config)) for line in ports],
        "",
        "There is one clock; no path is false, and none may take more than a cycle. Hold aresetn low for a rising edge of aclk",
        "or more; release it synchronously to aclk. Registers and memories have initial values, for FPGAs.",
        "",
        "Memories, inferred from arrays, with clocked reads; only what is called `table` is an S-box and may be read at once:"
        if options is None
        else "Memories, inferred from arrays, with clocked reads; only S-boxes (`table`) and `order` may be read at once:",
        *(f"    {memory}" for memory in memories),
        *_TESTBENCH,
    ]
    return "".join(f"// {line}".rstrip() + "\n" for line in lines) + "\n`timescale 1ns / 1ps\n"


def core_verilog(config: Config, module: str, command: str, options: MemoryOptions | None = None) -> str:
    """deeplock.v: the accelerator of `config` as module `module`, made by `command`; with options, behind a memory master."""
    top = Accelerator(config) if options is None else AcceleratorWithMemory(config, options)
    about = _STREAMS if options is None else _MEMORY
    inner = _plain(to_verilog(top, f"{module}_core"))
    head = _about(config, options, about, module, command, _memories(inner))
    return "\n".join([head, _wrapper(top, config, about, module), inner])
