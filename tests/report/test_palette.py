"""One palette and one name for each cause of cycles, in all figures and tables."""

import json
import re

from deeplock.pymodel.spec.registers import COUNTERS
from deeplock.report.palette import CAUSES, in_words
from deeplock.report.synth_report import area_figure
from tests.cli.test_main import ROOT

FIGURES = [
    path for path in (ROOT / "report").glob("*.py") if "matplotlib" in path.read_text() and path.name != "palette.py"
]


def test_every_cause_has_a_colour_of_its_own():
    assert set(CAUSES) == {name for name, _ in COUNTERS} - {"CYCLES"}
    assert len(set(CAUSES.values())) == len(CAUSES)
    assert in_words("PARAM_STARVED") == "param starved"


def test_figures_have_no_colours_of_their_own():
    assert len(FIGURES) >= 7
    for path in FIGURES:
        assert re.findall(r"""#[0-9a-f]{6}|colormaps|"C[{\d]""", path.read_text()) == [], path.name


def test_the_area_figure_is_drawn():
    result = json.loads((ROOT / "docs" / "results" / "area.json").read_text())
    assert area_figure(result).startswith(b"\x89PNG")
