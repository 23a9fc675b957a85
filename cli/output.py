"""What subcommands tell: tables and figures on stdout, JSON files, progress on stderr."""

import json
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from deeplock.pymodel.errors import DeeplockError

__all__ = ["Progress", "make_folder_of", "markdown_table", "percent", "print_table", "readable", "write_json"]

_SECONDS = 1.0


def percent(share: float) -> str:
    """A share (0..1) as text."""
    return f"{100 * share:.2f} %"


def readable(value: object) -> object:
    """A figure for people: shapes as 8x8x16, dicts and lists as words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name} {item}" for name, item in value.items()) or "-"
    if isinstance(value, list):
        return ("x" if all(isinstance(item, int) for item in value) else " ").join(map(str, value)) or "-"
    return value if value not in ("", None) else "-"


def print_table(rows: Sequence[Sequence[object]], head: Sequence[str] | None = None) -> None:
    """Print rows in aligned columns: text to the left, numbers to the right."""
    cells = [[str(cell) for cell in row] for row in ([head] if head else []) + list(rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for index, row in enumerate(cells):
        source = rows[max(index - bool(head), 0)] if rows else row
        print(
            "  ".join(
                text.rjust(width) if isinstance(value, int | float) else text.ljust(width)
                for text, width, value in zip(row, widths, source, strict=True)
            ).rstrip()
        )
        if head and index == 0:
            print("  ".join("-" * width for width in widths))


def markdown_table(head: Iterable[object], rows: Iterable[Iterable[object]], words: int) -> str:
    """A Markdown table whose first `words` columns are words, to the left, and the others numbers, to the right."""
    head = list(head)
    lines = [head, ["---"] * words + ["--:"] * (len(head) - words), *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


def make_folder_of(path: Path) -> Path:
    """Make the folder that `path` lies in, if there is none; gives `path`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DeeplockError(f"{path}: {error.strerror}") from None
    return path


def write_json(path: Path | None, figures: dict[str, Any]) -> None:
    """Write figures for programs to read; the file is whole or the old one. No path: do nothing."""
    from deeplock.pymodel.files import replace_file

    if path is not None:
        replace_file(make_folder_of(path), (json.dumps(figures, indent=2) + "\n").encode())


class Progress:
    """Says on stderr what is going on. On a terminal it is one line that changes; else lines, at most one a second.

    As a context manager it leaves the terminal clean.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._last = -_SECONDS

    def __call__(self, text: str) -> None:
        """Say what goes on now, unless that was said a moment ago."""
        if self._terminal:
            print(f"\r\x1b[K{text}", end="", file=self._stream, flush=True)
        elif time.monotonic() - self._last >= _SECONDS:
            self._last = time.monotonic()
            print(text, file=self._stream, flush=True)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._terminal:
            print("\r\x1b[K", end="", file=self._stream, flush=True)
