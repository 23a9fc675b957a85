"""Measuring whole networks on the RTL by the command (issue 3, Shows 2)."""

import json
import runpy
from dataclasses import replace

import numpy as np
import pytest

from deeplock.bench.rtl import config_for, table
from deeplock.pymodel.network.network_file import load_network, save_network
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.network.operators.max_pool import MaxPool
from deeplock.pymodel.spec.config import Config
from tests.cli.test_main import ROOT
from tests.sim.tiny import tiny_network

RESULTS = ROOT / "report" / "results.py"


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
    results = runpy.run_path(str(RESULTS))
    text = results["cycles_table"](measured)
    assert text.splitlines()[0].startswith("| network | array |") and "| digits | 4x4 |" in text
    assert results["cycles_figure"](measured).startswith(b"\x89PNG")


ROW = {
    "network": "tiny", "rows": 4, "cols": 8, "bytes_per_beat": 8, "activation_words": 64, "images": 2, "mismatches": 0,
    "cycles_plain": 100.0, "cycles_locked": 110.5, "lower_bound": 90, "ratio": 1.2278, "key_starved_cycles": 0,
    "param_starved_cycles": 1.5, "simulated_cycles_per_second": 1,
    "counters": {
        "CYCLES": 110.5, "COMPUTE": 90.0, "PARAM_STARVED": 1.5, "KEY_STARVED": 0, "LOAD_BOUND": 9.0, "FEEDER": 0,
        "POST": 0, "OUTPUT_STALLED": 0, "DRAIN": 10.0, "INPUT_STARVED": 0,
    },
}  # fmt: skip


def test_the_table_names_the_causes_that_cost_cycles():
    head, (cells,) = table([ROW])
    assert dict(zip(head, cells, strict=True)) == {
        "network": "tiny", "array": "4x8", "images": 2, "wrong bytes": 0, "plain": 100.0, "locked": 110.5,
        "locked - plain": 10.5, "bound": 90, "ratio": 1.228, "compute": 90.0, "param starved": 1.5, "key starved": 0,
        "load bound": 9.0, "drain": 10.0,
    }  # fmt: skip


def test_table_and_figure_of_a_result():
    results = runpy.run_path(str(RESULTS))
    assert "| tiny | 4x8 | 2 | 0 | 100.0 | 110.5 |" in results["cycles_table"]({"rows": [ROW]})
    assert results["cycles_figure"]({"rows": [ROW, {**ROW, "network": "other"}]}).startswith(b"\x89PNG")


def test_the_activation_memory_holds_the_largest_network():
    small = config_for(4, 4, [tiny_network()])
    assert small == Config(rows=4, cols=4, bytes_per_beat=4)
    conv = tiny_network().layers[0]
    assert isinstance(conv, Conv)
    wide = {name: np.concatenate([getattr(conv, name)] * 4) for name in ("weight", "bias", "multiplier", "shift")}
    layers = (replace(conv, **wide), MaxPool("pool", conv.name, 2, 1))  # 64 x 64 pixels of 24 channels: 24,576 words
    large = replace(tiny_network(), input_shape=(64, 64, 1), layers=layers)
    assert config_for(4, 4, [tiny_network(), large]).activation_words >= 32768


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
