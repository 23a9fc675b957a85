"""Measuring the software baseline by the command (issue 5, Shows 1)."""

import importlib.util
import json
import shutil

import pytest

from cli import software_report
from cli.bench_software import table


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
    assert [row["variant"] for row in rows] == ["plain", "unlock-all", "fused"]
    for row in rows:
        assert (row["network"], row["platform"], row["memory"], row["images"]) == ("digits", "host", "host", 2)
        assert (row["macs"], row["param_bytes"], row["outputs_equal_golden"]) == (27_968, 5_616, True)
        assert row["nanoseconds"] > 0 and row["ratio"] > 0
        assert "| digits" not in outcome.out and "digits" in outcome.out


def test_a_flipped_byte_ends_the_run_with_its_place(on_host):
    outcome, rows = on_host("--flip", 40)
    assert outcome.code == 1
    assert outcome.err.splitlines()[-1] == (
        "deeplock: 3 of 3 outputs differ from the golden model, the first digits host host plain"
    )
    assert not any(row["outputs_equal_golden"] for row in rows)


def test_pytorch_gives_the_same_outputs_unlocked(deeplock, tmp_path):
    path = tmp_path / "software.json"
    assert deeplock("bench", "software", "--platforms", "pytorch", "--json", path).code == 0
    rows = json.loads(path.read_text())["rows"]
    assert [(row["platform"], row["variant"]) for row in rows] == [
        (platform, variant) for platform in ("pytorch-int8", "pytorch-float32") for variant in ("plain", "unlock-all")
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
    from cli.main import main

    with pytest.raises(SystemExit):
        main(["bench", "software", "--platforms", "z80"])
    assert "must be some of vexriscv, vexriscv-cfu, picorv32, host, pytorch, not 'z80'" in capsys.readouterr().err


def rows_of(platform: str, memory: str, **cycles: float) -> list[dict]:
    shared = {"network": "tiny", "platform": platform, "memory": memory, "macs": 100, "param_bytes": 40}
    return [
        {
            **shared, "variant": variant, "cycles": count, "cycles_per_mac": count / 100,
            "ratio": count / cycles["plain"], "unlock_cycles_per_byte": None if variant == "plain" else 7.25,
            "layers": [{"name": "dense", "macs": 100, "cycles": int(count) - 10}],
        }
        for variant, count in zip(("plain", "unlock-all", "fused"), cycles.values(), strict=True)
    ]  # fmt: skip


def test_the_report_shows_the_measured_figures():
    host = {
        "network": "tiny", "platform": "host", "memory": "host", "macs": 100, "variant": "plain", "instructions": 1000.0,
        "nanoseconds": 5000.0, "ratio": 1.0, "time_ratio": 1.0,
    }  # fmt: skip
    locked = {
        **host,
        "variant": "fused",
        "instructions": 1500.0,
        "nanoseconds": 9000.0,
        "ratio": 1.5,
        "time_ratio": 1.8,
    }
    rows = [
        *rows_of("vexriscv", "ideal", plain=500.0, whole=800.0, fused=750.0),
        *rows_of("picorv32", "ideal", plain=2000.0, whole=3000.0, fused=3100.0),
        host,
        locked,
    ]
    array = {"network": "tiny", "rows": 8, "cols": 8, "cycles_plain": 30.0, "cycles_locked": 30.0}
    software, cycles = {"rows": rows}, {"rows": [array]}
    head, (row,) = software_report.headline(software, cycles)
    assert row == ["tiny", "1.50", "-", "1.50", "1.000", "25 x", "-"]
    assert len(head) == len(row)
    head, cells = software_report.comparison(software, cycles)
    assert [row[0:6] for row in cells] == [
        ["tiny", "VexRiscv", "ideal", "500", "750", "fused"],
        ["tiny", "PicoRV32", "ideal", "2,000", "3,000", "unlock-all"],
        ["tiny", "accelerator 8x8", "stream", "30", "30", "on the way in"],
    ]
    assert [row[-1] for row in cells] == ["1.00", "0.25", "25"] and all(len(row) == len(head) for row in cells)
    assert software_report.layer_rows(software)[1] == [["tiny", "dense", "100", "490", "4.90", "740", "7.40"]]
    assert [row[3:] for row in software_report.timings(software)[1]] == [
        ["1,000", "1.00", "5.0", "1.00"],
        ["1,500", "1.50", "9.0", "1.80"],
    ]
    assert software_report.figure(software, cycles).startswith(b"\x89PNG")


@pytest.mark.slow
def test_all_platforms_on_digits(deeplock, tmp_path):
    path = tmp_path / "software.json"
    assert deeplock("bench", "software", "--network", "digits", "--images", 1, "--json", path).code == 0
    rows = json.loads(path.read_text())["rows"]
    assert all(row["outputs_equal_golden"] for row in rows)
    on_cores = [row for row in rows if "cycles" in row]
    assert len(on_cores) == 3 * 2 * 3
    for row in on_cores:
        assert row["cycles_per_mac"] == pytest.approx(row["cycles"] / row["macs"], abs=1e-3)
        assert (row["unlock_cycles_per_byte"] is None) == (row["variant"] == "plain")
        assert sum(layer["macs"] for layer in row["layers"]) == row["macs"]
    head, cells = table(rows)
    assert all(len(row) == len(head) for row in cells)
