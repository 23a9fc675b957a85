"""Put measured figures into README.md and docs: python -m deeplock.report.results [DEMO|FILE ...]

DEMO is the folder of a `deeplock demo`. FILE is a file of docs/results: accuracy, cycles, cycles-batch, mlperf-tiny, memory,
memory-area, board, area, software, security or assurance.json. By default, build/demo and all of these files that exist are
taken. The drawings of docs and the tables of docs/architecture.md and docs/bring-your-own-network.md are made each time.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from deeplock.report import datapath, feeding, software_area, software_report, software_suites
from deeplock.report.accuracy_report import accuracy_figure, accuracy_section, accuracy_summary
from deeplock.report.assurance_report import fuzz_section, proofs_section
from deeplock.report.attack_report import security_figures, security_tables
from deeplock.report.board_report import board_table
from deeplock.report.cycles_report import cycles_figure, cycles_section, cycles_summary, cycles_table, suites_table
from deeplock.report.demo_report import report_rows
from deeplock.report.memory_report import memory_area, memory_figure, memory_section
from deeplock.report.mlperf_report import mlperf_figure, mlperf_section
from deeplock.report.operators_report import operator_sections
from deeplock.report.packing import packing_section
from deeplock.report.security_summary import security_summary
from deeplock.report.synth_report import area_figure, area_summary, area_tables, suites_area
from deeplock.report.tables import markdown

DOCS = Path(__file__).resolve().parents[1] / "docs"
RESULTS = DOCS / "results"
README = DOCS.parent / "README.md"
MEASURED = DOCS / "measured.md"
ARCHITECTURE = DOCS / "architecture.md"
FPGA = DOCS / "fpga.md"
SECURITY = DOCS / "security.md"
SUITES = DOCS / "choosing-a-suite.md"
ASSURANCE = DOCS / "assurance.md"
BENCHMARKS = DOCS / "benchmarks.md"
DESIGN = DOCS / "into-your-design.md"
NETWORKS = DOCS / "bring-your-own-network.md"


def put_between(text: str, name: str, content: str) -> str:
    """The text with this content between the marks of that name, `<!-- name: ... -->` and `<!-- /name -->`."""
    marks = re.compile(rf"(<!-- {name}: [^\n]*-->\n).*?(<!-- /{name} -->)", re.DOTALL)
    result, count = marks.subn(lambda found: found[1] + content + found[2], text)
    if count != 1:
        raise ValueError(f"marks of {name} must be there once, not {count} times")
    return result


def put_into(page: Path, name: str, content: str) -> None:
    """`put_between` of a page's file."""
    page.write_text(put_between(page.read_text(), name, content))


def put_table(text: str, report: dict) -> str:
    """The text of docs/measured.md with the figures of this demo's report."""
    rows = "".join(f"| {what} | {figure} |\n" for what, figure in report_rows(report))
    return put_between(text, "demo", f"| | |\n|---|--:|\n{rows}")


def take_demo(folder: Path) -> None:
    text = (folder / "report.json").read_text()
    (RESULTS / "demo.json").write_text(text)
    for name in ("accuracy", "cycles", "digits", "bytes"):
        (RESULTS / f"demo-{name}.png").write_bytes((folder / f"{name}.png").read_bytes())
    MEASURED.write_text(put_table(MEASURED.read_text(), json.loads(text)))


def take_accuracy(path: Path) -> None:
    result = json.loads(path.read_text())
    put_into(MEASURED, "accuracy", accuracy_section(result))
    put_into(README, "accuracy", accuracy_summary(result))
    (RESULTS / "accuracy.png").write_bytes(accuracy_figure(result))


def take_cycles(file: Path) -> None:
    result = json.loads(file.read_text())
    put_into(MEASURED, file.stem, cycles_section(result, file.stem))
    if file.stem == "cycles":
        put_into(README, "cycles", cycles_summary(result))
    how = f"Cycles per image, back to back, by `{result['command']}` on {result['machine']}.\n\n"
    (RESULTS / f"{file.stem}.md").write_text(how + markdown(cycles_table(result["rows"]), 2))
    (RESULTS / f"{file.stem}.png").write_bytes(cycles_figure(result))
    put_into(SUITES, file.stem, markdown(suites_table(result["rows"]), 2))


def take_board(file: Path) -> None:
    result = json.loads(file.read_text())
    table = markdown(board_table(result["rows"]), 3)
    put_into(FPGA, "board", table + f"\nBy `{result['command']}`.\n")


def take_area(file: Path) -> None:
    result = json.loads(file.read_text())
    for name, content in area_tables(result).items():
        put_into(FPGA, name, content)
    put_into(README, "area", area_summary(result))
    put_into(SUITES, "area", suites_area(result))
    (RESULTS / "area.png").write_bytes(area_figure(result))


def put_software(text: str, software: dict, cycles: dict, area: dict) -> str:
    """The text of docs/benchmarks.md with the figures of this software.json, cycles.json and area.json."""
    tables = {
        "software": (software_report.comparison(software, cycles), 3),
        "software-soc": (software_report.soc_table(software), 3),
        "software-suites": (software_suites.suites_table(software, cycles), 2),
        "software-host": (software_report.timings(software), 4),
        "software-layers": (software_report.layer_rows(software), 2),
    }
    for name, (table, words) in tables.items():
        text = put_between(text, name, markdown(table, words))
    table = software_area.area_table(software, cycles, area)
    content = "Not measured yet: `deeplock synth --sweep fpga/flow/area.toml --json docs/results/area.json`.\n"
    if table.rows:
        content = markdown(table, 1) + f"\nBy `{area['command']}`.\n{AREA_FIGURE}"
    text = put_between(text, "software-area", content)
    return put_between(text, "software-command", f"By `{software['command']}` on {software['machine']}.\n")


AREA_FIGURE = "\n![cycles of a locked inference against LUT4, lines of equal product](results/software-area.png)\n"


def take_software(file: Path) -> None:
    software, cycles = json.loads(file.read_text()), json.loads((RESULTS / "cycles.json").read_text())
    path = RESULTS / "area.json"
    area = json.loads(path.read_text()) if path.exists() else {"rows": [], "components": []}
    text = put_software(BENCHMARKS.read_text(), software, cycles, area)
    BENCHMARKS.write_text(text)
    (RESULTS / "software.png").write_bytes(software_report.figure(software, cycles))
    if AREA_FIGURE in text:
        (RESULTS / "software-area.png").write_bytes(software_area.area_figure(software, cycles, area))
    put_into(MEASURED, "software", markdown(software_report.headline(software, cycles), 1))


def take_mlperf_tiny(file: Path) -> None:
    result = json.loads(file.read_text())
    put_into(BENCHMARKS, "mlperf-tiny", mlperf_section(result))
    (RESULTS / "mlperf-tiny.png").write_bytes(mlperf_figure(result))


def take_memory(file: Path) -> None:
    result = json.loads(file.read_text())
    put_into(DESIGN, "memory", memory_section(result))
    (RESULTS / "memory.png").write_bytes(memory_figure(result))


def take_memory_area(file: Path) -> None:
    put_into(DESIGN, "memory-area", memory_area(json.loads(file.read_text())))


def take_security(file: Path) -> None:
    result = json.loads(file.read_text())
    for name, content in security_tables(result).items():
        put_into(SECURITY, name, content)
    put_into(README, "security", security_summary(result))
    for name, content in security_figures(result).items():
        (RESULTS / f"security-{name}.png").write_bytes(content)


def take_assurance(file: Path) -> None:
    result = json.loads(file.read_text())
    sections = {"proofs": proofs_section(result)}
    sections |= {name: fuzz_section(found) for name, found in result.items() if name.startswith("fuzz")}
    for name, section in sections.items():
        put_into(ASSURANCE, name, section)


TAKE: dict[str, Callable[[Path], None]] = {
    "accuracy.json": take_accuracy,
    "cycles.json": take_cycles,
    "cycles-batch.json": take_cycles,
    "mlperf-tiny.json": take_mlperf_tiny,
    "memory.json": take_memory,
    "memory-area.json": take_memory_area,
    "board.json": take_board,
    "software.json": take_software,
    "area.json": take_area,
    "security.json": take_security,
    "assurance.json": take_assurance,
}
"""The function for each file name; any other name is a demo's folder."""


if __name__ == "__main__":
    given = [Path(argument) for argument in sys.argv[1:]]
    if missing := [path for path in given if not path.exists()]:
        sys.exit(
            f"{missing[0]}: is not there; give result files ({', '.join(TAKE)}), a demo's folder, or nothing for all"
        )
    RESULTS.mkdir(exist_ok=True)
    for drawing in (datapath, feeding):
        (DOCS / f"{drawing.__name__.split('.')[-1]}.svg").write_text(drawing.draw())
    put_into(ARCHITECTURE, "packing", packing_section())
    for name, section in operator_sections().items():
        put_into(NETWORKS, name, section)
    found = [path for path in (Path("build/demo"), *(RESULTS / name for name in TAKE)) if path.exists()]
    for path in given or found:
        TAKE.get(path.name, take_demo)(path)
