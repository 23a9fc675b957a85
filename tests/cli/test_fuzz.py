import json
from dataclasses import replace

import pytest

from deeplock.bench import fuzz
from deeplock.pymodel.compiler.interpreter import pooled
from deeplock.pymodel.spec.registers import Error


@pytest.mark.slow
def test_rounds_agree_and_are_recorded(deeplock, tmp_path):
    """A seed gives the same rounds again; what else the file holds stays."""
    file = tmp_path / "assurance.json"
    file.write_text('{"proofs": []}')
    outcome = deeplock("fuzz", "--rounds", 250, "--seed", 3, "--json", file)
    assert outcome.code == 0, outcome.err
    found = json.loads(file.read_text())
    assert found["proofs"] == []
    figures = found["fuzz"]
    assert (figures["rounds"], figures["hangs"], figures["outputs_after_error"], figures["disagreements"]) == (
        250,
        0,
        0,
        0,
    )
    assert sum(figures["errors"].values()) == 250 and 50 < figures["errors"]["NONE"] < 200
    assert len(figures["errors"]) >= 7 and figures["compared_bytes"] > 40
    assert "250" in outcome.out and "disagreements" in outcome.out
    assert fuzz.fuzz(250, 3) == {name: figures[name] for name in fuzz.fuzz(1, 3)}


@pytest.mark.parametrize(
    "name, broken, line",
    [
        pytest.param(
            *("golden_device.broken_program", lambda *_: (Error.BAD_DESCRIPTOR, ""), ", not BAD_DESCRIPTOR"),
            marks=pytest.mark.slow,
        ),
        ("interpreter.pooled", lambda values, axis, layer: -pooled(values, axis, layer), "other ofmap bytes"),
    ],
)
def test_devices_that_differ_are_found(deeplock, monkeypatch, name, broken, line):
    """One that refuses every program, and one that computes something else."""
    monkeypatch.setattr(f"deeplock.pymodel.compiler.{name}", broken)
    outcome = deeplock("fuzz", "--rounds", 60, "--seed", 3)
    assert outcome.code == 1 and "of 60 rounds: round" in outcome.err and line in outcome.err
    assert "beats that left after a refusal or an end" in outcome.out


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"tables": True}, {"tables": True, "products": True}], ids=["tables", "products"])
def test_rounds_with_options_agree(options):
    found = fuzz.fuzz(300, 7, replace(fuzz.CONFIG, **options))
    assert (found["hangs"], found["outputs_after_error"], found["disagreements"]) == (0, 0, 0), found["first"]
