"""The commands of README.md and docs/*.md: all are parsed; each is run by a test, or a comment in its line says why not.

Commands stand in blocks of ```sh, nowhere else. Their comments begin with what they need, or with the time that they take.
"""

import argparse
import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from deeplock.cli.main import _parser, main
from deeplock.report.results import TAKE
from tests.cli.pages import PAGES, commands_of
from tests.cli.test_main import ROOT

RUN_ELSEWHERE = {
    "licensing.md": "cli/test_licence.py",
    "tutorial.md": "cli/test_tutorial.py",
    "bring-your-own-network.md": "pymodel/frontends/test_bring_your_own.py",
    "into-your-design.md": "cli/test_verilog.py",
}
"""Pages whose own tests run them as they stand."""

SLOW = "takes a minute"
"""What the slow test runs too."""

WALK = ("README.md", "commands.md", "fpga.md", "security.md", "measured.md", "registers.md", "link.md")
"""The pages that this test runs, one after the other in one folder: later ones use the keys and files of earlier ones."""

RENDER = ["-m", "deeplock.report.results"]
"""Writes the pages; tests/report/test_results.py compares what it writes."""

PROGRAMS = ("dask", "deeplock", "make", "python", "pip", "source", "pytest", "git", "iverilog", "verilator", "fusesoc")
FOREIGN = ("cd", "dask", "export", "iverilog", "vvp", "verilator", "obj_dir/Vdeeplock_tb", "fusesoc")
"""Programs of others, which a test of the page runs."""

COMMANDS = [command for page in PAGES for command in commands_of(page)]


def options_of(parser: argparse.ArgumentParser, words: list[str]) -> set[str]:
    """The options of the subcommand that the first words name."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction) and words and words[0] in action.choices:
            return options_of(action.choices[words[0]], words[1:])
    return set(parser._option_string_actions)


def check_by_parser(words: list[str]) -> None:
    """That a program of ours takes these words, which need not run for it."""
    program, *rest = words
    if program == "deeplock":
        _parser().parse_args(rest)
    elif program == "make":
        assert all(re.search(rf"^{re.escape(word)}:", (ROOT / "Makefile").read_text(), re.MULTILINE) for word in rest)
    elif program in FOREIGN:
        pass
    elif rest[0].endswith(".py"):
        assert program == "python" and (ROOT / rest[0].removeprefix("../../")).is_file()
    elif rest[0] == "-m":
        assert program == "python" and importlib.util.find_spec(rest[1])
        assert rest[:2] != RENDER or {Path(name).name for name in rest[2:]} <= set(TAKE)
    else:
        assert (program, rest[0]) == ("python", "-c")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_is_one_that_the_programs_take(page, capsys):
    for command in commands_of(page):
        try:
            check_by_parser(command.words)
        except SystemExit:
            pytest.fail(f"{shlex.join(command.words)}: {capsys.readouterr().err}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_stand_in_blocks_that_are_tested(page):
    outside = re.sub(r"^```sh\n.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert re.findall(rf"^(?: {{4}}|\t)(?:\$ )?(?:{'|'.join(PROGRAMS)}) .*$", outside, re.MULTILINE) == []
    fences = set(re.findall(r"^```(\w*)$", outside, re.MULTILINE)) - {""}
    assert fences <= {"python", "text"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_that_a_page_names_in_words_exist(page):
    for command in re.findall(r"`(deeplock [^`]*)`", page.read_text()):
        _, *words = command.split()
        named = set(re.findall(r"(?<!\S)--[\w-]+", command))
        assert words[0].isupper() or named <= options_of(_parser(), words), command


def test_every_command_is_run_or_says_why_not():
    assert len(COMMANDS) >= 75
    others = [command for command in COMMANDS if command.runs and command.page not in {*WALK, *RUN_ELSEWHERE}]
    assert all(command.words[1:3] == RENDER for command in others), others
    assert all((ROOT / "tests" / path).exists() for path in RUN_ELSEWHERE.values())


def test_the_readme_is_short_and_begins_with_a_command():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) < 150
    assert any(line.startswith("make demo") for line in lines[:20])
    assert any("docs/bring-your-own-network.md" in line for line in lines[:20])


def walk(folder: Path, monkeypatch, runs) -> None:
    """Run the commands of the pages in a new folder, as a user in a clone would."""
    for name in ("docs", "pymodel", "fpga"):
        (folder / name).symlink_to(ROOT / name)
    monkeypatch.chdir(folder)
    for command in (each for page in WALK for each in COMMANDS if each.page == page):
        program, *words = command.words
        if not (command.runs and runs(command)):
            continue
        if program == "deeplock":
            if words[0] == "keygen":
                Path(words[-1]).unlink(missing_ok=True)  # pages that make the same key
            assert main(words) == 0, shlex.join(command.words)
        elif words[0] == "-c":
            exec(words[1])


def test_the_pages_commands_work(tmp_path, monkeypatch):
    walk(tmp_path, monkeypatch, lambda command: not command.comment.startswith(SLOW))


@pytest.mark.slow
def test_the_pages_longer_commands_work(tmp_path, monkeypatch):
    walk(tmp_path, monkeypatch, lambda command: True)
