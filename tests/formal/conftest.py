"""Proofs as tests. `pytest tests/formal --assurance FILE` (`make prove`) writes what was proved into a result file."""

import json
import time
from pathlib import Path

import pytest

from deeplock.bench.environment import machine, versions
from deeplock.pymodel.files import write_json
from tests.formal.prover import ENGINE, prove

_COMMAND = "make prove"
_proofs: list[dict] = []


@pytest.fixture
def proves(record_property):
    """Proves a harness, and records it as a proof of `property` about `design`; fails with the counter-example."""

    def proves(harness, property: str, design: str) -> None:
        begun = time.perf_counter()
        verdict = prove(harness)
        record(record_property, property, design, ENGINE, verdict.proved, begun)
        assert verdict.proved, f"{property}: {design}: counter-example\n{verdict.trace}"

    return proves


def record(record_property, property: str, design: str, engine: str, holds: bool, begun: float) -> None:
    seconds = round(time.perf_counter() - begun, 2)
    outcome = "proved" if holds else "refuted"
    print(f"{outcome} in {seconds} s: {property}: {design}")
    row = {"property": property, "design": design, "engine": engine, "outcome": outcome, "seconds": seconds}
    record_property("proof", row)


def pytest_addoption(parser) -> None:
    parser.addoption("--assurance", type=Path, metavar="FILE", help="write the proofs into this result file")


def pytest_runtest_logreport(report) -> None:
    if report.when == "call":
        _proofs.extend(row for name, row in report.user_properties if name == "proof")


def pytest_sessionfinish(session) -> None:
    path = session.config.getoption("assurance", None)
    if path is None or hasattr(session.config, "workerinput"):
        return
    there = json.loads(path.read_text()) if path.exists() else {}
    proofs = sorted(_proofs, key=lambda row: (row["property"], row["design"]))
    about = {"command": _COMMAND, "machine": machine(), "versions": versions("amaranth", "pyosys")}
    write_json(path, there | about | {"proofs": proofs})
