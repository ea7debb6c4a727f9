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
from typing import cast

from resleak.errors import ScenarioError
from resleak.workload import calling
from resleak.workload.scenario import Scenario, Variant
from resleak.workload.verdict_words import CONSTRUCTED

ROOT = Path(__file__).parents[1] / "scenarios"
_NOT_THEIRS = ("ours", CONSTRUCTED)
#: Code of the files that were imported: an extension may borrow a constant of it.
_CODE: list[CodeType] = []


def paths(root: Path = ROOT) -> dict[str, Path]:
    """Return the scenario files below a folder, by name (``system/scenario``)."""
    files = root.glob("[!_]*/[!_]*.py")
    return {f"{path.parent.name}/{path.stem}": path for path in sorted(files)}


def scan() -> list[Scenario]:
    """Load every scenario."""
    return [load(path) for path in paths().values()]


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
    scenario.name = name_of(path)
    scenario.system = scenario.name.rpartition("/")[0]
    scenario.doc = inspect.cleandoc(module.__doc__ or "")
    scenario.title = scenario.doc.split("\n")[0] or path.stem
    scenario.path = str(path)
    if not scenario.variants:
        raise ScenarioError(f"{path}: has no variant; decorate a function with @scenario.variant()")
    if scenario.claim and "leaky" not in scenario.variants:
        raise ScenarioError(f"{path}: makes a claim but has no variant named 'leaky'")
    if scenario.system and not scenario.doc:
        raise ScenarioError(f"{path}: has no docstring; its first line is the scenario's title")
    for problem in claim_problems(scenario):
        raise ScenarioError(f"{path}: {problem}")

    def rank(name: str) -> tuple[int, int]:
        kinds = ("leaky", "proposed", "fixed")
        return next((i for i, kind in enumerate(kinds) if name.startswith(kind)), 3), len(name)

    names = sorted(scenario.variants, key=rank)
    scenario.variants = {name: scenario.variants[name] for name in names}
    return scenario


def _import(path: Path) -> ModuleType:
    # The name by which an import finds it, as its worker processes will; else one of ours.
    name, stem = f"_resleak_{path.stem}", path.stem
    is_ours = path.resolve().parent.parent == ROOT.resolve()
    if stem.isidentifier() and stem not in sys.modules and not is_ours:
        with suppress(ImportError, ValueError):
            spec = importlib.util.find_spec(stem)
            if spec and spec.origin and Path(spec.origin).resolve() == path.resolve():
                name = stem
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or not isinstance(spec.loader, SourceFileLoader):
        raise ScenarioError(f"{path}: is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with importing(str(path)):
        if sys.flags.optimize > 1:  # which strips docstrings
            code = compile(path.read_bytes(), path, "exec", dont_inherit=True, optimize=1)
        else:
            code = cast(CodeType, spec.loader.get_code(name))
        _CODE.append(code)
        exec(code, vars(module))
    return module


@contextmanager
def importing(what: str) -> Iterator[None]:
    """Turn any error of the block into a ScenarioError that names the import."""
    try:
        yield
    except ScenarioError as error:
        raise ScenarioError(f"{what}: {error}") from None
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}"
        if isinstance(error, ModuleNotFoundError):
            hint = f"install it for {sys.executable}, or choose another interpreter with --python"
            reason = f"ModuleNotFoundError: {error}; {hint}"
        raise ScenarioError(f"{what}: cannot be imported: {reason}") from error


def _from_functions(module: ModuleType, path: Path) -> Scenario:
    step = getattr(module, "step", None)
    if not callable(step):
        raise ScenarioError(
            f"{path}: declares no scenario; it needs step(i), or scenario = Scenario(...)"
        )
    teardown = getattr(module, "teardown", None)
    calling.refuse_generator(step, f"{path}: step(i)")
    calling.refuse_generator(teardown, f"{path}: teardown()")
    scenario = Scenario()
    scenario.variant("workload", close=teardown)(step)
    scenario.setup_function = getattr(module, "setup", None)
    scenario.gauges_function = getattr(module, "gauges", None)
    return scenario


def name_of(file: Path) -> str:
    """Return a file's name, with its folder if that is one system of a catalog."""
    in_a_system = file.parent.parent.name == "scenarios"
    return f"{file.parent.name}/{file.stem}" if in_a_system else file.stem


def deciding_fix(scenario: Scenario) -> Variant | None:
    """Return the variant that decides the verdict on the document's fix."""
    return scenario.variants.get("proposed") or scenario.variants.get("fixed")


def claim_problems(scenario: Scenario) -> Iterator[str]:
    """Yield what a scenario about a source document lacks as a row of the register."""
    if not scenario.seed:
        return
    if not scenario.language:
        yield "needs the language of the system it is about"
    if not scenario.claim:
        return
    if not scenario.condition:
        yield "needs the condition under which it leaks, or under which its fix fails"
    leaky, fix = scenario.variants["leaky"], deciding_fix(scenario)
    if scenario.claimed_by == "document" and leaky.origin == "ours":
        yield "a document's claim needs a leaky variant from its code or words"
    if scenario.condition.startswith(f"{CONSTRUCTED}:") != (leaky.origin == CONSTRUCTED):
        yield "has a condition that begins with 'constructed:' if leaky is, and only then"
    proposed = scenario.variants.get("proposed")
    if proposed and proposed.origin in _NOT_THEIRS:
        yield "proposed is the document's code or words; call another fix fixed"
    if scenario.fix is None:
        if proposed:
            yield "a proposed fix needs a verdict"
        return
    if fix is None or fix.origin in _NOT_THEIRS:
        yield "a fix that the document does not propose gets no verdict"
    elif changed := _load(scenario, fix).items() ^ _load(scenario, leaky).items():
        names = sorted({name for name, _ in changed})
        yield f"{fix.name} has another load than leaky: {', '.join(names)}"


def _load(scenario: Scenario, variant: Variant) -> dict[str, str]:
    """Return the parameters of a variant without those that belong to a fix."""
    params = {**scenario.params, **variant.params}
    return {name: repr(v) for name, v in params.items() if name not in scenario.fix_params}
