"""A sweep that is killed while nextpnr runs: nothing runs on, and what was measured is continued from."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deeplock.fpga.flow.toolchain import program_version
from tests.cli.test_main import ROOT

SWEEP = """
[[component]]
component = "sbox"
device = "up5k"
direction = "inverse"
sbox = "composite"
seeds = 0

[[component]]
component = "sbox"
device = "up5k"
direction = "forward"
sbox = "composite"
seeds = 2
"""

NEXTPNR = """#!/bin/sh
test "$1" = --version && echo "{version}" && exit
touch {started}/$$
sleep 600
"""
"""A nextpnr of the installed version that does not end, and that has begun a program of its own."""

COMMAND = """
import signal, sys
from deeplock.cli.main import main
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background begins with it ignored
    sys.exit(main(sys.argv[1:]))
"""

SECONDS = 60


def processes_of(build: Path) -> list[int]:
    """All processes that have this cache, whoever their parents are."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"DEEPLOCK_BUILD={build}".encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:  # another user's, or it has ended
            pass
    return found


def wait_until(holds: Callable[[], bool], process: subprocess.Popen) -> None:
    end = time.monotonic() + SECONDS
    while not holds():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.05)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    """A cache of their own for these tests, so that Yosys runs once."""
    return tmp_path_factory.mktemp("build")


@pytest.fixture
def build(cache) -> Iterator[Path]:
    yield cache
    for pid in processes_of(cache):  # of a test that failed
        os.kill(pid, signal.SIGKILL)


def begin(folder: Path, build: Path, **environment: str) -> subprocess.Popen:
    (folder / "sweep.toml").write_text(SWEEP)
    (folder / "command.py").write_text(COMMAND)
    arguments = ["synth", "--sweep", folder / "sweep.toml", "--json", folder / "area.json", "--jobs", "2"]
    return subprocess.Popen(
        [sys.executable, folder / "command.py", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "DEEPLOCK_BUILD": str(build)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    "number, to_worker, code",
    [
        pytest.param(signal.SIGINT, False, 130, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, False, 143, marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, False, -9, marks=pytest.mark.slow),
        (signal.SIGKILL, True, 1),
    ],
    ids=["interrupted", "terminated", "killed", "worker killed"],
)
def test_a_killed_sweep_leaves_no_process_and_continues_from_its_file(number, to_worker, code, build, tmp_path):
    nextpnr, started = tmp_path / "nextpnr", tmp_path / "started"
    nextpnr.write_text(NEXTPNR.format(version=program_version("nextpnr-ice40"), started=started))
    nextpnr.chmod(0o700)
    started.mkdir()
    file = tmp_path / "area.json"

    with begin(tmp_path, build, NEXTPNR_ICE40=str(nextpnr)) as process:
        wait_until(lambda: len(list(started.iterdir())) == 2, process)
        (programs, running) = [int(path.name) for path in started.iterdir()], processes_of(build)
        assert {process.pid, *programs} < set(running), "and what they began"
        before = sorted(tmp_path.iterdir())
        os.kill(parent_of(programs[0]) if to_worker else process.pid, number)
        assert process.wait(SECONDS) == code
    deadline = time.monotonic() + SECONDS
    while (left := processes_of(build)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []
    assert sorted(tmp_path.iterdir()) == before, "no half of a file"
    figures = json.loads(file.read_text())
    (row,) = figures["components"]
    assert (row["direction"], row["seeds"], row["ff"], row["error"]) == ("inverse", [], 0, "")

    row["lut4"] = 12345  # as no measurement would find it
    file.write_text(json.dumps(figures))
    if number == signal.SIGTERM:  # once is enough
        with begin(tmp_path, tmp_path / "empty") as process:  # not from a cache
            out, err = process.communicate(timeout=SECONDS)
            assert process.returncode == 0, err
        kept, measured = json.loads(file.read_text())["components"]
        assert kept == row and "12345" in out
        assert (measured["direction"], measured["seeds"], len(measured["fmax_mhz"])) == ("forward", [1, 2], 2)
