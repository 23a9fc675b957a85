"""Proofs about Amaranth designs. Yosys makes an and-inverter graph of a harness, and ABC decides by property-directed
reachability (Een, Mishchenko, Brayton, FMCAD 2011), after merging registers that are always equal (`scorr`).

A harness is a component that holds the design and states its properties with Assert, and what it takes for granted with
Assume. Its inputs are free in every cycle, and so is the reset.
"""

import json
import linecache
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pyosys
from amaranth.back import rtlil
from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring

__all__ = ["ENGINE", "Verdict", "implies", "past", "prove", "run_yosys", "stays"]

ENGINE = "ABC scorr, pdr"

_SCRIPT = """
hierarchy -top top
proc
chformal -lower
flatten
delete -output
memory -nomap
memory_map -formal
opt
write_json checks.json
async2sync
formalff -clk2ff -ff2anyinit
techmap
setundef -anyseq
dffunmap
opt_clean
aigmap
write_aiger -I -B -zinit -no-startoffset -map inputs -ywmap checks design.aig
"""


@dataclass(frozen=True)
class Verdict:
    """proved  every assertion always holds
    trace   else a counter-example: the assertion, and the inputs of each cycle up to the one in which it fails"""

    proved: bool
    trace: str = ""


def past(m: Module, value: Value, cycles: int = 1) -> Value:
    """The value some cycles ago; 0 for what was before a reset."""
    for _ in range(cycles):
        register = Signal.like(value, name="past")
        m.d.sync += register.eq(value)
        value = register
    return value


def implies(condition: Value, result: Value) -> Value:
    return ~condition.any() | result.any()


def stays(m: Module, valid: Value, ready: Value, *payload: Value) -> Value:
    """What is offered and not taken is offered again in the next cycle, and is the same."""
    value = Cat(*payload)
    return implies(past(m, valid & ~ready), valid & (past(m, value) == value))


def run_yosys(design: wiring.Component, script: str, folder: Path) -> None:
    """Run commands of Yosys on the design, module `top`. In a process of its own, which an error of Yosys ends."""
    (folder / "design.il").write_text(rtlil.convert(design, name="top"))
    (folder / "script.ys").write_text(f"read_rtlil design.il\n{script}")
    code = "from pyosys import libyosys as yosys; yosys.run_pass('script script.ys', yosys.Design())"
    run = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(f"Yosys: {(run.stdout + run.stderr)[-2000:]}")


def prove(harness: wiring.Component, timeout: float = 300) -> Verdict:
    """Decide whether all assertions of the harness always hold.

    timeout  seconds

    Raises:
        RuntimeError: not decided.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        run_yosys(harness, _SCRIPT, folder)
        if not json.loads((folder / "checks").read_text())["asserts"]:
            raise RuntimeError("nothing is asserted, or all of it holds by its form")
        # where scorr leaves no register, pdr decides nothing, and iprove decides
        log = _run_abc(f"orpos; scorr; pdr -T {timeout:.0f}; iprove", folder)
        if "Property proved" in log or "UNSATISFIABLE" in log:
            return Verdict(True)
        if "Reached timeout" in log:
            raise RuntimeError(f"not decided within {timeout:.0f} s")
        # again, without joining the assertions, to learn which one fails
        log = _run_abc(f"pdr -T {timeout:.0f}; write_cex -a trace", folder)
        if "was asserted in frame" not in log:
            raise RuntimeError(f"ABC: {log}")
        return Verdict(False, _trace(folder, int(log.partition("Output ")[2].split()[0])))


def _run_abc(commands: str, folder: Path) -> str:
    abc = Path(pyosys.__file__).with_name("yosys-abc")
    command = [abc, "-c", f"read_aiger design.aig; fold; strash; {commands}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def _trace(folder: Path, number: int) -> str:
    """The counter-example to the assertion of that number."""
    (path,) = (json.loads((folder / "checks").read_text())["asserts"][number],)
    cells = json.loads((folder / "checks.json").read_text())["modules"]["top"]["cells"]
    place = cells[path[-1]]["attributes"]["src"].partition("|")[0]
    file, _, line = place.rpartition(":")
    lines = [f"{place}: {linecache.getline(file, int(line.partition('.')[0])).strip()}"]
    inputs = [line.split()[1:] for line in (folder / "inputs").read_text().splitlines() if line.startswith("input ")]
    for cycle, bits in enumerate((folder / "trace").read_text().splitlines()[1:-1]):
        values: dict[str, int] = {}
        for index, offset, signal in inputs:
            values[signal] = values.get(signal, 0) | (bits[int(index)] == "1") << int(offset)
        lines.append(f"cycle {cycle}: " + " ".join(f"{name}={value:#x}" for name, value in values.items() if value))
    return "\n".join(lines)
