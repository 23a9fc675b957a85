"""docs/testplan.md names tests that exist, and every component of the hardware."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLAN = (ROOT / "docs" / "testplan.md").read_text()


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_test_of_the_plan_exists():
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", PLAN)
    assert len(named) == PLAN.count("::") > 100
    missing = [f"{file}::{name}" for file, name in named if name not in functions(ROOT / "tests" / file)]
    assert missing == []


def test_every_component_has_a_section():
    lines = re.findall(r"^### .*$", PLAN, re.MULTILINE)
    headings = set(re.findall(r"`(hw/[\w/]+\.py)`", "\n".join(lines)))
    assert headings == {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "hw").rglob("*.py") if path.name != "__init__.py"
    }


def test_every_testpoint_has_a_test():
    rows = [line for line in PLAN.splitlines() if re.match(r"\| (?!testpoint)", line)]
    assert rows
    assert [row for row in rows if "::" not in row] == []
