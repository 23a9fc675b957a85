"""What can influence what: a walk over the netlist of a flattened design, bit by bit."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from amaranth.lib import wiring

from tests.formal.prover import run_yosys

__all__ = ["Netlist"]

_SCRIPT = """
hierarchy -top top
proc
flatten
memory -nomap
opt
pmuxtree
bmuxmap
demuxmap
simplemap
opt_clean
write_json netlist.json
"""


class Netlist:
    """The gates, registers and memories of a design. A gate's or register's output depends on all of its inputs but the clock;
    a bit of a memory's word on that bit of what is written, and on all addresses and enables."""

    def __init__(self, design: wiring.Component):
        with TemporaryDirectory() as folder:
            run_yosys(design, _SCRIPT, Path(folder))
            top = json.loads((Path(folder) / "netlist.json").read_text())["modules"]["top"]
        self.bits: dict[str, list] = {name: net["bits"] for name, net in top["netnames"].items()}
        self.outputs = [name for name, port in top["ports"].items() if port["direction"] == "output"]
        self._fanout: dict[int, set[int]] = defaultdict(set)
        for cell in top["cells"].values():
            for source, targets in _arcs(cell):
                self._fanout[source].update(targets)

    def reached(self, sources: Iterable[int]) -> dict[int, int | None]:
        """The bits that these can influence, themselves among them; for each, the bit before it on a shortest way."""
        before: dict[int, int | None] = dict.fromkeys((bit for bit in sources if isinstance(bit, int)), None)
        front = list(before)
        while front:
            following = {target: bit for bit in front for target in self._fanout[bit] if target not in before}
            before |= following
            front = list(following)
        return before

    def way(self, before: dict[int, int | None], bit: int) -> str:
        """The named nets on the way to a bit, for a message."""
        names = {bit: name for name, bits in sorted(self.bits.items(), reverse=True) for bit in bits if "$" not in name}
        steps: list[str] = []
        while bit is not None:
            if bit in names and names[bit] not in steps[-1:]:
                steps.append(names[bit])
            bit = before[bit]
        return " -> ".join(reversed(steps))


def _arcs(cell: dict) -> Iterator[tuple[int, list]]:
    """Each input bit of a cell, and the output bits that it influences."""
    ports, directions = cell["connections"], cell["port_directions"]
    outputs = [bit for name, bits in ports.items() if directions[name] == "output" for bit in bits]
    width = int(cell["parameters"]["WIDTH"], 2) if cell["type"] == "$mem_v2" else 0
    for name, bits in ports.items():
        if directions[name] != "input" or name in ("RD_CLK", "WR_CLK") or (name == "C" and "DFF" in cell["type"]):
            continue
        for index, bit in enumerate(bits):
            column = width and name in ("WR_DATA", "WR_EN")
            yield bit, outputs[index % width :: width] if column else outputs
