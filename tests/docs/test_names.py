"""Scripts that no test runs use names that the package has."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent.parent
PATTERNS = ("benchmarks/**/*.py", "docs/*.py", "tests/helpers/*.py", "tests/notebook_checks/*.py")
SCRIPTS = [
    file
    for pattern in PATTERNS
    for file in sorted(ROOT.glob(pattern))
    if "resleak" in file.read_text(encoding="utf-8")
]


def trees(text: str) -> Iterator[ast.AST]:
    """Yield a script's tree, and those of the code in its strings."""
    whole = ast.parse(text)
    yield whole
    for node in ast.walk(whole):
        match node:
            case ast.JoinedStr(values=parts):
                inner = "".join(str(getattr(part, "value", "")) for part in parts if is_text(part))
            case ast.Constant(value=str(inner)):
                pass
            case _:
                continue
        if "import resleak" in inner or "from resleak" in inner:
            try:
                yield ast.parse(inner)
            except SyntaxError:  # prose
                continue


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant)


def unknown(tree: ast.AST) -> list[str]:
    """Return the names of the package that a tree uses and that do not exist."""
    missing: list[str] = []
    modules: dict[str, ModuleType] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for one in names:
                    if one.name.split(".")[0] != "resleak":
                        continue
                    if not is_module(one.name):
                        missing.append(one.name)
                    elif one.asname:
                        modules[one.asname] = import_module(one.name)
                    else:
                        modules["resleak"] = import_module("resleak")
            case ast.ImportFrom(module=str(source), names=names):
                if source.split(".")[0] != "resleak":
                    continue
                for one in names:
                    if is_module(f"{source}.{one.name}"):
                        modules[one.asname or one.name] = import_module(f"{source}.{one.name}")
                    elif not (is_module(source) and hasattr(import_module(source), one.name)):
                        missing.append(f"{source}.{one.name}")
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attribute, ctx=ast.Load()):
                module = modules.get(name)
                if module and not hasattr(module, attribute):
                    missing.append(f"{module.__name__}.{attribute}")
    return missing


def is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # of a module that is no package, or that does not exist
        return False


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_script_uses_names_that_exist(script: Path) -> None:
    """What a script, or code that it starts, imports from the package is there."""
    text = script.read_text(encoding="utf-8")
    assert [name for tree in trees(text) for name in unknown(tree)] == []


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("from resleak.analysis import gone", "resleak.analysis.gone"),
        ("from resleak.gone import load", "resleak.gone.load"),
        ("import resleak.gone", "resleak.gone"),
        ("import resleak\nresleak.gone()", "resleak.gone"),
        (
            "code = 'from resleak.analysis import growth\\ngrowth.gone()'",
            "resleak.analysis.growth.gone",
        ),
    ],
)
def test_a_name_that_is_gone_is_found(code: str, name: str) -> None:
    """The check knows imports and attributes, also in code within a string."""
    assert [name for tree in trees(code) for name in unknown(tree)] == [name]
