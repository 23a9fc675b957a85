"""The source files of this package that a module depends on through its imports."""

import ast
from collections.abc import Iterator
from pathlib import Path

import deeplock

__all__ = ["ROOT", "source_files"]

ROOT = Path(deeplock.__file__).parents[1]
"""The folder that contains the package; imports are resolved from there."""


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def source_files(module: Path, root: Path = ROOT) -> list[Path]:
    """`module` and the files under `root` that it imports, directly or not, sorted.

    Imports inside functions count. A file that calls `import_module` counts as importing all of its folder.
    """
    found, todo = set(), [module]
    while todo:
        path = todo.pop()
        if path in found:
            continue
        found.add(path)
        if "import_module(" in path.read_text():  # it finds the modules of its folder by name
            todo += path.parent.glob("*.py")
        for name in _imports(path):
            base = root.joinpath(*name.split("."))
            todo += [file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()]
    return sorted(found)
