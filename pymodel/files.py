"""Writing files so that a reader sees the old content or the new, never half of it."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from deeplock.pymodel.errors import DeeplockError

__all__ = ["make_folder_of", "replace_file", "write_json"]


def replace_file(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a whole file; what it held before stays until the new content is complete."""
    path = Path(path)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            temporary = Path(folder, path.name)
            temporary.write_bytes(content)
            os.replace(temporary, path)
    except OSError as error:
        raise DeeplockError(f"{path}: {error.strerror}") from None


def make_folder_of(path: Path) -> Path:
    """Make the folder that `path` lies in, if there is none; gives `path`. DeeplockError where nothing can be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise DeeplockError(f"{path}: {error.strerror}") from None
    return path


def write_json(path: Path | None, figures: dict[str, Any]) -> None:
    """Write figures for programs to read, as `replace_file` does. No path: do nothing."""
    if path is not None:
        replace_file(make_folder_of(path), (json.dumps(figures, indent=2) + "\n").encode())
