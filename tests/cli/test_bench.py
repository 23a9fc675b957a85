"""Measuring whole networks on the RTL by the command (issue 3, Shows 2)."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from deeplock.pymodel.network.network_file import load_network, save_network
from deeplock.report.cycles_report import cycles_figure, cycles_table
from deeplock.report.tables import markdown


@pytest.fixture(scope="module")
def measured(files, tmp_path_factory) -> dict:
    from deeplock.cli.main import main

    found = tmp_path_factory.mktemp("bench") / "cycles.json"
    arguments = ["bench", "rtl", "--networks", files.network, "--arrays", "4x4", "--images", 3, "--json", found]
    assert main([str(argument) for argument in arguments]) == 0
    return json.loads(found.read_text())


@pytest.mark.slow
def test_the_lock_costs_no_more_than_a_pipelines_fill_and_no_byte_differs(measured):
    (row,) = measured["rows"]
    assert (row["network"], row["rows"], row["cols"], row["bytes_per_beat"]) == ("digits", 4, 4, 4)
    assert (row["images"], row["mismatches"]) == (3, 0)
    assert 0 <= row["cycles_locked"] - row["cycles_plain"] <= 32
    assert row["key_starved_cycles"] == 0
    assert row["lower_bound"] < row["cycles_plain"]
    assert row["ratio"] == pytest.approx(row["cycles_locked"] / row["lower_bound"], abs=1e-3)
    assert sum(row["counters"].values()) == pytest.approx(2 * row["counters"]["CYCLES"], abs=0.1)


@pytest.mark.slow
def test_the_result_says_how_it_was_made_and_is_drawn(measured, tmp_path):
    assert "bench rtl" in measured["command"] or measured["command"]
    assert measured["machine"] and measured["versions"]["verilator"] and measured["seed"] == 0
    text = markdown(cycles_table(measured["rows"]), 2)
    assert text.splitlines()[0].startswith("| network | array |") and "| digits | 4x4 |" in text
    assert cycles_figure(measured).startswith(b"\x89PNG")


def test_networks_that_cannot_be_measured_are_named(refused, files, tmp_path):
    nobodys = tmp_path / "nobodys.safetensors"
    save_network(nobodys, replace(load_network(files.network), dataset=""))
    assert "belongs to no data set" in refused("bench", "rtl", "--networks", nobodys)
    line = refused("bench", "rtl", "--networks", files.network, "--images", 361)
    assert line == "data set digits has 360 test images, not 361"


def test_an_array_must_be_rows_by_columns(deeplock, capsys):
    with pytest.raises(SystemExit):
        deeplock("bench", "rtl", "--arrays", "8")
    assert "an array must be ROWSxCOLS, not '8'" in capsys.readouterr().err


def test_runs_on_boards_may_name_a_suite(capsys):
    from deeplock.cli.commands.bench import _runs
    from deeplock.cli.main import main

    assert _runs("icebreaker:digits:tinyjambu,b:dir/a:b.net,b:n") == [
        ("icebreaker", Path("digits"), "tinyjambu"), ("b", Path("dir/a:b.net"), ""), ("b", Path("n"), ""),
    ]  # fmt: skip
    with pytest.raises(SystemExit):
        main(["bench", "board", "--runs", "icebreaker"])
    assert "must be BOARD:NETWORK or BOARD:NETWORK:SUITE, not 'icebreaker'" in capsys.readouterr().err
