"""What stands in the blocks of README.md and docs/*.md: commands, Python, and what they print."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from tests.cli.test_main import ROOT

__all__ = ["PAGES", "Block", "Command", "blocks_of", "commands_in", "commands_of"]

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_NOT_RUN = ("needs ", "takes minutes", "takes an hour", "takes hours")


@dataclass(frozen=True)
class Block:
    """What stands between two fences. language: `sh`, `python`, `text` or nothing."""

    language: str
    text: str


@dataclass(frozen=True)
class Command:
    """A line of a block of `sh`. comment: what follows `# `, beginning with what it needs, or with the time that it takes."""

    page: str
    words: list[str]
    comment: str

    @property
    def runs(self) -> bool:
        return not self.comment.startswith(_NOT_RUN)


def blocks_of(page: Path) -> list[Block]:
    return [Block(*found) for found in re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)]


def commands_in(block: Block, page: str) -> list[Command]:
    """Those of a block of `sh`; a backslash at the end of a line continues it."""
    lines = [line for line in block.text.replace("\\\n", " ").splitlines() if line.strip()]
    return [Command(page, shlex.split(line, comments=True), line.partition("# ")[2]) for line in lines]


def commands_of(page: Path) -> list[Command]:
    return [each for block in blocks_of(page) if block.language == "sh" for each in commands_in(block, page.name)]
