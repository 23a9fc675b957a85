"""Measuring the software baseline by the command (issue 5, Shows 1)."""

import importlib.util
import json
import shutil

import pytest

from deeplock.report.software_report import software_table


@pytest.fixture
def on_host(deeplock, tmp_path):
    def run(*arguments: object):
        path = tmp_path / "software.json"
        outcome = deeplock("bench", "software", "--platforms", "host", "--json", path, *arguments)
        return outcome, json.loads(path.read_text())["rows"]

    return run


def test_rows_say_what_ran_and_that_outputs_are_golden(on_host):
    outcome, rows = on_host("--network", "digits", "--images", 2)
    assert outcome.code == 0
    assert [(row["suite"], row["variant"]) for row in rows] == [
        ("plain", "plain"), ("deep-lock", "unlock-all"), ("deep-lock", "fused"), ("ascon", "unlock-all"),
        ("acorn", "unlock-all"),
    ]  # fmt: skip
    for row in rows:
        assert (row["network"], row["platform"], row["memory"], row["images"]) == ("digits", "host", "host", 2)
        assert (row["macs"], row["param_bytes"], row["outputs_equal_golden"]) == (27_968, 5_616, True)
        assert row["nanoseconds"] > 0 and row["ratio"] > 0
        assert "| digits" not in outcome.out and "digits" in outcome.out


def test_a_flipped_byte_ends_the_run_with_its_place(on_host):
    outcome, rows = on_host("--flip", 40)
    assert outcome.code == 1
    assert outcome.err.splitlines()[-1] == (
        "deeplock: 5 of 5 outputs differ from the golden model, the first digits host host plain plain"
    )
    assert not any(row["outputs_equal_golden"] for row in rows)


def test_pytorch_gives_the_same_outputs_unlocked(deeplock, tmp_path):
    path = tmp_path / "software.json"
    assert deeplock("bench", "software", "--platforms", "pytorch", "--json", path).code == 0
    rows = json.loads(path.read_text())["rows"]
    assert [(row["platform"], row["suite"], row["variant"]) for row in rows] == [
        (platform, *way)
        for platform in ("pytorch-int8", "pytorch-float32")
        for way in (("plain", "plain"), ("deep-lock", "unlock-all"))
    ]
    assert all(row["outputs_equal_golden"] and row["nanoseconds"] > 0 for row in rows)
    assert rows[1]["ratio"] > 1 and rows[3]["ratio"] > 1


def test_without_valgrind_instructions_are_left_out(on_host, monkeypatch):
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda program: None if program == "valgrind" else which(program))
    outcome, rows = on_host("--images", 1)
    assert outcome.code == 0
    assert not any("instructions" in row for row in rows)
    assert "no valgrind on PATH: instructions on this machine are left out" in outcome.err


def test_what_is_missing_is_told_in_one_line(refused, monkeypatch):
    assert "network file nowhere" in refused("bench", "software", "--networks", "nowhere")
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ziglang" else find(name))
    message = refused("bench", "software", "--platforms", "vexriscv")
    assert message == "no compiler for RISC-V: install the Python package ziglang"


def test_unknown_platforms_are_refused(capsys):
    from deeplock.cli.main import main

    with pytest.raises(SystemExit):
        main(["bench", "software", "--platforms", "z80"])
    assert "must be some of vexriscv, vexriscv-cfu, picorv32, soc, host, pytorch, not 'z80'" in capsys.readouterr().err


def test_kept_rows_stand_beside_those_measured_anew(on_host, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["deeplock", "bench", "software", "--keep"])
    _, first = on_host("--images", 1)
    path = tmp_path / "software.json"
    result = json.loads(path.read_text())
    core = {**first[0], "platform": "vexriscv", "memory": "ideal", "cycles": 1.0}
    other = {**first[0], "network": "mnist"}
    path.write_text(json.dumps({**result, "command": "earlier", "rows": [*first, core, other]}))
    outcome, rows = on_host("--images", 2, "--keep")
    assert outcome.code == 0
    assert [(row["network"], row["platform"]) for row in rows] == [
        ("digits", "vexriscv"), *[("digits", "host")] * 5, ("mnist", "host")
    ]  # fmt: skip
    assert [row["images"] for row in rows] == [1, 2, 2, 2, 2, 2, 1]
    assert json.loads(path.read_text())["command"] == "earlier && deeplock bench software --keep"
    assert "digits" in outcome.out and "mnist" not in outcome.out, "what was measured now"


def test_nothing_to_keep_is_told_in_one_line(refused, tmp_path):
    assert refused("bench", "software", "--keep") == "--keep has no effect without --json: leave it out"
    path = tmp_path / "other.json"
    for text in (None, "{", "[]", '{"rows": []}'):
        if text is not None:
            path.write_text(text)
        message = refused("bench", "software", "--keep", "--json", path)
        assert message == f"{path}: not a result of `deeplock bench software`, whose rows could be kept"


@pytest.mark.slow
def test_digits_on_the_soc(deeplock, tmp_path):
    """As measured: 8x8, three suites; a flipped byte of the parameters is seen in all."""
    path = tmp_path / "software.json"
    command = ("bench", "software", "--platforms", "soc", "--memories", "ideal", "--images", 2, "--json", path)
    assert deeplock(*command).code == 0
    rows = json.loads(path.read_text())["rows"]
    assert [(row["suite"], row["variant"]) for row in rows] == [
        ("plain", "plain"), ("deep-lock", "stream"), ("acorn", "stream"),
    ]  # fmt: skip
    for row in rows:
        assert row["outputs_equal_golden"] and 0 < row["accelerator_cycles"] < row["cycles"] < 10_000 < row["macs"]
        assert row["load_cycles"] > 0 and row["ratio"] == pytest.approx(row["cycles"] / rows[0]["cycles"], abs=1e-4)
    outcome = deeplock(*command, "--flip", 42)  # the high byte of a bias
    assert outcome.code == 1 and "3 of 3 outputs differ" in outcome.err
    assert deeplock(*command, "--flip", 1 << 20).code == 1


@pytest.mark.slow
def test_all_platforms_on_digits(deeplock, tmp_path):
    path = tmp_path / "software.json"
    assert deeplock("bench", "software", "--network", "digits", "--images", 1, "--json", path).code == 0
    rows = json.loads(path.read_text())["rows"]
    assert all(row["outputs_equal_golden"] for row in rows)
    on_cores = [row for row in rows if "cycles" in row and row["platform"] != "soc"]
    assert len([row for row in rows if row["platform"] == "soc"]) == 2 * 3
    assert len(on_cores) == 3 * 2 * 3 + 2 * 2
    assert {(row["platform"], row["suite"]) for row in on_cores if row["suite"] not in ("plain", "deep-lock")} == {
        ("vexriscv", "ascon"),
        ("vexriscv", "acorn"),
    }
    for row in on_cores:
        assert row["cycles_per_mac"] == pytest.approx(row["cycles"] / row["macs"], abs=1e-3)
        assert (row["unlock_cycles_per_byte"] is None) == (row["variant"] == "plain")
        assert sum(layer["macs"] for layer in row["layers"]) == row["macs"]
    head, cells = software_table(rows)
    assert all(len(row) == len(head) for row in cells)
