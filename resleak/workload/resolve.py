"""Resolve a workload: a scenario, any Python file, a test, or a function of a module."""

from __future__ import annotations

import hashlib
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
_LONGEST_NAME = 4096
#: Longest name of a test, bytes in UTF-8: a parameter's value can be of any length.
_NAME_BYTES = 100
T = TypeVar("T")


@dataclass(frozen=True)
class Workload:
    """A workload that is located but not imported: the measured process does that.

    `kind` is ``file``, ``test`` or ``function``; `folders` go in front of the module search path;
    files are named relative to `root`.
    """

    kind: str
    target: str
    name: str
    file: Path
    root: Path
    folders: tuple[Path, ...]


def find(text: str, root: Path | None = None) -> Workload:
    """Return the workload of a name, path, pytest node id or ``module:function``."""
    if not text.isprintable() or len(text) > _LONGEST_NAME:
        raise ScenarioError(f"{text[:60]!r} is not a name or path of a workload")
    here = absolute(root or Path())
    if "::" in text:
        return _test(text, here)
    if match := _FUNCTION.fullmatch(text):
        name = f"{match['module']}.{match['name']}"
        return Workload("function", text, name, here, here, (here,))
    file = catalog.locate(text)
    folders = () if file.is_relative_to(catalog.ROOT) else (file.parent,)
    return Workload("file", str(file), catalog.name_of(file), file, file.parent, folders)


def absolute(path: Path | str) -> Path:
    """Return a path with links resolved; raise ScenarioError if the working folder is gone."""
    try:
        return Path(path).resolve()
    except FileNotFoundError:
        raise ScenarioError("the working folder was deleted; change to another one") from None
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ScenarioError(f"{str(path)[:60]!r} cannot be used: {reason}") from None


def load(spec: dict[str, Any], then: Callable[[Scenario], T]) -> T:
    """Load a workload in the measured process, and pass it on as a scenario."""
    if spec["workload"] == "test":
        return pytest_items.within_session(spec["target"], then)
    if spec["workload"] == "function":
        return then(_from_function(spec["target"]))
    return then(catalog.load(Path(spec["file"])))


def _test(text: str, here: Path) -> Workload:
    path, _, rest = text.partition("::")
    file = absolute(here / path)
    if not file.is_file():
        raise ScenarioError(f"there is no file {path}; give a node id as pytest prints it")
    name = re.sub(r"[^\w.=,\[\]-]+", "-", f"{file.stem}.{rest.replace('::', '.')}")
    encoded = name.encode(errors="replace")
    if len(encoded) > _NAME_BYTES:  # a folder is named like it
        start = encoded[: _NAME_BYTES - 9].decode(errors="ignore")
        name = f"{start}-{hashlib.sha256(encoded).hexdigest()[:8]}"
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
    calling.refuse_generator(function, target)
    scenario = Scenario()
    call = calling.fitted(function, 1, defaults=False)  # the step's number, if it needs one

    async def waits(number: int, _world: object) -> None:
        await call(number)

    def works(number: int, _world: object) -> Any:
        return call(number)  # it may be awaitable

    scenario.variant("workload")(waits if calling.is_async(function) else works)
    scenario.name = target.replace(":", ".")
    scenario.doc = inspect.getdoc(function) or ""
    scenario.title = scenario.doc.split("\n")[0] or target
    scenario.path = inspect.getsourcefile(inspect.unwrap(function)) or ""
    return scenario
