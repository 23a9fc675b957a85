"""Rows that a sweep keeps from its file, and results that come one by one."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest

import deeplock.fpga.flow.jobs
import deeplock.fpga.flow.synth
from deeplock.fpga.flow.designs import Design, key_schedule
from deeplock.fpga.flow.families import DEVICES
from deeplock.fpga.flow.families.family import Device
from deeplock.fpga.flow.jobs import Job, Result, run_jobs
from deeplock.fpga.flow.netlist import RESOURCES
from deeplock.fpga.flow.nextpnr import Placement
from deeplock.fpga.flow.report import figures_of, row_of
from deeplock.fpga.flow.resume import kept_rows
from deeplock.fpga.flow.sources import Source, harness_source
from deeplock.fpga.flow.synth import Area, measure_clock, source_digest
from deeplock.fpga.flow.toolchain import versions
from deeplock.hw.lock.key_schedule import KeySchedule
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.files import write_json
from deeplock.pymodel.progress import quiet
from tests.fpga.flow_tools import COPIES, TINY

UP5K, ECP5 = DEVICES["up5k"], DEVICES["lfe5u-85f"]
SIZES = (16, 24)
NOTHING = dict.fromkeys(RESOURCES, 0)


def design_of(key_sizes: tuple[int, ...] = SIZES) -> Design:
    """A key schedule for these keys that calls itself one for SIZES."""
    source = partial(harness_source, partial(KeySchedule, 4, "rom", key_sizes), False)
    return replace(key_schedule(4, (16,), "rom"), fields={"component": "key", "key_sizes": SIZES}, source=source)


def job_of(design: Design | None = None, device: Device = UP5K, seeds: int = 2) -> Job:
    return Job(design or design_of(), device, range(1, seeds + 1))


def row_now(job: Job) -> dict[str, Any]:
    """A row of what the job's design is now."""
    area = Area({"top": NOTHING | {"lut4": 7}}, NOTHING, source_digest(job.design, job.device))
    return row_of(Result(job, area, [Placement(seed, 50.0 + seed, True, [("top", 1.0)], {}) for seed in job.seeds]))


@pytest.fixture
def file(tmp_path) -> Path:
    """A file with the row of job_of()."""
    path = tmp_path / "area.json"
    write_json(path, figures_of("deeplock synth", [row_now(job_of())], versions(job_of().programs)))
    return path


def kept(job: Job, file: Path | None) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(1) as executor:
        return list(kept_rows([job], file, executor, quiet).values())


def test_a_row_of_the_same_rtl_seeds_and_tools_is_kept_as_it_is(file):
    assert kept(job_of(), file) == json.loads(file.read_text())["components"]
    assert kept(job_of(), None) == kept(job_of(), file.with_name("none.json")) == []


@pytest.mark.parametrize(
    "job",
    [
        job_of(design_of((16, 32))),
        job_of(replace(design_of(), fields={"component": "key", "key_sizes": (16,)})),
        job_of(replace(design_of(), fields={"component": "key"})),
        job_of(device=DEVICES["hx8k"]),
        job_of(device=replace(UP5K, mhz=31)),
        job_of(seeds=3),
    ],
    ids=["RTL", "configuration", "fewer fields", "device", "clock", "seeds"],
)
def test_a_row_of_something_else_is_measured_again(job, file):
    assert kept(job, file) == []


@pytest.mark.parametrize("tool", ["yosys", "nextpnr-ice40", "amaranth", "deeplock"])
def test_a_row_of_another_version_of_a_tool_is_measured_again(tool, file):
    figures = json.loads(file.read_text())
    write_json(file, figures | {"tools": figures["tools"] | {"nextpnr-ecp5": "another family's"}})
    assert len(kept(job_of(), file)) == 1
    for tools in ({tool: "0.1"}, {tool: None}):
        write_json(file, figures | {"tools": figures["tools"] | tools})
        assert kept(job_of(), file) == []


def test_a_row_without_a_digest_is_measured_again(file):
    """As all were before there were digests."""
    figures = json.loads(file.read_text())
    del figures["components"][0]["digest"]
    write_json(file, figures)
    assert kept(job_of(), file) == []


def test_the_digest_goes_by_rtl_constraints_device_and_floorplan(tmp_path, monkeypatch):
    def constrained(text: str, device: Device) -> Source:
        return replace(TINY.source(device), constraints=text)

    known = source_digest(TINY, ECP5)
    assert source_digest(replace(TINY, name="another name", fields={}), ECP5) == known
    others = {
        known,
        source_digest(COPIES, ECP5),
        source_digest(TINY, UP5K),
        source_digest(TINY, replace(ECP5, mhz=79.0)),
        *(source_digest(replace(TINY, source=partial(constrained, text)), ECP5) for text in ("a", "b")),
    }
    assert len(others) == 6
    before = source_digest(TINY, UP5K)
    rule = tmp_path / "placement.py"
    rule.write_text("another floorplan")
    monkeypatch.setattr(deeplock.fpga.flow.synth, "getfile", lambda _: str(rule))
    assert source_digest(TINY, ECP5) not in others
    assert source_digest(TINY, UP5K) == before, "has no floorplan"


def test_only_designs_with_a_row_are_elaborated_and_progress_says_how_many_are_kept(file):
    def fail(device: Device) -> Source:
        raise AssertionError("elaborated")

    new = job_of(Design("new", {"component": "new"}, fail))
    steps: list[tuple[str, float, float]] = []
    with ThreadPoolExecutor(1) as executor:
        found = kept_rows([new, job := job_of()], file, executor, lambda *step: steps.append(step))
    assert list(found) == [job]
    assert steps == [(f"checking the rows of {file}: {job.name}", 1, 1), (f"1 of 2 rows are kept from {file}",)]


@pytest.mark.parametrize(
    "text",
    ["", "no JSON", "[]", "{}", '{"rows": [], "machine": "x"}', '{"rows": [1], "components": [], "tools": {}}'],
)
def test_a_file_of_something_else_is_refused(text, tmp_path):
    file = tmp_path / "other.json"
    file.write_text(text)
    message = f"^{file}: not a result of `deeplock synth`: remove it or name another file$"
    with pytest.raises(DeeplockError, match=message):
        kept(job_of(), file)
    assert file.read_text() == text


def area_in_luts(design: Design, device: Device) -> Area:
    """In place of Yosys; design `large` does not fit."""
    return Area({"top": NOTHING | {"lut4": 10_000 if design.name == "large" else 10}}, NOTHING)


def waiting_for(event: Event) -> Callable[..., Placement]:
    """In place of nextpnr."""

    def measure(design: Design, device: Device, seed: int) -> Placement:
        assert event.wait(60)
        return Placement(seed, 50.0 + seed, True, [], {})

    return measure


def test_results_come_when_they_are_complete_and_progress_says_which_row(monkeypatch):
    """Kept rows do not come."""
    placed = Event()
    monkeypatch.setattr(deeplock.fpga.flow.jobs, "measure_area", area_in_luts)
    monkeypatch.setattr(deeplock.fpga.flow.jobs, "measure_clock", waiting_for(placed))
    small, large, there = (Job(Design(name, {}, TINY.source), UP5K, [2, 1]) for name in ("small", "large", "there"))
    steps: list[tuple[str, float, float]] = []
    with ThreadPoolExecutor(1) as executor:
        results = run_jobs([there, small, large], executor, lambda *step: steps.append(step), [there])
        first = next(results)
        assert (first.job, first.error) == (large, "does not fit up5k: 10000 lut4 of 5280"), "small has no clock yet"
        placed.set()
        (second,) = results
    assert (second.job, [placement.seed for placement in second.placements]) == (small, [2, 1])
    assert {text for text, *_ in steps} == {
        "row 2 of 3 (1 kept): up5k small: synthesis",
        "row 2 of 3 (1 kept): up5k small: 10 LUT4",
        "row 3 of 3 (1 kept): up5k large: does not fit up5k: 10000 lut4 of 5280",
        "row 2 of 3 (1 kept): up5k small: seed 2: 52.0 MHz",
        "row 2 of 3 (1 kept): up5k small: seed 1: 51.0 MHz",
    }
    assert steps[-1][1:] == (6, 6)


def test_a_missing_program_ends_the_sweep_and_is_no_result(monkeypatch):
    monkeypatch.setattr(deeplock.fpga.flow.jobs, "measure_area", area_in_luts)
    monkeypatch.setattr(deeplock.fpga.flow.jobs, "measure_clock", measure_clock)
    monkeypatch.setenv("YOSYS", "/nowhere/yosys")
    with ThreadPoolExecutor(1) as executor, pytest.raises(DeeplockError, match="^YOSYS names /nowhere/yosys"):
        list(run_jobs([job_of()], executor, quiet))
