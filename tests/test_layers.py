"""The shape of the package: who may import whom, and what an import costs."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import time
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

import resleak

ROOT = Path(resleak.__file__).parent
MAKING = {
    "assemble",
    "attach",
    "child",
    "forensics",
    "commands",
    "load",
    "measuring",
    "meters",
    "observe",
    "plan",
    "planted",
    "probes",
    "records",
    "provenance",
    "runner",
    "spawn",
    "watched",
}
READING = {
    "accuracy",
    "budgets",
    "certificate",
    "claims",
    "classify",
    "comparison",
    "curves",
    "culprits",
    "findings",
    "frames",
    "growth",
    "held",
    "handles",
    "integrity",
    "limits",
    "logs",
    "rates",
    "readings",
    "recording",
    "shelf",
    "stacks",
    "sweeps",
}
#: From the bottom up: a module imports from its own layer and from those before it.
LAYERS = (
    {"cards", "errors", "forecast", "pace", "places", "units"},
    {"declare"},
    {"calls", "catalog", "scenarios"},
    {"testitems"},
    {"workload"},
    {"ceilings", "gauges", "manifests", "reader", "store"},
    {"embedded"},
    MAKING | READING,
    {"figures"},
    {
        "__main__",
        "brief",
        "cli",
        "bisection",
        "console",
        "here",
        "contents",
        "environments",
        "history",
        "investigation",
        "live",
        "magics",
        "answers",
        "opened",
        "opening",
        "pages",
        "kernel",
        "markup",
        "panel",
        "positive",
        "pytest_plugin",
        "pictures",
        "redact",
        "report",
        "sequential",
        "share",
        "suite",
        "ticker",
        "versions",
    },
)
OWNERS = {
    "anywidget": {"figures"},
    "bleach": {"markup"},
    "IPython": {"contents", "magics"},
    "ipywidgets": {"panel"},
    "memray": {"child", "stacks"},
    "nbclient": {"kernel"},
    "nbconvert": {"report"},
    "plotly": {"figures"},
    "prometheus_client": {"curves"},
    "psutil": {"gauges"},
    "pyarrow": {"stacks", "store"},
    "rich": {"cli", "console", "ticker"},
    "ruptures": {"rates"},
    "typer": {"cli"},
}
HEAVY = [*OWNERS, "pandas", "numpy", "scipy", "asyncio"]
#: What the interpreter of a measured process needs to have; pytest, where a test is measured.
IN_A_MEASURED_PROCESS = {"memray", "psutil", "pytest"}


@cache
def imports() -> dict[str, set[str]]:
    """Return what each part of the package imports: ``resleak.<part>``, or a package's name."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in ROOT.rglob("*.py"):
        part = path.relative_to(ROOT).parts[0].removesuffix(".py")
        found[part] |= imported_by(path)
    return {part: names for part, names in found.items() if part != "__init__"}


def imported_by(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            full = full_names(node)
            ours = {".".join(name.split(".")[:2]) for name in full if name.startswith("resleak")}
            others = {name.split(".")[0] for name in full if not name.startswith("resleak")}
            names |= ours if id(node) in for_types else ours | others
    return names


def full_names(node: ast.Import | ast.ImportFrom) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    assert node.level == 0, "imports are absolute here"
    if node.module == "resleak":
        return {f"resleak.{home_of(alias.name)}" for alias in node.names} - {"resleak."}
    return {node.module or ""}


def home_of(name: str) -> str:
    """Return the module that a name imported from the package comes from."""
    is_module = (ROOT / name).is_dir() or (ROOT / f"{name}.py").is_file()
    return name if is_module else resleak._HOMES.get(name, "")


def parts_used_by(part: str) -> set[str]:
    return {name.removeprefix("resleak.") for name in imports()[part] if "resleak." in name}


def layer(part: str) -> int:
    places = [number for number, names in enumerate(LAYERS) if part in names]
    assert len(places) == 1, f"{part} has no layer yet: say in LAYERS where it belongs"
    return places[0]


@pytest.mark.parametrize("part", sorted(imports()))
def test_imports_go_down_only(part):
    """A module imports nothing from a layer above its own."""
    above = {used for used in parts_used_by(part) if layer(used) > layer(part)}
    assert not above


@pytest.mark.parametrize(("side", "other"), [(MAKING, READING), (READING, MAKING)])
def test_making_and_reading_do_not_know_each_other(side, other):
    """The making side and the reading side agree through the capture's folder alone."""
    crossing = {(part, used) for part in side for used in parts_used_by(part) & other}
    assert not crossing


@pytest.mark.parametrize("package", sorted(OWNERS))
def test_each_heavy_package_has_its_owner(package):
    """A heavy package is imported by its owners only."""
    users = {part for part, names in imports().items() if package in names and part != "scenarios"}
    assert users <= OWNERS[package]


def test_a_measured_process_needs_little():
    """All that the child imports, directly or not, is the standard library, psutil and memray."""
    reached, todo = set(), {"child"}
    while todo:
        reached |= todo
        todo = {used for part in todo for used in parts_used_by(part)} - reached
    needed = {n for part in reached for n in imports()[part] if not n.startswith("resleak")}
    assert needed - set(sys.stdlib_module_names) <= IN_A_MEASURED_PROCESS


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
    assert not loaded_after(code) & set(HEAVY)


def test_the_help_loads_nothing_heavy():
    """The command line's own import loads neither data frames nor figures."""
    loaded = loaded_after("import resleak.ui.cli")
    assert not loaded & (set(HEAVY) - {"typer", "rich", "asyncio"})


def test_opening_a_capture_loads_no_data_frames():
    """What reads a capture, prints it and writes its page does without pandas and scipy."""
    code = "from resleak.captures.decode import memray_file, worker; memray_file.load()"
    frames = {"pandas", "scipy", "plotly", "bleach", "jinja2", "IPython", "asyncio"}
    assert not loaded_after(code) & frames
    code = "import resleak.ui.cli, resleak.report.memray_page, resleak.analysis.memray_file"
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
        for path in Path(__file__).parent.glob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name.startswith("test_")
        and not (ast.get_docstring(node) or "").endswith(".")
    ]
    assert not silent
