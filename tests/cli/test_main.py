"""The command as a whole: help, exit codes, one-line errors. In processes of its own where those matter."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from deeplock.cli.main import COMMANDS, main

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("amaranth", "cocotb", "matplotlib", "numpy", "safetensors", "sklearn", "torch", "torchao", "rich")


def run(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "deeplock", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_help_imports_nothing_slow():
    code = (
        "import sys, deeplock.cli.main\n"
        "try: deeplock.cli.main.main(['--help'])\n"
        "except SystemExit: pass\n"
        f"print('heavy:', [name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("heavy: []\n")


def test_every_file_of_the_folder_is_a_command():
    assert {path.stem for path in (ROOT / "cli" / "commands").glob("*.py")} == {"__init__", *COMMANDS}


def test_nothing_below_imports_the_command():
    rooms = [
        path for room in ("bench", "report", "fpga", "sim", "hw", "pymodel") for path in (ROOT / room).rglob("*.py")
    ]
    assert len(rooms) > 100
    assert [path for path in rooms if "deeplock.cli" in path.read_text()] == []


def test_the_program_is_called_deeplock():
    """Though this one is `python -m deeplock`."""
    assert run("--version").stdout == f"deeplock {version('deeplock')}\n"
    assert run("--help").stdout.startswith("usage: deeplock ")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(command, capsys):
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert f"\n  deeplock {command}" in text
    assert ("--json" in text) == ("\nJSON: " in text)


def test_a_fault_is_exit_code_1_and_one_line():
    done = run("info", "no-such-file")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "deeplock: no-such-file: No such file or directory\n")


@pytest.mark.parametrize("arguments", [[], ["fly"], ["simulate"], ["keygen", "--bits", "100"]])
def test_wrong_usage_is_exit_code_2(arguments):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("deeplock") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["info", "evaluate", "simulate"])
def test_a_foreign_file_is_refused(command, tmp_path, refused):
    foreign = tmp_path / "foreign"
    foreign.write_text("#!/bin/sh\necho hello\n")
    assert str(foreign) in refused(command, foreign)
    assert str(tmp_path) in refused(command, tmp_path)


def test_json_that_cannot_be_written_is_a_fault(files, tmp_path, deeplock):
    (tmp_path / "file").touch()
    outcome = deeplock("info", files.network, "--json", tmp_path / "file" / "x.json")
    assert outcome.code == 1
    assert outcome.err == f"deeplock: {tmp_path}/file/x.json: Not a directory\n" or "File exists" in outcome.err
