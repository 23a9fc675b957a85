"""docs/tutorial.md, replayed: each block of `sh` or `python` prints the block of `text` that follows it, or nothing.

What is compared are stdout and, of stderr, warnings and errors; progress is not. A command fails if, and only if, the page
shows its error. A line `...` stands for any lines. Before that, FREE replaces what differs from run to run.
"""

import io
import re
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from difflib import unified_diff

import pytest

from deeplock.cli.main import main
from tests.cli.pages import Block, Command, blocks_of, commands_in
from tests.cli.test_main import ROOT

PAGE = ROOT / "docs" / "tutorial.md"

SHOWN_OF_STDERR = ("deeplock: ", "warning: ")


def guesses(found: re.Match) -> str:
    """Of random keys on a file that was locked with a random key: of four classes about a quarter."""
    return f"{found[1]} {'guesses' if 10 <= float(found[2]) <= 40 else found[2]}"


FREE = (
    (r"^(seconds +)[\d.]+$", r"\1#"),
    (r"\d\.\de[+-]\d\d(?= of the largest output)", "#"),  # rounding, in float32
    (r"(?<=bits a byte )\(locked: 0\.0\d\)$", "#"),
    (r"^(mean of \d+ random keys) +([\d.]+) % \(.*\)$", guesses),
)
"""Patterns, and what replaces them on both sides."""


@dataclass(frozen=True)
class Step:
    """A block that runs, and what it prints."""

    block: Block
    shown: str

    @property
    def commands(self) -> list[Command]:
        return commands_in(self.block, PAGE.name) if self.block.language == "sh" else []


def steps_of(blocks: list[Block]) -> list[Step]:
    assert blocks[0].language != "text"
    found = []
    for block, following in zip(blocks, [*blocks[1:], Block("", "")], strict=True):
        if block.language != "text":
            found.append(Step(block, following.text if following.language == "text" else ""))
    return found


STEPS = steps_of(blocks_of(PAGE))


def free(text: str) -> str:
    for pattern, new in FREE:
        text = re.sub(pattern, new, text, flags=re.MULTILINE)
    return text


def check_printed(shown: str, printed: str) -> None:
    lines = ["(?:.*\n)*?" if line == "..." else re.escape(line) + "\n" for line in free(shown).splitlines()]
    if not re.fullmatch("".join(lines), free(printed)):
        page, found = shown.splitlines(), printed.splitlines()
        pytest.fail("\n".join(unified_diff(page, found, "the page", "printed", lineterm="")), pytrace=False)


def run_deeplock(words: list[str]) -> str:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(words)
    told = "".join(line for line in err.getvalue().splitlines(keepends=True) if line.startswith(SHOWN_OF_STDERR))
    assert code == ("deeplock: " in told), err.getvalue()
    return out.getvalue() + told


def replay(step: Step) -> None:
    if step.block.language == "python":
        with redirect_stdout(io.StringIO()) as out:
            exec(compile(step.block.text, str(PAGE), "exec"), {"__name__": "__main__"})
        check_printed(step.shown, out.getvalue())
    elif step.commands[0].runs:
        assert all(command.words[0] == "deeplock" for command in step.commands)
        check_printed(step.shown, "".join(run_deeplock(command.words[1:]) for command in step.commands))


def test_the_tutorial_prints_what_it_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for step in STEPS:
        replay(step)


@pytest.mark.slow
def test_the_demo_prints_what_the_tutorial_shows(tmp_path, monkeypatch):
    """`make demo`, but for what it installs."""
    assert re.search(r"^demo: \.venv\n\t@\$\(BIN\)/deeplock demo$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    (step,) = (step for step in STEPS if any(command.words == ["make", "demo"] for command in step.commands))
    monkeypatch.chdir(tmp_path)
    check_printed(step.shown, run_deeplock(["demo"]))


@pytest.mark.parametrize(
    "shown, printed, right",
    [
        ("a\nb\n", "a\nb\n", True),
        ("a\nb\n", "a\nc\n", False),
        ("a\n...\nd\n", "a\nb\nc\nd\n", True),
        ("a\n...\n", "a\n", True),
        ("a\n...\nd\n", "a\nb\n", False),
        ("a.\n", "ab\n", False),
        ("", "a\n", False),
        ("seconds    0.1\n", "seconds    23.4\n", True),
        (
            "mean of 9 random keys  24.00 % (9.00 % .. 30.00 %)\n",
            "mean of 9 random keys  31.00 % (0.00 % .. 50.00 %)\n",
            True,
        ),
        (
            "mean of 9 random keys  24.00 % (9.00 % .. 30.00 %)\n",
            "mean of 9 random keys  61.00 % (0.00 % .. 90.00 %)\n",
            False,
        ),
    ],
)
def test_a_page_that_shows_something_else_is_found(shown, printed, right):
    if right:
        check_printed(shown, printed)
    else:
        with pytest.raises(pytest.fail.Exception, match=r"^--- the page\n\+\+\+ printed\n"):
            check_printed(shown, printed)
