"""docs/assurance.md shows what is in assurance.json: all proofs hold, and fuzzing found nothing."""

import json

from deeplock.report.assurance_report import fuzz_section, proofs_section
from deeplock.report.results import put_between
from tests.cli.test_main import ROOT


def test_the_page_shows_the_proofs():
    result = json.loads((ROOT / "docs" / "results" / "assurance.json").read_text())
    assert {proof["outcome"] for proof in result["proofs"]} == {"proved"}
    page = (ROOT / "docs" / "assurance.md").read_text()
    assert put_between(page, "proofs", proofs_section(result)) == page


def test_the_page_shows_the_fuzzed_rounds():
    found = json.loads((ROOT / "docs" / "results" / "assurance.json").read_text())["fuzz"]
    assert found["rounds"] >= 20_000 and found["compared_bytes"] > 5_000
    assert found["hangs"] == found["outputs_after_error"] == found["disagreements"] == 0
    page = (ROOT / "docs" / "assurance.md").read_text()
    assert put_between(page, "fuzz", fuzz_section(found)) == page
