"""Result files of which only some rows are measured anew."""

from collections.abc import Sequence
from typing import Any

__all__ = ["beside", "joined", "machines"]

_BETWEEN = " && "
_MACHINES = "; "


def beside(
    there: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]], fields: Sequence[str]
) -> list[dict[str, Any]]:
    """Rows that were there, and in their places the new ones that are alike in these fields; at the end other new ones."""

    def group(row: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(row[field] for field in fields)

    anew, order = {group(row) for row in rows}, list(dict.fromkeys(group(row) for row in (*there, *rows)))
    return sorted((*(row for row in there if group(row) not in anew), *rows), key=lambda row: order.index(group(row)))


def _also(there: str, new: str, between: str) -> str:
    return between.join(dict.fromkeys([*there.split(between), new] if there else [new]))


def machines(there: dict[str, Any], new: str) -> str:
    """Machines of a file with rows that were there, if any, and new ones."""
    return _also(there.get("machine", ""), new, _MACHINES)


def joined(there: dict[str, Any], command: str, machine: str) -> dict[str, str]:
    """Commands and machines of a file with rows that were there and new ones."""
    return {"command": _also(there["command"], command, _BETWEEN), "machine": machines(there, machine)}
