"""Tables of figures, and figures as text."""

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Table", "markdown", "percent", "readable"]


class Table(NamedTuple):
    """Column heads, and the rows."""

    head: Sequence[str]
    rows: Sequence[Sequence[object]]


def markdown(table: Table, words: int) -> str:
    """The table in Markdown: the first `words` columns are text, aligned left; the others are numbers, aligned right."""
    lines = [table.head, ["---"] * words + ["--:"] * (len(table.head) - words), *table.rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


def percent(share: float) -> str:
    """A share (0..1) as text."""
    return f"{100 * share:.2f} %"


def readable(value: object) -> object:
    """A figure for people: shapes as 8x8x16, dicts and other lists as words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name} {item}" for name, item in value.items()) or "-"
    if isinstance(value, list | tuple):
        return ("x" if all(isinstance(item, int) for item in value) else " ").join(map(str, value)) or "-"
    return value if value not in ("", None) else "-"
