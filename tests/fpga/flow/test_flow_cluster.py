"""Jobs on a Dask cluster: the same results as in processes on this machine."""

import os
import socket
import subprocess
import sys
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from threading import Event

import pytest
from distributed import Client, LocalCluster

from deeplock.fpga.flow.designs import sbox
from deeplock.fpga.flow.families import DEVICES
from deeplock.fpga.flow.jobs import Job, cluster, run_jobs
from deeplock.fpga.flow.synth import measure_area, measure_clock
from deeplock.pymodel.errors import DeeplockError
from tests.cli.pages import commands_of
from tests.cli.test_main import ROOT


def test_a_cluster_gives_the_same_as_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPLOCK_BUILD", str(tmp_path))
    device = DEVICES["up5k"]
    job = Job(sbox("inverse", "composite"), device, [3])
    steps: list[tuple[str, float, float]] = []
    with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as workers:
        with cluster(workers.scheduler_address) as executor:
            (result,) = run_jobs([job], executor, lambda *step: steps.append(step))
    assert result.area == measure_area(job.design, device)
    assert result.placements == [measure_clock(job.design, device, 3)]
    assert steps[-1] == (f"up5k {job.design.name}: seed 3: {result.placements[0].fmax_mhz} MHz", 2, 2)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nowhere"])
def test_a_scheduler_that_does_not_answer_is_named(address, monkeypatch):
    monkeypatch.setattr("deeplock.fpga.flow.jobs._CONNECT_SECONDS", 1)
    with pytest.raises(DeeplockError, match=f"^no Dask scheduler at {address}: "), cluster(address):
        pass


BEGUN, GO_ON = Event(), Event()


def wait_to_go_on() -> None:
    BEGUN.set()
    assert GO_ON.wait(60)


def test_ctrl_c_does_not_wait_for_the_cluster():
    futures: list[Future[None]] = []

    def interrupted(address: str) -> None:
        with cluster(address) as executor:
            futures.extend(executor.submit(wait_to_go_on, pure=False) for _ in range(2))
            assert BEGUN.wait(60)
            raise KeyboardInterrupt

    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as workers:
        with pytest.raises(KeyboardInterrupt):
            interrupted(workers.scheduler_address)
        assert [future.cancelled() for future in futures] == [True, True]
        GO_ON.set()


PORT = "8786"
"""Of the page; the test takes one that is free."""


@pytest.mark.slow
def test_the_two_workers_of_the_page_measure_its_sweep(tmp_path):
    """Its three commands as they stand, each a process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    found = [
        command.words
        for command in commands_of(ROOT / "docs" / "fpga.md")
        if any(PORT in word for word in command.words)
    ]
    scheduler, workers, synth = ([word.replace(PORT, port) for word in words] for words in found)
    environment = os.environ | {
        "DEEPLOCK_BUILD": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    with ExitStack() as stack:
        for words in (scheduler, workers):
            log = stack.enter_context(open(tmp_path / words[1], "w"))
            process = subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=log, stderr=log)
            stack.enter_context(process)
            stack.callback(process.terminate)
        with Client(synth[-1], timeout=30) as client:
            client.wait_for_workers(2, timeout=60)
            program = [sys.executable, "-m", "deeplock", *synth[1:]]
            done = subprocess.run(program, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split()[:4] for line in done.stdout.splitlines()[2:4]] == [
        ["up5k", "sbox", "composite", "forward"],
        ["up5k", "sbox", "composite", "inverse"],
    ]
