"""Find scenarios: the folder is the registry, and any other Python file can be one too."""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from resleak.errors import ScenarioError
from resleak.workload.scenario import Scenario

ROOT = Path(__file__).parents[1] / "scenarios"


def paths(root: Path = ROOT) -> dict[str, Path]:
    """Return the scenario files below a folder, by name (``system/scenario``).

    Parameters
    ----------
    root : Path
        A folder of systems, each a folder of files. Names of files and folders that start with
        ``_`` are helpers.

    Returns
    -------
    dict of str to Path
        Sorted by name.
    """
    files = root.glob("[!_]*/[!_]*.py")
    return {f"{path.parent.name}/{path.stem}": path for path in sorted(files)}


def scan(root: Path = ROOT) -> list[Scenario]:
    """Load every scenario below a folder.

    Raises
    ------
    ScenarioError
        If a file is malformed; the message has its path and what is missing.
    """
    return [load(path) for path in paths(root).values()]


def locate(name: str, root: Path = ROOT) -> Path:
    """Return the file of a scenario's name, or of a path to any Python file.

    Parameters
    ----------
    name : str
        ``arc/auth_cache``, its unambiguous last part, or a path that ends in ``.py``.

    Raises
    ------
    ScenarioError
        If there is none; the message names the closest ones.
    """
    if name.endswith(".py"):
        return _existing(Path(name))
    known = paths(root)
    matches = [key for key in known if name in (key, key.split("/")[-1])]
    if len(matches) == 1:
        return known[matches[0]]
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    hint = f"did you mean {', '.join(close)}?" if close else "`resleak list` names them all"
    raise ScenarioError(f"there is no scenario {name!r}; {hint}")


def find(name: str, root: Path = ROOT) -> Scenario:
    """Load the scenario of a name or path; see `locate` and `load`."""
    return load(locate(name, root))


def load(path: Path) -> Scenario:
    """Load one file as a scenario.

    A file declares a `Scenario` at its top level, or simply a function ``step(i)`` with, if
    wanted, ``setup()``, ``teardown()`` and ``gauges()`` (which returns numbers by name). All may
    take what the set-up yields or returns, too: ``step(i, world)``, ``gauges(world)``.

    Raises
    ------
    ScenarioError
        If the file cannot be imported or declares neither.
    """
    module = _import(path)
    found = _declared(module)
    if len(found) > 1:
        raise ScenarioError(f"{path}: declares {len(found)} scenarios; one file is one scenario")
    scenario = found[0] if found else _from_functions(module, path)
    _name(scenario, module, path)
    _check(scenario, path)
    scenario.variants = dict(sorted(scenario.variants.items(), key=_rank))
    return scenario


def _rank(item: tuple[str, object]) -> tuple[int, int]:
    """Order variants as a story is told, whatever the order of their decorators."""
    kinds = ("leaky", "proposed", "fixed")
    name = item[0]
    return next((i for i, kind in enumerate(kinds) if name.startswith(kind)), 3), len(name)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ScenarioError(f"there is no file {path}; give a path to a Python file with step(i)")
    return path.resolve()


def _import(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"_resleak_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ScenarioError(f"{path}: is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    with importing(str(path)):
        spec.loader.exec_module(module)
    return module


@contextmanager
def importing(what: str) -> Iterator[None]:
    """Say of whatever goes wrong in the block that something cannot be imported.

    Raises
    ------
    ScenarioError
        With the name of what was imported and, if a package is missing, what to do.
    """
    try:
        yield
    except ScenarioError as error:
        raise ScenarioError(f"{what}: {error}") from None
    except ModuleNotFoundError as error:
        hint = f"install it for {sys.executable}, or choose another interpreter with --python"
        raise ScenarioError(
            f"{what}: cannot be imported: ModuleNotFoundError: {error}; {hint}"
        ) from error
    except (Exception, SystemExit) as error:
        raise ScenarioError(
            f"{what}: cannot be imported: {type(error).__name__}: {error}"
        ) from error


def _declared(module: ModuleType) -> list[Scenario]:
    unique = {id(value): value for value in vars(module).values() if isinstance(value, Scenario)}
    return list(unique.values())


def _from_functions(module: ModuleType, path: Path) -> Scenario:
    step = getattr(module, "step", None)
    if not callable(step):
        raise ScenarioError(
            f"{path}: declares no scenario; it needs step(i), or scenario = Scenario(...)"
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


def _check(scenario: Scenario, path: Path) -> None:
    if not scenario.variants:
        raise ScenarioError(f"{path}: has no variant; decorate a function with @scenario.variant()")
    if scenario.claim and "leaky" not in scenario.variants:
        raise ScenarioError(f"{path}: makes a claim but has no variant named 'leaky'")
    if scenario.system and not scenario.doc:
        raise ScenarioError(f"{path}: has no docstring; its first line is the scenario's title")
