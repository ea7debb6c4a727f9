"""The pytest plugin, as projects use it: each test session runs in a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from resleak.errors import BudgetError
from resleak.ui.pytest_suite import Suite

TESTS = """
    import os
    import pytest

    kept = []
    SETUPS = os.environ["SETUPS"]

    @pytest.fixture
    def world():
        with open(SETUPS, "a") as file:
            file.write("x")
        yield

    @pytest.mark.resleak(steps=40, runs=2, fds=0, heap="16 B/step")
    def test_leaks(world):
        kept.append(os.open(os.devnull, os.O_RDONLY))
        kept.append(bytes(3000))

    @pytest.mark.resleak(steps=40, runs=1, lines=False, heap="1 MB/step")
    def test_may_grow():
        kept.append(bytes(SIZE))

    @pytest.mark.resleak(steps=40, runs=1, lines=False, fds=0)
    @pytest.mark.parametrize("flag", [os.O_RDONLY])
    def test_closes(flag):
        os.close(os.open(os.devnull, flag))

    @pytest.mark.resleak(steps=4, runs=1)
    def test_too_short():
        pass

    @pytest.mark.resleak(steps=4, runs=1)
    def test_fails():
        assert 1 == 2

    @pytest.mark.resleak(steps=4, file=0)
    def test_mistaken():
        pass

    @pytest.mark.resleak
    @pytest.mark.skip(reason="not today")
    def test_skipped():
        pass

    def test_part_leaks(resleak):
        for _ in resleak.steps(60):
            kept.append(os.open(os.devnull, os.O_RDONLY))

    def test_part_closes(resleak):
        for _ in resleak.steps(60):
            os.close(os.open(os.devnull, os.O_RDONLY))

    def test_plain():
        assert True
"""


class Project:
    """A folder with tests, run with the plugin as the only one that matters."""

    def __init__(self, folder: Path, source: Path) -> None:
        self.folder, self._source = folder, source
        self.setups = folder / "setups"

    def write(self, size: int) -> None:
        body = textwrap.dedent(TESTS).replace("SIZE", str(size))
        (self.folder / "test_it.py").write_text(body)

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        plugin = ["-p", "resleak.ui.pytest_plugin"]
        command = [sys.executable, "-m", "pytest", "-ra", "--strict-markers", *plugin, *options]
        outer = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        env = {**outer, "PYTHONPATH": str(self._source), "SETUPS": str(self.setups)}
        env |= {"COLUMNS": "200", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        return subprocess.run(
            command, cwd=self.folder, env=env, capture_output=True, text=True, check=False
        )


@pytest.fixture(scope="module")
def leaking(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Project:
    made = Project(tmp_path_factory.mktemp("suite"), project)
    made.write(1000)
    return made


@pytest.fixture(scope="module")
def first(leaking: Project) -> str:
    """Return what a session over all tests printed; it kept its captures."""
    return leaking.run("--resleak-out", "kept", "-v").stdout


def outcomes(printed: str) -> dict[str, str]:
    lines = [line.split() for line in printed.splitlines() if line.startswith("test_it.py::")]
    return {words[0].removeprefix("test_it.py::"): words[1] for words in lines}


def test_each_outcome_is_what_pytest_knows(first):
    """A leak fails, what holds passes, what was not decided is skipped, mistakes fail."""
    assert outcomes(first) == {
        "test_leaks": "FAILED",
        "test_may_grow": "PASSED",
        "test_closes[0]": "PASSED",
        "test_too_short": "SKIPPED",
        "test_fails": "FAILED",
        "test_mistaken": "FAILED",
        "test_skipped": "SKIPPED",
        "test_part_leaks": "FAILED",
        "test_part_closes": "PASSED",
        "test_plain": "PASSED",
    }


def test_a_failure_has_the_rate_and_the_line(first):
    """It says which gauges leak, how fast, in which interval, and the line memory grows from."""
    assert "fds leak 1 descriptor/step [1, 1], allowed none" in first
    interval = r"\[(2\.9\d|3) KiB, 3(\.0\d)? KiB\]"
    assert re.search(f"heap leak 3 KiB/step {interval}, allowed 16 B/step", first)
    assert re.search(r"opened at +test_it.py:16 in test_leaks", first)
    assert re.search(r"allocated at +test_it.py:17 in test_leaks", first)


def test_what_is_not_a_leak_is_one_line(first):
    """A test that fails when it is repeated, and a mark that makes no sense, say why."""
    assert "failed in warmup" in first
    assert "assert 1 == 2" in first
    assert "there is no gauge 'file'; there are: fds, threads" in first
    assert "Traceback" not in first


def test_fixtures_are_set_up_in_the_measured_processes_alone(first, leaking):
    """The fixture of a marked test runs once for each of its repetitions, and never besides."""
    warmup, steps = 40, 40
    gauges, memray, forensics, handles = 2, 1, 1, int(sys.platform == "linux")
    runs = gauges + memray + forensics + handles
    assert len(leaking.setups.read_text()) == runs * (warmup + steps)


def test_what_a_build_server_keeps(first, leaking):
    """The folder has the captures, a report for programs, and one for people."""
    kept = leaking.folder / "kept"
    rows = {row["test"]: row for row in json.loads((kept / "report.json").read_text())}
    assert rows["test_it.py::test_leaks"]["outcome"] == "broken"
    assert "test_it.py:17" in rows["test_it.py::test_leaks"]["line"]
    assert rows["test_it.py::test_too_short"]["outcome"] == "inconclusive"
    assert "| `test_it.py::test_leaks` | ✗ broken |" in (kept / "report.md").read_text("utf-8")
    assert len(list((kept / "captures").glob("*leaks*/workload/gauges-*"))) == 2


@pytest.fixture(scope="module")
def second(first: str, leaking: Project) -> str:
    """Return what a strict session printed after one test got worse, against the first one."""
    leaking.write(2000)
    options = ("--resleak-strict", "--resleak-baseline", "kept", "-v")
    return leaking.run(*options, "-k", "too_short or may_grow").stdout


def test_strict_lets_the_undecided_fail(second):
    """With --resleak-strict what could not be decided fails, and says why."""
    assert outcomes(second)["test_too_short"] == "FAILED"
    assert "fds: only 5 collections in the steady state, of the 6 needed: run more steps" in second


def test_a_fix_must_stay_fixed(second):
    """What leaks faster than it did in the baseline fails, though its mark allows even more."""
    assert outcomes(second)["test_may_grow"] == "FAILED"
    assert re.search(r"heap was 1\.\d+ KiB/step and is 2\.?\d* KiB/step \(the baseline\)", second)


def test_a_baseline_that_is_not_there(leaking):
    """A folder without captures is told before anything is measured."""
    printed = leaking.run("--resleak-baseline", "nowhere", "-k", "test_closes").stdout
    assert "there are no captures in nowhere to compare with" in printed


def test_marks_can_be_passed_over(leaking):
    """With --resleak-skip a marked test runs once, like any other."""
    printed = leaking.run("--resleak-skip", "-v", "-k", "test_leaks or test_closes").stdout
    assert outcomes(printed) == {"test_leaks": "PASSED", "test_closes[0]": "PASSED"}


def test_the_plugin_loads_nothing_heavy():
    """What pytest loads at every start imports neither psutil nor data frames."""
    code = "import sys, resleak.ui.pytest_plugin as p; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"pandas", "numpy", "psutil", "resleak.ui.pytest_suite", "rich"} & set(loaded)


CACHED = """
    import functools, pytest

    @functools.lru_cache(maxsize=400)
    def page(number):
        return [number] * 20

    count = iter(range(10**9))

    def test_cached():
        page(next(count))
"""


@pytest.mark.nightly
def test_a_mark_without_steps_is_decided(tmp_path):
    """A cache that 200 steps do not fill is followed until it is full, and holds."""
    (tmp_path / "test_it.py").write_text(textwrap.dedent(CACHED))
    suite = Suite(tmp_path, tmp_path / "captures", None)
    result = suite.check("test_it.py::test_cached", {"budget_s": 240})
    assert (result.check.outcome, result.steps > 400) == ("holds", True)


@pytest.mark.parametrize("seconds", ["10", -1, float("nan"), 10**6, True])
def test_a_budget_is_a_number_of_seconds(tmp_path, seconds):
    """Any other one is refused before anything is measured."""
    suite = Suite(tmp_path, tmp_path / "captures", None)
    with pytest.raises(BudgetError, match="is no number of seconds up to 3600"):
        suite.check("test_it.py::test_it", {"budget_s": seconds})
