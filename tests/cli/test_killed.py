"""A command that is ended in the middle: what it began ends too, and its temporary folders are gone at the next start."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deeplock.cli.main import main
from deeplock.pymodel.scratch import remove_abandoned, scratch
from tests.cli.test_main import ROOT

COMMAND = """
import signal, subprocess, sys, types
from concurrent.futures import ThreadPoolExecutor
from deeplock.cli import main as command
from deeplock.pymodel.scratch import scratch

PROGRAM = ["sh", "-c", f"touch {sys.argv[1]}/$$ $TMPDIR/cc; sleep 600; true"]  # begins a program of its own

def run(args):
    with scratch() as folder, ThreadPoolExecutor(1) as pool:  # waits for all that it was given
        (folder / "key").touch()
        list(pool.map(lambda _: subprocess.run(PROGRAM), range(3)))

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background begins with it ignored
command.import_module = lambda name: types.SimpleNamespace(__doc__="test", add_arguments=lambda parser: None, run=run)
sys.exit(command.main(["info"]))
"""
SECONDS = 20


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.02)


def running(started: Path) -> list[str]:
    """Command lines of the programs that were started, and of what they began: their parents may have gone."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if f"STARTED={started}".encode() in (path / "environ").read_bytes().split(b"\0"):
                found.append((path / "cmdline").read_text().replace("\0", " "))
        except OSError:  # another user's, or it has ended
            pass
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="descendants are found in /proc")
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_nothing_runs_on_and_no_folder_stays(number, code, tmp_path, monkeypatch):
    started = tmp_path / "started"
    started.mkdir()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path), "STARTED": str(started)}
    with subprocess.Popen([sys.executable, "-c", COMMAND, started], cwd=ROOT, env=environment) as process:
        wait_until(lambda: any(line.strip() == "sleep 600" for line in running(started)))
        process.send_signal(number)
        assert process.wait(SECONDS) == code
    wait_until(lambda: not running(started))
    left = [path.name for path in tmp_path.iterdir() if path != started]
    assert bool(left) == (number == signal.SIGKILL)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert main(["info", "no-such-file"]) == 1
    assert list(tmp_path.iterdir()) == [started]


def test_folders_of_others_stay(tmp_path):
    (tmp_path / ".deeplock-mine").mkdir()
    with scratch(tmp_path) as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        remove_abandoned(tmp_path)
        with scratch(tmp_path):
            assert folder.exists()
    (tmp_path / ".deeplock-link").symlink_to(tmp_path / "there")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / ".owner").touch()
    remove_abandoned(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".deeplock-link", ".deeplock-mine", "there"]
    assert os.listdir(tmp_path / "there") == [".owner"]
