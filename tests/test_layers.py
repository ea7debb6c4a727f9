"""The shape of the package: which folder may import which, and what an import costs."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import time
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import resleak

ROOT = Path(resleak.__file__).parent
#: Folders and top-level modules from the bottom up: each imports from those before its own tuple.
LAYERS = (
    ("errors", "formatting"),
    ("workload",),
    ("scenarios", "captures"),
    ("harness", "analysis"),
    ("experiments", "figures"),
    ("report",),
    ("ui", "__main__", "__init__"),
)
TOP = len(LAYERS) - 1
#: Who may import a heavy package: a folder or a module.
OWNERS = {
    "anywidget": "figures",
    "dask": "experiments.sweep.engines",
    "detect_secrets": "report.redact",
    "distributed": "experiments.sweep.engines",
    "duckdb": "captures.store.index",
    "fsspec": "captures.store.objects",
    "IPython": "report.collect ui.magics",
    "ipywidgets": "ui.panel",
    "memray": "harness.child captures.decode",
    "nbclient": "report.execute",
    "nbconvert": "report.html_page",
    "nh3": "report.sanitize",
    "plotly": "figures",
    "prometheus_client": "captures.export",
    "psutil": "harness",
    "pyarrow": "captures",
    "rich": "ui.cli",
    "typer": "ui.cli",
}
HEAVY = {*OWNERS, "pandas", "numpy", "scipy", "asyncio"}
#: What a measured process needs besides the standard library; pytest, where a test is measured.
IN_A_MEASURED_PROCESS = {"memray", "psutil", "pytest"}
#: Modules that the measured process may import (docs/decisions/0001-folders-and-layers.md).
OF_A_MEASURED_PROCESS = ("harness.child", "workload", "captures.raw", "errors", "formatting")
_DOTTED = re.compile(r"(?:^|[\s`\"'])resleak((?:\.\w+)+)(?=:\w+$|$| import )")


def module_of(path: Path) -> str:
    """Return a module's name below the package, such as ``analysis.growth`` or ``__init__``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and parts[:-1] else parts)


MODULES = {module_of(path): path for path in sorted(ROOT.rglob("*.py"))}


@cache
def imports(module: str) -> tuple[set[str], set[str]]:
    """Return the modules of the package and the other packages that a module imports.

    Dotted names in strings count: ``-m resleak.…``, jobs of workers, code for a kernel.
    """
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and isinstance(node.body[0], ast.Expr)
    }
    ours: set[str] = set()
    others: set[str] = set()
    for node in ast.walk(tree):
        for name in names_in(node, docstrings):
            if name.split(".")[0] != "resleak":
                others.add(name.split(".")[0])
            elif name != "resleak":
                ours.add(known(name.removeprefix("resleak.")))
    return ours - {module, ""}, others - typing_only(tree)


def names_in(node: ast.AST, docstrings: set[int]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute here"
        return [f"{node.module}.{alias.name}" for alias in node.names]
    text = getattr(node, "value", None) if isinstance(node, ast.Constant) else None
    if isinstance(text, str) and id(node) not in docstrings:
        return [f"resleak{found}" for found in _DOTTED.findall(text)]
    return []


def known(name: str) -> str:
    """Return the module that a dotted name lies in; lazy names of the package have theirs."""
    parts = [*resleak._HOMES.get(name, name).split(".")]
    while parts and ".".join(parts) not in MODULES:
        parts.pop()
    return ".".join(parts)


def typing_only(tree: ast.Module) -> set[str]:
    blocks = [
        n for n in tree.body if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test)
    ]
    names = {name.split(".")[0] for b in blocks for n in ast.walk(b) for name in names_in(n, set())}
    rest = [n for n in ast.walk(tree) if not any(n in ast.walk(block) for block in blocks)]
    return names - {name.split(".")[0] for n in rest for name in names_in(n, set())}


def layer(module: str) -> int:
    places = [i for i, names in enumerate(LAYERS) if module.split(".")[0] in names]
    assert len(places) == 1, f"{module} lies in no folder of LAYERS"
    return places[0]


def within(module: str, names: str | tuple[str, ...]) -> bool:
    names = tuple(names.split()) if isinstance(names, str) else names
    return any(module == name or module.startswith(f"{name}.") for name in names)


def test_imports_go_one_way():
    """A module imports from its own folder and from lower layers only."""
    wrong = [
        f"{module} → {used}"
        for module in MODULES
        for used in imports(module)[0]
        if layer(used) > layer(module)
        or (0 < layer(used) == layer(module) < TOP and used.split(".")[0] != module.split(".")[0])
    ]
    assert not wrong


def test_there_is_no_import_cycle():
    """No module imports itself by way of others, whether at the top or within a function."""
    graph = {
        module: {
            used
            for used in imports(module)[0]
            # a package's __init__ that only names its modules is no partner of theirs
            if not module.startswith(f"{used}.")
        }
        for module in MODULES
        if module != "__init__"
    }
    cycle: list[str] = []
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        cycle = error.args[1]
    assert not cycle


@pytest.mark.parametrize("package", sorted(OWNERS))
def test_each_heavy_package_has_its_owner(package):
    """A heavy package is imported by its owners only."""
    users = {m for m in MODULES if package in imports(m)[1] and not within(m, "scenarios")}
    assert not {user for user in users if not within(user, OWNERS[package])}


def test_a_measured_process_needs_little():
    """All that runs in the measured process needs the standard library, psutil and memray."""
    inside = [module for module in MODULES if within(module, "harness.child")]
    reached: set[str] = set()
    todo = set(inside)
    while todo:
        reached |= todo
        todo = {used for module in todo for used in imports(module)[0]} - reached
    assert not {m for m in reached if not within(m, (*OF_A_MEASURED_PROCESS, "scenarios"))}
    needed = {n for m in reached if not within(m, "scenarios") for n in imports(m)[1]}
    assert needed - set(sys.stdlib_module_names) <= IN_A_MEASURED_PROCESS


def test_modules_and_functions_stay_small():
    """No module has more than 400 lines, and no function more than 60."""
    large = [f"{m}: {n}" for m, p in MODULES.items() if (n := p.read_text().count("\n")) > 400]
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = (node.end_lineno or 0) - node.lineno + 1
                large += [f"{module}.{node.name}: {lines}"] if lines > 60 else []
    assert not large


def run(code: str, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *flags, "-c", code]
    return subprocess.run(command, cwd=ROOT.parent, capture_output=True, text=True, check=True)


def loaded_after(code: str) -> set[str]:
    return set(
        json.loads(run(f"{code}; import json, sys; print(json.dumps([*sys.modules]))").stdout)
    )


@pytest.mark.parametrize("code", ["import resleak", "import resleak; resleak.Scenario"])
def test_the_package_loads_nothing_heavy(code):
    """In a fresh interpreter, importing the package loads no heavy package."""
    assert not loaded_after(code) & HEAVY


def test_the_help_loads_nothing_heavy():
    """The command line's own import loads neither data frames nor figures."""
    loaded = loaded_after("import resleak.ui.cli")
    assert not loaded & (HEAVY - {"typer", "rich", "asyncio"})


def test_opening_a_capture_loads_no_data_frames():
    """What reads a capture, prints it and writes its page does without pandas and scipy."""
    code = "from resleak.captures.decode import memray_file as file, worker;"
    code += "file.without_pandas(); import memray"
    frames = {"pandas", "scipy", "plotly", "nh3", "jinja2", "IPython", "asyncio"}
    assert not loaded_after(code) & frames
    code = "import resleak.ui.cli, resleak.report.plain_pages, resleak.analysis.memray_file"
    assert not loaded_after(code) & (frames | {"numpy", "pyarrow", "memray"})


def test_the_import_is_cheap():
    """Importing the package takes less than three starts of the interpreter that imports it."""
    assert min(import_s() for _ in range(5)) < 3 * min(start_s() for _ in range(5))


def import_s() -> float:
    lines = run("import resleak", "-X", "importtime").stderr.splitlines()
    cumulated = [line.split("|")[1] for line in lines if line.split("|")[-1].strip() == "resleak"]
    return sum(map(int, cumulated)) / 1e6


def start_s() -> float:
    begin = time.perf_counter()
    run("pass")
    return time.perf_counter() - begin


@pytest.mark.parametrize("name", resleak.__all__)
def test_every_public_name_is_there(name):
    """Each name the package announces can be had, and says what it is."""
    assert getattr(resleak, name).__doc__


def test_every_test_says_what_must_hold():
    """Each test has a docstring of one line: the sentence it proves."""
    silent = [
        f"{path.name}: {node.name}"
        for path in Path(__file__).parent.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name.startswith("test_")
        and not (ast.get_docstring(node) or "").endswith(".")
    ]
    assert not silent
