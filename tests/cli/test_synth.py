"""`deeplock synth`: tables, JSON and errors; the programs behind it are tested in tests/fpga/flow/test_flow.py."""

import json
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
import pytest

from deeplock.fpga.boards import BOARDS
from deeplock.fpga.flow import jobs as flow_jobs
from deeplock.fpga.flow.families import DEVICES
from deeplock.fpga.flow.jobs import Job, Result
from deeplock.fpga.flow.nextpnr import Placement
from deeplock.fpga.flow.sweep import read_sweep
from deeplock.fpga.flow.synth import Area, source_digest
from deeplock.pymodel.spec.loadable import read_loadable
from deeplock.report.synth_report import area_figure, area_summary, area_tables, suites_area
from tests.cli.test_main import ROOT
from tests.cli.test_main import run as run_process

SWEEP = """
[[core]]
device = "lfe5u-25f"
rows = 4
cols = 4
bytes_per_beat = 4
suite = ["plain", "deep-lock"]
sbox = "rom"

[[board]]
board = "ulx3s-25f"
suite = "plain"

[[component]]
component = "sbox"
device = "up5k"
direction = "inverse"
sbox = "composite"
"""
COMPONENTS = """
[[component]]
component = "sbox"
device = "up5k"
direction = ["inverse", "forward"]
sbox = ["composite", "lut"]
"""
COUNTS = {"lut4": 100, "ff": 50, "carry": 0, "bram": 2, "dsp": 0, "spram": 0, "lutram": 0}


def result_of(job: Job, digest: str = "") -> Result:
    """Locked accelerators are 4 % larger and 3 % slower; the S-box does not fit."""
    locked = job.design.fields.get("suite") == "deep-lock"
    modules = {"array.pe": COUNTS, **({"lock.key_schedule": COUNTS | {"lut4": 4}} if locked else {})}
    result = Result(job, Area(modules, COUNTS, digest))
    if "component" in job.design.fields:
        result.error = "does not fit up5k: 40 bram of 30"
    else:
        clocks = [80.0 + seed - (2.43 if locked else 0) for seed in job.seeds]
        path = [("issue", 1.5), ("array.pe", 11.0)]
        for seed, clock in zip(job.seeds, clocks, strict=True):
            meets = clock >= job.device.mhz
            bits = f"bits of seed {seed}".encode() if meets and "board" in job.design.fields else b""
            result.placements.append(Placement(seed, clock, meets, path, {"DP16KD": (2, 56)}, bits))
    return result


@pytest.fixture
def fake(monkeypatch) -> list[Job]:
    """Results without programs; gives the jobs that were to be done."""
    done: list[Job] = []

    def run_jobs(jobs, executor, progress, kept=()):
        for job in jobs:
            if job not in kept:
                done.append(job)
                yield result_of(job)

    monkeypatch.setattr("deeplock.fpga.flow.jobs.run_jobs", run_jobs)
    return done


def test_one_accelerator_is_told_by_module(deeplock, fake, tmp_path):
    path = tmp_path / "synth.json"
    arguments = ["--device", "lfe5u-25f", "--rows", 4, "--cols", 4, "--bytes-per-beat", 4, "--sbox", "rom"]
    outcome = deeplock("synth", *arguments, "--single-port", "--no-dense", "--seeds", 3, "--json", path)
    assert outcome.code == 0
    lines = [line.split() for line in outcome.out.splitlines()]
    assert lines[0] == ["module", "lut4", "ff", "bram"]
    assert ["lock.key_schedule", "4", "50", "2"] in lines and ["total", "104", "100", "4"] in lines
    used = lines[lines.index(["of", "lfe5u-25f", "used", "available"]) + 2 :][:3]
    assert used == [
        ["lut4", "104", "24288", "0.4", "%"],
        ["bram", "4", "56", "7.1", "%"],
        ["dsp", "0", "28", "0.0", "%"],
    ]
    assert "clock: 79.6 (78.6..80.6) MHz; seeds: 78.6, 79.6, 80.6" in outcome.out
    assert "critical path (ns): issue 1.5, array.pe 11.0" in outcome.out
    (job,) = fake
    assert job.design.fields["single_port"] is True and list(job.seeds) == [1, 2, 3]
    found = json.loads(path.read_text())
    (row,) = found["rows"]
    expected = {"device": "lfe5u-25f", "board": None, "rows": 4, "cols": 4, "bytes_per_beat": 4, "suite": "deep-lock"}
    expected |= {"sbox": "rom", "lut4": 104, "ff": 100, "bram": 4, "dsp": 0, "fmax_mhz": [78.57, 79.57, 80.57]}
    assert expected.items() <= row.items()
    assert row["modules"]["lock.key_schedule"]["lut4"] == 4 and row["error"] == ""
    assert found["components"] == [] and set(found["tools"]) == {"yosys", "nextpnr-ecp5", "amaranth", "deeplock"}
    assert found["tools"]["yosys"].startswith("Yosys ") and "nextpnr-0." in found["tools"]["nextpnr-ecp5"]


def test_the_bitstream_of_a_boards_best_seed_is_written(deeplock, fake, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = deeplock("synth", "--board", "ulx3s-25f", "--suite", "plain", "--seeds", 3, "--json", "synth.json")
    assert outcome.code == 0
    assert "clock: 82.0 (81.0..83.0) of 50 MHz; seeds: 81.0, 82.0, 83.0\n" in outcome.out
    assert ["DP16KD", "2", "56", "3.6", "%"] in [line.split() for line in outcome.out.splitlines()]
    assert outcome.out.endswith("bitstream: build/ulx3s-25f.bit, of seed 3\n")
    assert (tmp_path / "build" / "ulx3s-25f.bit").read_bytes() == b"bits of seed 3"
    (job,) = fake
    assert job.device.mhz == 50
    (row,) = json.loads((tmp_path / "synth.json").read_text())["rows"]
    config = BOARDS["ulx3s-25f"].config
    expected = {"device": "lfe5u-25f", "board": "ulx3s-25f", "rows": config.rows, "cols": config.cols, "sbox": None}
    expected |= {"suite": "plain", "bytes_per_beat": config.bytes_per_beat, "clock_mhz": 50, "meets": True}
    expected |= {"lut4": 100, "ff": 50, "bram": 2, "dsp": 0, "fmax_mhz": [81.0, 82.0, 83.0], "error": ""}
    assert expected.items() <= row.items()
    assert "harness" in row and row["modules"]["array.pe"] == COUNTS
    assert deeplock("synth", "--board", "icebreaker", "--no-single-port", "-o", "other.bin").code == 0
    assert (tmp_path / "other.bin").read_bytes() == b"bits of seed 5"
    assert fake[-1].design.fields["single_port"] is False


def test_as_many_seeds_are_placed_as_there_is_time_for(deeplock, fake, tmp_path, monkeypatch):
    """A round of two seeds takes 60 seconds, the third one 70; synthesis takes 20."""
    path, output, clock = tmp_path / "synth.json", tmp_path / "board.bit", [0.0]

    def run_jobs(jobs, executor, progress):
        clock[0] += {(): 20, (5, 6): 70}.get(tuple(jobs[0].seeds), 60)
        progress("working", 1, 2)
        return map(result_of, jobs)

    monkeypatch.setattr(flow_jobs, "run_jobs", run_jobs)
    monkeypatch.setattr(flow_jobs, "run_for", partial(flow_jobs.run_for, now=lambda: clock[0]))
    for minutes, seeds in ((1, 2), (4, 6), (5, 8)):
        clock[0] = 0.0
        arguments = ["--board", "ulx3s-25f", "--suite", "plain", "--minutes", minutes, "--jobs", 2]
        assert deeplock("synth", *arguments, "-o", output, "--json", path).code == 0
        (row,) = json.loads(path.read_text())["rows"]
        assert row["seeds"] == list(range(1, seeds + 1)) and row["fmax_mhz"] == [80.0 + seed for seed in row["seeds"]]
        assert output.read_bytes() == b"bits of seed %d" % seeds


def test_what_does_not_fit_is_not_placed_however_much_time_there_is(deeplock, monkeypatch, tmp_path):
    def run_jobs(jobs, executor, progress):
        assert not jobs[0].seeds
        yield Result(jobs[0], Area({"top": COUNTS}, COUNTS), [], "does not fit up5k: 40 bram of 30")

    monkeypatch.setattr(flow_jobs, "run_jobs", run_jobs)
    outcome = deeplock("synth", "--board", "icebreaker", "--minutes", 5, "-o", tmp_path / "board.bin")
    assert outcome.code == 1 and outcome.err.endswith(": does not fit up5k: 40 bram of 30\n")


@pytest.mark.parametrize("sdram", [True, False])
def test_images_a_second_are_projected_from_cycles_memory_and_link(
    sdram, deeplock, fake, refused, tmp_path, monkeypatch
):
    """Cycles and bytes as `deeplock compile` tells them; 8n1 at 2 Mbaud, four bits of the flash every two cycles, or two bytes
    of the SDRAM in each."""
    monkeypatch.setitem(BOARDS, "ulx3s-25f", replace(BOARDS["ulx3s-25f"], sdram=sdram))
    loadable, path, compiled = (tmp_path / name for name in ("digits.loadable", "synth.json", "compile.json"))
    network = ROOT / "pymodel/zoo/trained/digits.safetensors"
    assert deeplock("compile", network, "--board", "ulx3s-25f", "-o", loadable, "--json", compiled).code == 0
    facts = json.loads(compiled.read_text())
    ifmap_bytes = len(read_loadable(loadable).pack_ifmap(np.zeros((8, 8, 1), np.int8)))
    there = ("--board", "ulx3s-25f", "--suite", "plain", "-o", tmp_path / "board.bit", "--loadable", loadable)
    outcome = deeplock("synth", *there, "--json", path)
    found, cycles = json.loads(path.read_text())["projection"], facts["expected_cycles"]
    assert found == {
        "network": "digits", "suite": "plain", "clock_mhz": 50.0, "expected_cycles": cycles,
        "array": round(50e6 / cycles, 1),
        "flash": None if sdram else round(50e6 / (4 * facts["parameter_bytes"]), 1),
        "sdram": round(50e6 / (facts["parameter_bytes"] / 2), 1) if sdram else None,
        "link": round(2e6 / 10 / (ifmap_bytes + 10), 1),
    }  # fmt: skip
    assert f"digits: {cycles:,.0f} cycles an image expected, at 50 MHz\n" in outcome.out
    assert ["host", "link", str(found["link"])] in [line.split() for line in outcome.out.splitlines()]
    config = BOARDS["ulx3s-25f"].config
    sizes = [f"--{name.replace('_', '-')}={getattr(config, name)}" for name in ("lanes", "activation_words")]
    core = ["--device", "lfe5u-25f", "--suite", "plain", "--seeds", 3, *sizes, "--loadable", loadable]
    assert deeplock("synth", *core, "--json", path).code == 0
    found = json.loads(path.read_text())["projection"]
    assert (found["clock_mhz"], found["array"], found["flash"], found["link"]) == (
        82.0,
        round(82e6 / cycles, 1),
        None,
        None,
    )
    message = "loadable is locked with suite plain, the accelerator has suite ascon"
    assert refused("synth", "--board", "ulx3s-25f", "--loadable", loadable) == message


def test_without_a_clock_nothing_is_projected(deeplock, fake, tmp_path, monkeypatch):
    monkeypatch.setitem(BOARDS, "ulx3s-25f", replace(BOARDS["ulx3s-25f"], clock_hz=100_000_000))
    loadable, path = tmp_path / "digits.loadable", tmp_path / "synth.json"
    network = ROOT / "pymodel/zoo/trained/digits.safetensors"
    assert deeplock("compile", network, "--board", "ulx3s-25f", "-o", loadable).code == 0
    there = ("--board", "ulx3s-25f", "--suite", "plain", "-o", tmp_path / "board.bit", "--loadable", loadable)
    assert deeplock("synth", *there, "--json", path).code == 1
    assert "projection" not in json.loads(path.read_text())


def test_a_bitstream_that_is_replaced_keeps_link_and_mode(deeplock, fake, tmp_path):
    output, link = tmp_path / "board.bit", tmp_path / "link"
    output.write_bytes(b"of yesterday")
    output.chmod(0o660)
    link.symlink_to(output)
    assert deeplock("synth", "--board", "ulx3s-25f", "--suite", "plain", "-o", link).code == 0
    assert link.is_symlink() and output.read_bytes() == b"bits of seed 5"
    assert output.stat().st_mode & 0o777 == 0o660


def test_a_board_that_misses_its_clock_leaves_no_bitstream(deeplock, fake, tmp_path, monkeypatch):
    """Not even the one that was there."""
    monkeypatch.setitem(BOARDS, "ulx3s-85f", replace(BOARDS["ulx3s-85f"], clock_hz=80_000_000))
    output, path = tmp_path / "board.bit", tmp_path / "synth.json"
    output.write_bytes(b"of yesterday")
    slow = ("--board", "ulx3s-85f", "--suite", "deep-lock", "--seeds", 1)
    outcome = deeplock("synth", *slow, "-o", output, "--json", path)
    assert outcome.code == 1
    assert outcome.err.endswith(": clock sync must reach 80 MHz, not 78.57 MHz (the best of 1 seeds): no bitstream\n")
    assert not output.exists() and "bitstream" not in outcome.out
    (row,) = json.loads(path.read_text())["rows"]
    assert (row["clock_mhz"], row["meets"]) == (80, False)


def test_seeds_that_find_no_place_are_told(deeplock, monkeypatch, tmp_path):
    """The board has a bitstream all the same."""

    def run_jobs(jobs, executor, progress, kept):
        (result,) = (result_of(job) for job in jobs)
        del result.placements[1]
        result.error = "does not fit lfe5u-25f with seed 2: place and route found no way"
        yield result

    monkeypatch.setattr("deeplock.fpga.flow.jobs.run_jobs", run_jobs)
    output = tmp_path / "board.bit"
    outcome = deeplock("synth", "--board", "ulx3s-25f", "--suite", "plain", "--seeds", 3, "-o", output)
    assert outcome.code == 0 and output.read_bytes() == b"bits of seed 3"
    assert "clock: 82.0 (81.0..83.0) of 50 MHz; seeds: 81.0, 83.0\n" in outcome.out
    assert "does not fit lfe5u-25f with seed 2: place and route found no way\n" in outcome.out
    sweep = tmp_path / "sweep.toml"
    sweep.write_text('[[board]]\nboard = "ulx3s-25f"\nsuite = "plain"\nseeds = 3\n')
    assert "82.0 (81.0..83.0) of 50; other seeds do not fit\n" in deeplock("synth", "--sweep", sweep).out


def test_a_sweep_compares_locked_with_plain(deeplock, fake, tmp_path):
    sweep, path = tmp_path / "sweep.toml", tmp_path / "synth.json"
    sweep.write_text(SWEEP)
    outcome = deeplock("synth", "--sweep", sweep, "--json", path)
    plain, locked, board = (line.split() for line in outcome.out.splitlines()[2:5])
    assert plain[:5] == ["lfe5u-25f", "4x4", "4", "4", "plain"] and "%" not in plain
    assert locked[-3:] == ["+4.0", "%", "0.971"]
    assert board[0] == "ulx3s-25f" and board[-3:] == ["(81.0..85.0)", "of", "50"]
    assert "bitstream" not in outcome.out
    assert "does not fit" in outcome.out
    assert outcome.code == 1, "something does not fit"
    assert outcome.err.endswith(
        "deeplock: up5k sbox direction=inverse sbox=composite: does not fit up5k: 40 bram of 30\n"
    )
    found = json.loads(path.read_text())
    assert [(row["board"], row["suite"], row["sbox"], row["key_sizes"]) for row in found["rows"]] == [
        (None, "plain", None, []),
        (None, "deep-lock", "rom", [16, 24, 32]),
        ("ulx3s-25f", "plain", None, []),
    ]
    (component,) = found["components"]
    assert (component["component"], component["direction"], component["fmax_mhz"]) == ("sbox", "inverse", [])
    head, rule, *lines = suites_area(found).splitlines()
    assert head == "| device | array | B | suite | S-box | LUT4 | FF | BRAM | LUT4 more | MHz | clock |"
    assert set(rule) <= set("| -:")
    assert [line.split(" | ")[-3:] for line in lines[1:]] == [["+4.0 %", "80.6 (78.6..82.6)", "0.971 |"]]
    assert len(lines) == 2 and area_summary(found).count("\n") == 2, "README.md shows other devices"
    tables = area_tables(found)
    assert "ulx3s-25f" in tables["boards"] and "ulx3s-25f" not in tables["cores"] and "sbox" in tables["components"]
    assert area_figure(found).startswith(b"\x89PNG")


def test_a_sweep_writes_each_row_when_it_is_measured_and_goes_on_from_its_file(deeplock, tmp_path, monkeypatch):
    sweep, path = tmp_path / "sweep.toml", tmp_path / "area.json"
    sweep.write_text(COMPONENTS)
    found: list[list[str]] = []

    def rows() -> list[dict]:
        figures = json.loads(path.read_text())
        return figures["rows"] + figures["components"]

    def end_after(count: int):
        """Results in another order than the sweep's, with Ctrl-C after `count` of them."""

        def run_jobs(jobs, executor, progress, kept):
            todo = [job for job in jobs if job not in kept]
            found.append([job.name for job in todo])
            for number, job in enumerate(todo[::-1]):
                assert len(rows()) == len(kept) + number
                if number == count:
                    raise KeyboardInterrupt
                yield result_of(job, source_digest(job.design, job.device))

        return run_jobs

    for count, code in ((2, 130), (4, 1), (4, 1)):
        monkeypatch.setattr("deeplock.fpga.flow.jobs.run_jobs", end_after(count))
        outcome = deeplock("synth", "--sweep", sweep, "--json", path)
        assert outcome.code == code, outcome.err
    names = [job.name for job in read_sweep(sweep, 5)]
    assert found == [names, names[:2], []]
    styles = [(row["direction"], row["sbox"]) for row in rows()]
    assert styles == list(product(("inverse", "forward"), ("composite", "lut"))), "in the sweep's order"
    faults = "; ".join(f"{name}: does not fit up5k: 40 bram of 30" for name in names)
    assert outcome.err.endswith(f"deeplock: {faults}\n"), "of rows that were kept"
    path.write_text("[1, 2]")
    outcome = deeplock("synth", "--sweep", sweep, "--json", path)
    message = f"deeplock: {path}: not a result of `deeplock synth`: remove it or name another file\n"
    assert (outcome.code, outcome.err, path.read_text()) == (1, message, "[1, 2]")


def test_faults_of_the_options_are_one_line(refused, tmp_path):
    sweep = tmp_path / "sweep.toml"
    sweep.write_text(SWEEP)
    assert refused("synth", "--device", "ice9") == f"device must be {', '.join(DEVICES)}, not ice9"
    assert refused("synth", "--device", "up5k", "--rows", 5) == "rows must be 4, 8 or 16, not 5"
    assert refused("synth", "--sweep", tmp_path / "none.toml") == f"{tmp_path}/none.toml: No such file or directory"
    message = "--cols goes with --device and --board: a sweep says what it synthesises"
    assert refused("synth", "--sweep", sweep, "--cols", 4) == message
    assert refused("synth", "--board", "arty") == f"board must be {', '.join(BOARDS)}, not arty"
    assert refused("synth", "--board", "icebreaker", "--rows", 5) == "rows must be 4, 8 or 16, not 5"
    assert refused("synth", "--board", "icebreaker", "-o", tmp_path).startswith(f"{tmp_path}: is not a regular file")
    message = "-o goes with --board: only boards have bitstreams"
    assert refused("synth", "--device", "up5k", "-o", tmp_path / "up5k.bin") == message
    assert refused("synth", "--sweep", sweep, "-o", tmp_path / "up5k.bin") == message
    message = "--minutes goes with --device and --board, not with --sweep"
    assert refused("synth", "--sweep", sweep, "--minutes", 5) == message
    message = "--loadable goes with --device and --board, not with --sweep"
    assert refused("synth", "--sweep", sweep, "--loadable", tmp_path / "none.loadable") == message
    message = "--minutes goes with processes on this machine: a cluster takes --seeds"
    assert refused("synth", "--device", "up5k", "--minutes", 5, "--scheduler", "tcp://127.0.0.1:1") == message


def test_one_of_device_board_and_sweep_is_needed():
    done = run_process("synth")
    assert done.returncode == 2 and "one of the arguments --device --board --sweep is required" in done.stderr
    done = run_process("synth", "--board", "icebreaker", "--device", "up5k")
    assert done.returncode == 2 and "argument --device: not allowed with argument --board" in done.stderr
