"""docs/assurance.md shows the proofs of assurance.json, and all of them hold."""

import json

from deeplock.report.assurance_report import proofs_section
from deeplock.report.results import put_between
from tests.cli.test_main import ROOT


def test_the_page_shows_the_proofs():
    result = json.loads((ROOT / "docs" / "results" / "assurance.json").read_text())
    assert {proof["outcome"] for proof in result["proofs"]} == {"proved"}
    page = (ROOT / "docs" / "assurance.md").read_text()
    assert put_between(page, "proofs", proofs_section(result)) == page
