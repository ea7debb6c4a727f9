"""Find and load scenarios: the folder is the registry, and any Python file can be one."""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from resleak.errors import ScenarioError
from resleak.workload import claim_rules
from resleak.workload.scenario import Scenario

ROOT = Path(__file__).parents[1] / "scenarios"


def paths(root: Path = ROOT) -> dict[str, Path]:
    """Return the scenario files below a folder, by name (``system/scenario``)."""
    files = root.glob("[!_]*/[!_]*.py")
    return {f"{path.parent.name}/{path.stem}": path for path in sorted(files)}


def scan(root: Path = ROOT) -> list[Scenario]:
    """Load every scenario below a folder."""
    return [load(path) for path in paths(root).values()]


#: Code of the files that were imported: an extension may borrow a constant of it.
_CODE: list[CodeType] = []


def locate(name: str, root: Path = ROOT) -> Path:
    """Return the file of a scenario's name, or of a path to any Python file."""
    if name.endswith(".py"):
        path = Path(name)
        try:
            if path.is_file():
                return path.resolve()
        except OSError as error:
            raise ScenarioError(f"{name[:60]!r} cannot be used: {error.strerror}") from None
        raise ScenarioError(f"there is no file {path}; give a path to a Python file with step(i)")
    files = paths(root)
    matches = [key for key in files if name in (key, key.split("/")[-1])]
    if len(matches) == 1:
        return files[matches[0]]
    if os.path.exists(name):
        what = "folder" if os.path.isdir(name) else "file, but no Python"
        raise ScenarioError(f"{name} is a {what}; name a Python file with step(i), or a scenario")
    close = difflib.get_close_matches(name, files, n=3, cutoff=0.4)
    hint = f"did you mean {', '.join(close)}?" if close else "`resleak list` names the scenarios"
    raise ScenarioError(f"there is no file and no scenario {name!r}; {hint}")


def find(name: str, root: Path = ROOT) -> Scenario:
    """Load the scenario of a name or path; see `locate` and `load`."""
    return load(locate(name, root))


def load(path: Path) -> Scenario:
    """Load one file as a scenario."""
    # It declares a `Scenario`, or a function ``step(i)`` with, optionally, ``setup()``,
    # ``teardown()`` and ``gauges()``, all of which may take what the set-up yields or returns.
    module = _import(path)
    scenarios = {id(value): value for value in vars(module).values() if isinstance(value, Scenario)}
    if len(scenarios) > 1:
        raise ScenarioError(
            f"{path}: declares {len(scenarios)} scenarios; one file is one scenario"
        )
    scenario = next(iter(scenarios.values())) if scenarios else _from_functions(module, path)
    _name(scenario, module, path)
    if not scenario.variants:
        raise ScenarioError(f"{path}: has no variant; decorate a function with @scenario.variant()")
    if scenario.claim and "leaky" not in scenario.variants:
        raise ScenarioError(f"{path}: makes a claim but has no variant named 'leaky'")
    if scenario.system and not scenario.doc:
        raise ScenarioError(f"{path}: has no docstring; its first line is the scenario's title")
    if problem := claim_rules.problem(scenario):
        raise ScenarioError(f"{path}: {problem}")

    def rank(name: str) -> tuple[int, int]:
        kinds = ("leaky", "proposed", "fixed")
        return next((i for i, kind in enumerate(kinds) if name.startswith(kind)), 3), len(name)

    scenario.variants = {
        name: scenario.variants[name] for name in sorted(scenario.variants, key=rank)
    }
    return scenario


def _import(path: Path) -> ModuleType:
    name = _module_name(path)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or not isinstance(spec.loader, SourceFileLoader):
        raise ScenarioError(f"{path}: is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    with importing(str(path)):
        code = spec.loader.get_code(name)
        assert code is not None
        _CODE.append(code)
        exec(code, vars(module))
    return module


def _module_name(path: Path) -> str:
    """Return the name by which an import finds a file, as its worker processes will; else ours."""
    stem = path.stem
    if (
        stem.isidentifier()
        and stem not in sys.modules
        and path.resolve().parent.parent != ROOT.resolve()
    ):
        with suppress(ImportError, ValueError):
            spec = importlib.util.find_spec(stem)
            if spec and spec.origin and Path(spec.origin).resolve() == path.resolve():
                return stem
    return f"_resleak_{stem}"


@contextmanager
def importing(what: str) -> Iterator[None]:
    """Turn any error of the block into a ScenarioError that names the import."""
    try:
        yield
    except ScenarioError as error:
        raise ScenarioError(f"{what}: {error}") from None
    except ModuleNotFoundError as error:
        hint = f"install it for {sys.executable}, or choose another interpreter with --python"
        reason = f"ModuleNotFoundError: {error}; {hint}"
        raise ScenarioError(f"{what}: cannot be imported: {reason}") from error
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ScenarioError(f"{what}: cannot be imported: {reason}") from error


def _from_functions(module: ModuleType, path: Path) -> Scenario:
    step = getattr(module, "step", None)
    if not callable(step):
        raise ScenarioError(
            f"{path}: declares no scenario; it needs step(i), or scenario = Scenario(...)"
        )
    if inspect.isgeneratorfunction(step) or inspect.isasyncgenfunction(step):
        raise ScenarioError(
            f"{path}: step(i) has a yield, so a call runs nothing of it; write a plain function"
        )
    scenario = Scenario()
    scenario.variant("workload", close=getattr(module, "teardown", None))(step)
    scenario.setup_function = getattr(module, "setup", None)
    scenario.gauges_function = getattr(module, "gauges", None)
    return scenario


def _name(scenario: Scenario, module: ModuleType, path: Path) -> None:
    ours = path.resolve().parent.parent == ROOT.resolve() or path.parent.parent.name == "scenarios"
    scenario.system = path.parent.name if ours else ""
    scenario.name = f"{scenario.system}/{path.stem}" if ours else path.stem
    scenario.doc = inspect.cleandoc(module.__doc__ or "")
    scenario.title = scenario.doc.split("\n")[0] or path.stem
    scenario.path = str(path)
