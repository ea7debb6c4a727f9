"""Tests that must not leak: a marked test is repeated in fresh processes, and judged.

pytest loads this module at every start: it imports nothing but pytest until a marked test runs.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resleak.experiments.in_process import Measured
    from resleak.ui.pytest_suite import Suite

_MARK = "resleak(steps=200, runs=3, lines=True, budget_s=30, fds=0, heap='16 B/step', ...)"
#: Set in a measured process: there a marked test is a test like any other.
_MEASURED = "RESLEAK_MEASURED"
_suite: pytest.StashKey[Suite] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("resleak", "tests that must not leak")
    add_folder = partial(group.addoption, metavar="DIR", type=Path)
    add_folder("--resleak-out", help="Keep captures and a report there.")
    add_folder(
        "--resleak-baseline",
        help="Compare with captures kept by --resleak-out: a fix must stay fixed.",
    )
    add_flag = partial(group.addoption, action="store_true")
    add_flag("--resleak-strict", help="Let inconclusive tests fail.")
    add_flag("--resleak-skip", help="Run marked tests once, without measuring.")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    text = "repeat the test in fresh processes; it fails if a gauge grows by more a step"
    config.addinivalue_line("markers", f"{_MARK}: {text}")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Replace each marked test by one that measures it."""
    if config.getoption("resleak_skip") or os.environ.get(_MEASURED):
        return
    for index, item in enumerate(items):
        mark = item.get_closest_marker("resleak")
        if mark is not None and isinstance(item, pytest.Function):
            items[index] = LeakItem.standing_for(item, mark)


class LeakItem(pytest.Item):
    """Measures a marked test; its fixtures are set up in measured processes only."""

    mark: pytest.Mark

    @classmethod
    def standing_for(cls, item: pytest.Function, mark: pytest.Mark) -> LeakItem:
        """Return an item with the name, place and markers of a test."""
        assert item.parent is not None
        new: LeakItem = cls.from_parent(item.parent, name=item.name)
        new.mark = mark
        new.own_markers = list(item.own_markers)
        new.keywords.update(item.keywords)
        new.obj = item.obj  # type: ignore[attr-defined]
        new._location = item.location  # type: ignore[attr-defined]
        return new

    def runtest(self) -> None:
        """Measure and judge the test."""
        if self.mark.args:
            raise pytest.UsageError(f"{self.nodeid}: write {_MARK}")
        from resleak.workload.verdict_words import HOLDS, UNDECIDED

        if _suite not in self.config.stash:
            from resleak.ui.pytest_suite import Suite

            options = (self.config.getoption(f"resleak_{name}") for name in ("out", "baseline"))
            self.config.stash[_suite] = Suite(self.config.rootpath, *options)
        result = self.config.stash[_suite].check(self.nodeid, self.mark.kwargs)
        outcome = result.check.outcome
        if outcome == UNDECIDED and not self.config.getoption("resleak_strict"):
            pytest.skip(f"{UNDECIDED}: {'; '.join(result.check.undecided)}")
        if outcome != HOLDS:
            raise LeakError(result.text)

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        """Return a leak as a sentence; there is no traceback."""
        from resleak.errors import ResleakError

        if isinstance(excinfo.value, (LeakError, ResleakError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """Return the place of the test."""
        file, line, name = self._location  # type: ignore[attr-defined]
        return Path(self.config.rootpath, file), line, name


class LeakError(AssertionError):
    """A test leaks, or is inconclusive where that is not allowed."""


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print one line per measured test."""
    if _suite in config.stash:
        terminalreporter.section("resleak")
        for line in config.stash[_suite].summary():
            terminalreporter.line(line)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Write the report and remove temporary captures."""
    if _suite in config.stash:
        config.stash[_suite].close()


@pytest.fixture
def resleak(request: pytest.FixtureRequest) -> Iterator[Measured]:
    """Measure a part of a test within its own process: ``for i in resleak.steps(200): ...``.

    When the test is through it fails if any gauge leaks. `resleak.measure` says what it cannot see.
    """
    from resleak.experiments.in_process import measure

    with measure(request.node.name) as measured:
        yield measured


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Judge the fixture's measurements after the test."""
    yield
    measured = getattr(item, "funcargs", {}).get("resleak")
    if measured is not None:
        from resleak.analysis.budgets import check_allowances

        check = check_allowances(measured.judged, [])
        is_strict = item.config.getoption("resleak_strict")
        if check.broken or (is_strict and check.undecided):
            pytest.fail("\n".join([*check.broken, *check.undecided]), pytrace=False)
