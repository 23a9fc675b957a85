"""The demo (issue 2, Shows 1), and that README.md shows what it measured."""

import json
import re
import runpy

import pytest

from deeplock.cli.demo import FILES
from tests.cli.test_main import ROOT


def keys_of(figures: dict) -> dict:
    return {name: keys_of(value) if isinstance(value, dict) else None for name, value in figures.items()}


KEYS = {
    "network": None,
    "images": None,
    "accuracy": dict.fromkeys(["float", "int8", "unlocked", "wrong_key_mean", "wrong_keys"]),
    "rtl": dict.fromkeys(
        [
            "simulator", "rows", "cols", "bytes_per_beat", "images", "mismatches", "cycles_plain", "cycles_locked",
            "key_starved_cycles", "param_starved_cycles", "lower_bound",
        ]
    ),
}  # fmt: skip


@pytest.mark.slow
def test_demo(deeplock, tmp_path):
    outcome = deeplock("demo", "-o", tmp_path, "--count", 20)
    assert outcome.code == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert keys_of(report) == KEYS
    accuracy, rtl = report["accuracy"], report["rtl"]
    assert accuracy["float"] >= 0.97
    assert accuracy["unlocked"] == accuracy["int8"] >= 0.96
    assert accuracy["wrong_keys"] == 20
    assert 0.05 < accuracy["wrong_key_mean"] < 0.2
    assert rtl["images"] >= 20
    assert rtl["mismatches"] == rtl["key_starved_cycles"] == 0
    assert 0 <= rtl["cycles_locked"] - rtl["cycles_plain"] <= 32
    assert "cycles per image, locked" in outcome.out
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    page = (tmp_path / "report.html").read_text()
    assert len(re.findall(r'src="data:image/png;base64,', page)) == len(list(tmp_path.glob("*.png"))) == 4
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_the_readme_shows_the_figures_of_docs_results():
    put_table = runpy.run_path(str(ROOT / "report" / "results.py"))["put_table"]
    report = json.loads((ROOT / "docs" / "results" / "demo.json").read_text())
    readme = (ROOT / "README.md").read_text()
    assert put_table(readme, report) == readme
    assert keys_of(report) == KEYS
