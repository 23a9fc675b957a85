"""Proofs as tests. `pytest tests/formal --assurance FILE` (`make prove`) writes what was proved into a result file."""

import json
import time
from pathlib import Path

import pytest

from deeplock.bench.environment import machine, versions
from deeplock.pymodel.files import write_json
from tests.formal.prover import ENGINE, prove

_proofs: list[dict] = []


@pytest.fixture
def record_proof(record_property):
    """Records what a test decided about a property of a design. Its time runs from the test's begin on."""
    begun = time.perf_counter()

    def record_proof(property: str, design: str, engine: str, holds: bool) -> None:
        row = {"property": property, "design": design, "engine": engine}
        row |= {"outcome": "proved" if holds else "refuted", "seconds": round(time.perf_counter() - begun, 1)}
        record_property("proof", row)  # travels with the report, from pytest-xdist's workers too

    return record_proof


@pytest.fixture
def proves(record_proof):
    """Proves all assertions of a harness; fails with the counter-example."""

    def proves(harness, property: str, design: str) -> None:
        verdict = prove(harness)
        record_proof(property, design, ENGINE, verdict.proved)
        assert verdict.proved, f"{design}: {property}\n{verdict.trace}"

    return proves


def pytest_addoption(parser) -> None:
    parser.addoption("--assurance", type=Path, metavar="FILE", help="write the proofs into this result file")


def pytest_runtest_logreport(report) -> None:
    if report.when == "call":
        _proofs.extend(row for name, row in report.user_properties if name == "proof")


def pytest_terminal_summary(terminalreporter) -> None:
    for row in sorted(_proofs, key=lambda row: (row["property"], row["design"])):
        terminalreporter.write_line("{outcome} in {seconds} s: {property} ({design})".format(**row))


def pytest_sessionfinish(session) -> None:
    path = session.config.getoption("assurance", None)
    if path is None or hasattr(session.config, "workerinput"):
        return
    there = json.loads(path.read_text()) if path.exists() else {}
    about = {"command": "make prove", "machine": machine(), "versions": versions("amaranth", "pyosys")}
    proofs = sorted(_proofs, key=lambda row: (row["property"], row["design"]))
    write_json(path, there | about | {"proofs": proofs})
