"""Load what measures, then the workload: the script that every child process of ours runs.

It may be run by an interpreter that lacks the package: it needs nothing but the standard library,
psutil for most gauges, and memray when stacks are recorded.
"""

from __future__ import annotations

import sys

#: What a bare interpreter has loaded, before anything of ours.
_AT_START = frozenset(sys.modules)
if __name__ == "__main__" and not getattr(sys.flags, "safe_path", False):
    sys.path.pop(0)  # this folder: its module names must not shadow anyone's

import gc
import os

if __name__ == "__main__":
    gc.disable()  # nothing that is loaded to measure is garbage
    # What is ours is kept compiled, if the user keeps that; nothing is written beside a workload.
    sys.dont_write_bytecode = "RESLEAK_BYTECODE" not in os.environ

import builtins
import importlib.util
import json
import platform
import threading
import traceback
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any


def _bind_package() -> None:
    """Make ``resleak`` importable from this file's folder, and nothing else beside it."""
    here = Path(__file__).resolve().parents[2]
    spec = importlib.util.spec_from_file_location(
        "resleak", here / "__init__.py", submodule_search_locations=[str(here)]
    )
    assert spec is not None
    assert spec.loader is not None
    package = sys.modules["resleak"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)


if __name__ == "__main__":
    _bind_package()

from resleak.errors import ResleakError
from resleak.harness.child import driver, recorder, self_gauges
from resleak.harness.child.resources import SEGMENTS
from resleak.workload import resolve
from resleak.workload.scenario import Scenario

#: Seconds after its answer at which a process that only answers is ended.
_ENDS_AFTER_S = 2.0


class Shadows:
    """Files of a workload that have the name of a module which our instruments have loaded.

    All that our instruments import is loaded before the workload's folders are on the path, and
    stays what everyone else finds. An import statement in the workload's own files gets what
    ``python FILE`` would give it: its own file, unless a bare interpreter has that module loaded.
    For a test, loaded modules come first.
    """

    def __init__(self, folders: list[str]) -> None:
        files: set[str] = set()
        for folder in folders:
            with suppress(OSError):
                files |= {name.partition(".")[0] for name in os.listdir(folder)}
        ours = {"resleak", "__main__", *_AT_START, *sys.builtin_module_names}
        loaded = {name.partition(".")[0] for name in sys.modules}
        self._names = {name for name in files & loaded - ours if _origin(name) in folders}
        self._folders = tuple(f"{folder}{os.sep}" for folder in folders)
        self._theirs: dict[str, dict[str, ModuleType]] = {}
        self._import = builtins.__import__
        if self._names:
            setattr(builtins, "__import__", self._find)  # noqa: B010 (typed otherwise)

    def _find(
        self, name: str, names: Any = None, local: Any = None, wanted: Any = (), level: int = 0
    ) -> ModuleType:
        top, importer = name.partition(".")[0], (names or {}).get("__file__") or ""
        if level or top not in self._names or not importer.startswith(self._folders):
            return self._import(name, names, local, wanted, level)
        ours = _taken(top)
        sys.modules.update(self._theirs.get(top, {}))
        try:
            return self._import(name, names, local, wanted, level)
        finally:
            self._theirs[top] = _taken(top)
            sys.modules.update(ours)


def _taken(top: str) -> dict[str, ModuleType]:
    """Take a module, with its submodules, out of those that are loaded."""
    names = [name for name in sys.modules if name.partition(".")[0] == top]
    return {name: sys.modules.pop(name) for name in names}


def _origin(name: str) -> str:
    """Return the folder on the path that an import of a top-level name would use."""
    for finder in sys.meta_path:
        spec = finder.find_spec(name, None)
        if spec is not None and spec.origin:
            is_package = spec.submodule_search_locations is not None
            return str(Path(spec.origin).parent.parent if is_package else Path(spec.origin).parent)
    return ""


def _load_instruments(spec: dict[str, Any]) -> None:
    """Load, and start where it must see everything, what the run is measured with."""
    instrument, folder = spec.get("instrument"), Path(spec["folder"])
    if spec.get("needs_loop"):  # takes long to load
        importlib.import_module("asyncio")
    if instrument == "gauges":
        SEGMENTS.follow()
    if instrument == "memray":
        spec["memray"] = importlib.import_module("memray")
    if instrument == "forensics":
        from resleak.harness.child.inspection.inspector import Inspector

        spec["inspector"] = Inspector(folder / "forensics.raw")
    if instrument == "handles":
        from resleak.harness.child.handles import census

        spec["census"] = census.start(folder, (__file__, driver.__file__))
    if spec["do"] == "describe":
        importlib.import_module("importlib.metadata")
    if spec["workload"] == "test":
        with suppress(ImportError):  # `pytest_items` reports that
            importlib.import_module("pytest")


def _audit(spec: dict[str, Any], scenario: Scenario) -> dict[str, float]:
    assert scenario.audit_function is not None
    facts = scenario.audit_function(driver.run_of(spec), spec["last"])
    return {name: float(value) for name, value in facts.items()}


def _describe(spec: dict[str, Any], scenario: Scenario) -> dict[str, Any]:
    free_threaded = " free-threaded" if "t" in getattr(sys, "abiflags", "") else ""
    versions = {name: _version(name) for name in ("psutil", "memray", *scenario.requires)}
    return {
        "scenario": {**scenario.describe(), "name": spec["name"]},
        "file": scenario.path,
        "needs_loop": driver.needs_loop(scenario, scenario.variants.values()),
        "absent": [name for name in scenario.requires if not importlib.util.find_spec(name)],
        "python": platform.python_version(),
        "implementation": f"{platform.python_implementation()}{free_threaded}",
        "packages": {name: version for name, version in versions.items() if version},
    }


def _version(package: str) -> str:
    from importlib import metadata

    with suppress(metadata.PackageNotFoundError):
        return metadata.version(package)
    return "unknown" if importlib.util.find_spec(package) else ""


_TASKS = {"measure": driver.measure, "audit": _audit, "describe": _describe}


def main(spec: dict[str, Any]) -> int:
    """Do what the specification asks: ``measure``, ``audit`` or ``describe``."""
    folder = Path(spec["folder"])
    recorder.dump_stacks_on_signal(folder / "threads.txt")
    recorder.limit(spec["rlimits"])
    self_gauges.trim_heap()  # loads what it needs while there are descriptors to load it with
    try:
        _load_instruments(spec)
        sys.dont_write_bytecode = True
        sys.path[:0] = spec["import_from"]
        sys.argv[:] = [spec["file"]]
        # Worker processes must not run this script: they import the workload by its name.
        vars(sys.modules["__main__"]).pop("__file__", None)
        Shadows([] if spec["workload"] == "test" else spec["import_from"])
        gc.enable()
        if spec["do"] == "measure":
            gc.collect()
            gc.freeze()  # collections need not go through what was loaded to measure
            os.write(spec["out_fd"], b"ready\n")  # from now on, time is the workload's
        answer = resolve.load(spec, partial(_TASKS[spec["do"]], spec))
        if answer is not None:
            text = json.dumps(answer, ensure_ascii=False)
            (folder / "answer.json").write_text(text, encoding="utf-8", errors="replace")
    except BaseException as error:  # sys.exit() in the code under study, too
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == spec["file"]]
        kind = "" if isinstance(error, ResleakError) else f"{type(error).__name__}: "
        traceback.print_exception(type(error), error, error.__traceback__)
        driver.report_failure(f"{kind}{error}", lines[-1] if lines else None)
        return 3
    return 0


if __name__ == "__main__":
    _file = Path(sys.argv[1])
    _spec = json.loads(_file.read_text())
    _file.unlink()  # that it is gone says that this is Python
    _code = main(_spec)
    if _spec["do"] != "measure":  # an import that keeps the process alive is judged when measured
        _end = threading.Timer(_ENDS_AFTER_S, os._exit, [_code])
        _end.daemon = True
        _end.start()
    sys.exit(_code)
