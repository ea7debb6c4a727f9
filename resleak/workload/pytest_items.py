"""Tests as steps: one pytest session whose items run repeatedly."""

from __future__ import annotations

import copy
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from resleak.errors import MissingPackageError, ScenarioError
from resleak.workload.scenario import Scenario

T = TypeVar("T")
#: Earlier ones keep something of each test until the session ends.
_OLDEST = (8, 1)
#: Options of the project's own that would spread the items over processes, or stop at a count.
_PLAIN = ("-q", "-s", "-o", "addopts=", "-p", "no:xdist", "-p", "no:cacheprovider")


def within_session(target: str, then: Callable[[Scenario], T]) -> T:
    """Collect tests and pass them on as a scenario, each step of which runs all of them."""
    pytest = _pytest()
    os.environ.pop("PYTEST_ADDOPTS", None)
    session = _Session(target, then)
    pytest.main([target, *_PLAIN], plugins=[session])
    if session.problem is not None:
        raise session.problem
    if not session.answers:
        raise ScenarioError(f"{_short(target)}: {session.refused}")
    return cast("T", session.answers[0])


def _pytest() -> Any:
    try:
        import pytest
    except ImportError:
        version = "has none"
    else:
        if pytest.version_tuple[:2] >= _OLDEST:
            return pytest
        version = f"has {pytest.__version__}"
    oldest = ".".join(map(str, _OLDEST))
    raise MissingPackageError(
        f"a test as a workload needs pytest {oldest} or later, and its interpreter {version}: "
        f"{sys.executable} -m pip install 'pytest>={oldest}'"
    )


class _Session:
    """A pytest plugin that takes over once the items are collected."""

    def __init__(self, target: str, then: Callable[[Scenario], Any]) -> None:
        self._target, self._then = target, then
        self.answers: list[Any] = []
        self.problem: BaseException | None = None
        self.refused = "pytest finds no such test"
        self._raised: BaseException | None = None
        self._shared: list[Any] = []

    def pytest_configure(self, config: Any) -> None:
        config.addinivalue_line("markers", "resleak: measured elsewhere, a plain test here")

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.refused = f"cannot be collected: {_last_line(report.longreprtext)}"

    def pytest_runtestloop(self, session: Any) -> bool:
        if not session.items:
            return True
        try:
            self.answers.append(self._then(self._scenario(session)))
        except BaseException as problem:  # pytest would print it as an error of its own
            self.problem = problem
        return True

    def pytest_exception_interact(self, call: Any) -> None:
        self._raised = call.excinfo.value

    def pytest_fixture_setup(self, fixturedef: Any) -> None:
        if fixturedef.scope != "function":
            self._shared.append(fixturedef)

    def _scenario(self, session: Any) -> Scenario:
        items = list(session.items)
        scenario = Scenario()
        scenario.variant("workload")(lambda _step: self._run(session, items))
        scenario.doc = inspect.getdoc(getattr(items[0], "obj", None)) or ""
        scenario.title = scenario.doc.split("\n")[0] or _short(self._target)
        scenario.path = str(items[0].path)
        return scenario

    def _run(self, session: Any, items: list[Any]) -> None:
        for item, following in zip(items, [*items[1:], items[0]], strict=True):
            # What is still needed by the next item stays set up; that item is never run itself.
            item.ihook.pytest_runtest_protocol(item=_as_collected(item), nextitem=following)
            if self._raised is not None:
                raise self._raised
        self._forget(session)

    def pytest_runtest_protocol(self, item: Any, nextitem: Any) -> bool:
        runner = item.config.pluginmanager.get_plugin("runner")
        for report in runner.runtestprotocol(item, log=False, nextitem=nextitem):
            if report.skipped and not hasattr(report, "wasxfail"):
                *_, why = cast("tuple[str, int, str]", report.longrepr)
                self._raised = ScenarioError(f"the test is skipped: {why}")
            elif report.failed and self._raised is None:
                self._raised = ScenarioError(_last_line(report.longreprtext))
        return True

    def _forget(self, session: Any) -> None:
        """Drop what pytest keeps of each test until the session ends."""
        # Shared fixtures note dependent ones, open nodes note each use of a fixture; warnings
        # accumulate.
        for shared in self._shared:
            shared._finalizers[:] = [
                one for one in shared._finalizers if getattr(_owner(one), "scope", "") != "function"
            ]
        for finalizers, _ in session._setupstate.stack.values():
            by_fixture = {id(_owner(one) or one): one for one in reversed(finalizers)}
            finalizers[:] = reversed(list(by_fixture.values()))
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        getattr(reporter, "stats", {}).clear()
        history = getattr(session.config.hook.pytest_warning_recorded, "_call_history", None)
        if history is not None:
            history.clear()


def _as_collected(item: Any) -> Any:
    """Return an item that no earlier run of it has left anything on."""
    fresh = copy.copy(item)
    for name, value in vars(item).items():
        if type(value) in (list, dict):
            setattr(fresh, name, value.copy())
    if type(item.parent).__name__ == "Class":  # each run gets an instance of its own
        vars(fresh).pop("_instance", None)
        vars(fresh).pop("_obj", None)
    fresh._request = False  # pytest makes a new one for an item that runs again
    return fresh


def _owner(finalizer: Any) -> Any:
    """Return the fixture that a finalizer finishes."""
    return getattr(getattr(finalizer, "func", None), "__self__", None)


def _short(target: str) -> str:
    path, _, rest = target.partition("::")
    return f"{Path(path).name}::{rest}"


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    errors = [line[1:].strip() for line in lines if line.startswith("E ")]
    return (errors or lines or [""])[-1].strip()
