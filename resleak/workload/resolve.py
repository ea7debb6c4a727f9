"""What can be repeated: a scenario, any Python file, a test, or a function of a module."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

from resleak.errors import ScenarioError
from resleak.workload import calling, catalog, pytest_items
from resleak.workload.scenario import Scenario

_FUNCTION = re.compile(r"(?P<module>[^\W\d]\w*(\.\w+)*):(?P<name>[^\W\d]\w*(\.\w+)*)")
T = TypeVar("T")


@dataclass(frozen=True)
class Workload:
    """Something to repeat, found but not imported: that is left to a measured process.

    Attributes
    ----------
    kind : {"file", "test", "function"}
        How it is loaded.
    target : str
        The file, the pytest node id, or ``package.module:function``.
    name : str
        The name of its captures.
    file : Path
        The file under study; for a function the folder it is imported from, until it is known.
    root : Path
        The folder that files are named relative to.
    folders : tuple of Path
        What is put in front of the module search path.
    """

    kind: str
    target: str
    name: str
    file: Path
    root: Path
    folders: tuple[Path, ...]

    def spec(self) -> dict[str, Any]:
        """Return what a child process must know to load it."""
        return {
            "workload": self.kind,
            "target": self.target,
            "name": self.name,
            "file": str(self.file),
            "root": str(self.root),
            "import_from": [str(folder) for folder in self.folders],
        }


def find(text: str, root: Path | None = None) -> Workload:
    """Find what a person names.

    Parameters
    ----------
    text : str
        A scenario's name, a path that ends in ``.py``, a pytest node id
        (``tests/test_api.py::test_upload``), or ``package.module:function``.
    root : Path, optional
        The folder that tests and modules are found from; the working folder by default.

    Raises
    ------
    ScenarioError
        If there is no such scenario or file.
    """
    here = (root or Path()).resolve()
    if "::" in text:
        return _test(text, here)
    if match := _FUNCTION.fullmatch(text):
        name = f"{match['module']}.{match['name']}"
        return Workload("function", text, name, here, here, (here,))
    file = catalog.locate(text)
    if file.is_relative_to(catalog.ROOT):
        return Workload("file", str(file), _name(file), file, file.parent, ())
    return Workload("file", str(file), _name(file), file, file.parent, (file.parent,))


def load(spec: dict[str, Any], then: Callable[[Scenario], T]) -> T:
    """Load a workload in the process that measures it, and hand it on as a scenario.

    Parameters
    ----------
    spec : dict
        Of `Workload.spec`.
    then : callable
        Called with the scenario; for a test, within its session.

    Raises
    ------
    ScenarioError
        If it cannot be imported, or is not what it was named as.
    """
    if spec["workload"] == "test":
        return pytest_items.within_session(spec["target"], then)
    if spec["workload"] == "function":
        return then(_from_function(spec["target"]))
    return then(catalog.load(Path(spec["file"])))


def _name(file: Path) -> str:
    """Return a file's name: with its folder, if that is one system of a catalog."""
    in_a_system = file.parent.parent.name == "scenarios"
    return f"{file.parent.name}/{file.stem}" if in_a_system else file.stem


def _test(text: str, here: Path) -> Workload:
    path, _, rest = text.partition("::")
    file = (here / path).resolve()
    if not file.is_file():
        raise ScenarioError(f"there is no file {path}; give a node id as pytest prints it")
    name = re.sub(r"[^\w.=,\[\]-]+", "-", f"{file.stem}.{rest.replace('::', '.')}")
    return Workload("test", f"{file}::{rest}", name, file, here, (here,))


def _from_function(target: str) -> Scenario:
    module_name, _, path = target.partition(":")
    with catalog.importing(target):
        importlib.import_module(module_name)
    try:
        function: Any = reduce(getattr, path.split("."), sys.modules[module_name])
    except AttributeError:
        raise ScenarioError(f"{target}: the module {module_name} has no {path}") from None
    if not callable(function):
        raise ScenarioError(f"{target}: is a {type(function).__name__}, nothing to call")
    scenario = Scenario()
    scenario.variant("workload")(_step_of(function))
    scenario.name = target.replace(":", ".")
    scenario.doc = inspect.getdoc(function) or ""
    scenario.title = scenario.doc.split("\n")[0] or target
    scenario.path = inspect.getsourcefile(inspect.unwrap(function)) or ""
    return scenario


def _step_of(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a step that calls a function with the step's number, if it needs an argument."""
    call = calling.fitted(function, 1, defaults=False)

    async def waits(number: int, _world: object) -> None:
        await call(number)

    def works(number: int, _world: object) -> None:
        call(number)

    return waits if calling.is_async(function) else works
