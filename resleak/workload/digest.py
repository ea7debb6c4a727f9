"""Digest of a workload's code: equal for files that differ only in words and in our own imports."""

from __future__ import annotations

import ast
import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from resleak.workload import catalog

#: Arguments that say something of a claim, and change nothing that runs.
_TEXTS = frozenset({"claim", "condition", "language", "claimed_by", "seed", "source"})
_HELPERS = "resleak.scenarios."
_PARSING = threading.Lock()


def parsed(source: str | bytes) -> ast.Module:
    """Return the syntax tree of a source, whatever other threads parse."""
    # Up to Python 3.12, two threads that make trees at the same time can end each other's with
    # "AST constructor recursion depth mismatch". The second time it is alone, but for a kernel's.
    with _PARSING:
        try:
            return ast.parse(source)
        except SystemError:
            return ast.parse(source)


def digest(path: Path, root: Path = catalog.ROOT) -> str:
    """Return 12 hex digits for a file and the helpers below `root` that it imports."""
    # Comments, docstrings, the texts of claims and limits, imports of this package, and the version
    # of Python do not count.
    shapes: dict[Path, Any] = {}
    todo = [path]
    while todo:
        file = todo.pop()
        if file not in shapes:
            if not file.is_file():  # a pipe would be waited for
                raise FileNotFoundError(f"there is no file {file}")
            tree = parsed(file.read_bytes())
            shapes[file] = _shape(tree)
            todo += _helpers(tree, root)
    own = shapes.pop(path)
    text = repr([own, *(shapes[file] for file in sorted(shapes))])
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:12]


def _helpers(tree: ast.Module, root: Path) -> Iterator[Path]:
    """Yield the files of helpers that are imported, or named in a string as Django's apps are."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}", *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = [node.value]
        for name in names:
            if name.startswith(_HELPERS):
                place = root.joinpath(*name.removeprefix(_HELPERS).split("."))
                yield from place.rglob("*.py")
                yield from filter(Path.is_file, [place.with_suffix(".py")])


def _shape(node: Any) -> Any:
    """Return a syntax tree as nested lists, without positions, empty fields and ignored lines."""
    if isinstance(node, list):
        return [_shape(one) for one in node if not _is_ignored(one)]
    if not isinstance(node, ast.AST):
        return node
    shape: list[Any] = [type(node).__name__]
    for name, value in ast.iter_fields(node):
        if name == "keywords":  # whose code it is: a variant without any has no arguments
            value = [one for one in value if one.arg != "origin"]
        if value not in (None, []):
            shape.append((name, _shape(value)))
    return shape


def _is_ignored(node: Any) -> bool:
    """Return whether a statement or an argument is only text, or imports this package."""
    match node:
        case ast.Expr(ast.Constant()):
            return True
        case ast.keyword(name, ast.Constant()):
            return name in _TEXTS
        case ast.keyword("fix_params"):
            return True
        case ast.ImportFrom(module=str(name)) | ast.Import(names=[ast.alias(name), *_]):
            return name.split(".")[0] == "resleak"
    return False
