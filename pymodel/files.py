"""Writing files so that a reader sees the old content or the new, never half of it."""

import os
import tempfile
from pathlib import Path

from deeplock.pymodel.errors import DeeplockError

__all__ = ["replace_file"]


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
