"""The demo (issue 2, Shows 1)."""

import json
import re

import pytest

from deeplock.bench import demo
from deeplock.report import demo_report


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


def test_a_folder_that_cannot_be_written_is_told_before_any_work(refused, tmp_path, monkeypatch):
    """Root may write everywhere, so it is a file that is in the way."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "build").touch()
    assert re.fullmatch(r"build/demo/\S+: (Not a directory|File exists)", refused("demo"))


def test_a_key_that_belongs_to_no_loadable_of_the_demo_is_kept(refused, deeplock, tmp_path):
    key = tmp_path / demo.KEY
    deeplock("keygen", "-o", key)
    before = key.read_bytes()
    assert refused("demo", "-o", tmp_path) == f"key file {key}: exists already, and is kept"
    assert key.read_bytes() == before


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
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted((*demo.FILES, demo.KEY, *demo_report.FILES))
    loadable, key = tmp_path / demo.FILES[-1], tmp_path / demo.KEY
    assert key.stat().st_mode & 0o777 == 0o600
    again = deeplock("evaluate", loadable, "--key-file", key)
    assert again.out.splitlines()[1].split()[-2] == f"{100 * accuracy['unlocked']:.2f}"
    assert deeplock("info", loadable, "--json", key).err == f"deeplock: key file {key}: exists already, and is kept\n"
    assert deeplock("simulate", loadable, "--key-file", key, "--count", 3).code == 0  # README.md goes on so
    page = (tmp_path / "report.html").read_text()
    assert len(re.findall(r'src="data:image/png;base64,', page)) == len(list(tmp_path.glob("*.png"))) == 4
    assert not re.search(r'(src|href)="(?!data:)', page)
