"""The rooms of the house: who may import whom, no circles, and no room that holds too much. docs/architecture.md, "Rooms"."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOPS = ("bench", "cli", "fpga", "hw", "pymodel", "report", "sim")

# each room, from the bottom up, and the rooms that it may import beside itself
MODEL = ["pymodel", "pymodel.lock", "pymodel.spec"]
NETWORK = [*MODEL, "pymodel.network"]
COMPILER = [*NETWORK, "pymodel.compiler"]
ZOO = [*COMPILER, "pymodel.frontends", "pymodel.zoo"]
HARDWARE = [*MODEL, "hw.basics", "hw.families"]
DATAPATH = ["hw.array", "hw.control", "hw.feed", "hw.lock", "hw.memory", "hw.post"]
SIMULATION = [*ZOO, *HARDWARE, "hw", *DATAPATH, "sim"]
BOARDS = [*SIMULATION, "sim.memory", "sim.riscv", "fpga", "fpga.boards"]
LABORATORY = [*ZOO, "pymodel.schemes", "pymodel.attacks", "pymodel.attacks.device"]
MEASURED = [*BOARDS, "fpga.flow", "fpga.gateware", "fpga.host", *LABORATORY]
ALLOWED = {
    "pymodel": [],
    "pymodel.lock": ["pymodel"],
    "pymodel.spec": MODEL,
    "pymodel.network": MODEL,
    "pymodel.frontends": NETWORK,
    "pymodel.compiler": NETWORK,
    "pymodel.zoo": ZOO,
    "pymodel.schemes": ZOO,
    "pymodel.attacks": [*ZOO, "pymodel.schemes"],
    "pymodel.attacks.device": [*ZOO, "pymodel.attacks"],
    "hw.basics": MODEL,
    "hw.families": MODEL,
    "hw.lock": HARDWARE,
    "hw.array": HARDWARE,
    "hw.post": [*HARDWARE, "hw.array"],
    "hw.feed": [*HARDWARE, "hw.array", "hw.post"],
    "hw.control": [*HARDWARE, "hw.feed", "hw.lock", "hw.post"],
    "hw.memory": HARDWARE,
    "hw": [*HARDWARE, *DATAPATH],
    "sim": SIMULATION,
    "sim.memory": SIMULATION,
    "sim.export": SIMULATION,
    "sim.riscv": [*SIMULATION, "sim.export"],
    "fpga": MODEL,
    "fpga.boards": [*SIMULATION, "fpga"],
    "fpga.gateware": BOARDS,
    "fpga.host": BOARDS,
    "fpga.flow": [*BOARDS, "fpga.gateware"],
    "bench": MEASURED,
    "report": [*MEASURED, "bench"],
    "cli": [*MEASURED, "bench", "report", "sim.export"],
}


def module_of(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")


MODULES = {module_of(path): path for top in TOPS for path in sorted((ROOT / top).rglob("*.py"))}


def room_of(module: str) -> str:
    """The room that a module is in: the longest one of the table that its name begins with."""
    names = [room for room in ALLOWED if module == room or module.startswith(f"{room}.")]
    return max(names, key=len)


def imports_of(text: str) -> Iterator[str]:
    """The modules of the package that a source imports, wherever it does, by their names without `deeplock.`."""
    for node in ast.walk(ast.parse(text)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name.removeprefix("deeplock.") in MODULES else node.module for name in whole]
        for name in names:
            if name.startswith("deeplock."):
                yield name.removeprefix("deeplock.")


def wrong_imports(module: str, text: str) -> list[str]:
    room = room_of(module)
    found = ((name, room_of(name)) for name in imports_of(text))
    return [
        f"{module} ({room}) imports {name} ({there})" for name, there in found if there not in [room, *ALLOWED[room]]
    ]


def test_imports_go_downwards_only():
    wrong = [line for module, path in MODULES.items() for line in wrong_imports(module, path.read_text())]
    assert wrong == []


def circle(graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_there_are_no_circles():
    graph = {module: set(imports_of(path.read_text())) - {module} for module, path in MODULES.items()}
    assert circle(graph) == []
    assert circle({room: set(allowed) - {room} for room, allowed in ALLOWED.items()}) == []


@pytest.mark.parametrize(
    "module, line",
    [
        ("pymodel.spec.config", "from deeplock.pymodel.compiler import compiler"),
        ("pymodel.lock.sbox", "import deeplock.hw.lock.sbox"),
        ("hw.array.pe", "from deeplock.hw.feed.feeder import WindowFeeder"),
        ("sim.run", "def f():\n    from deeplock.cli.main import main"),
        ("bench.rtl", "from deeplock.report.profile import draw"),
    ],
)
def test_an_import_that_is_turned_round_is_found(module, line):
    (wrong,) = wrong_imports(module, line)
    assert wrong.startswith(f"{module} (")


def test_a_circle_is_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})


def test_no_room_holds_more_than_a_quarter_of_the_lines():
    lines = dict.fromkeys(ALLOWED, 0)
    for module, path in MODULES.items():
        lines[room_of(module)] += len(path.read_text().splitlines())
    largest = max(lines, key=lines.__getitem__)
    assert lines[largest] * 4 <= sum(lines.values()), f"{largest}: {lines}"
