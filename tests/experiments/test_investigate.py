"""From a workload to an answer in one call, and one clear line for whatever is wrong with it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
import warnings
from contextlib import nullcontext
from pathlib import Path

import psutil
import pytest
from helpers.leaks import SOURCE, Leak

import resleak
from resleak.analysis.comparison import compare
from resleak.captures import storage
from resleak.errors import CaptureError, ResleakError, ScenarioError
from resleak.experiments.bisect import bisect_revisions, search
from resleak.experiments.compare import compare_environments, interpreters
from resleak.experiments.investigate import investigate
from resleak.experiments.investigation import Investigation
from resleak.harness.plan import CaptureOptions
from resleak.ui.cli import app

QUICK = {"runs": 1, "steps": 24, "deadline_s": 5.0}


def write(folder: Path, body: str, name: str = "work.py") -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(body))
    return str(path)


def told_of(folder: Path, body: str) -> str:
    """Investigate a file that cannot be measured, and return the one line that says why."""
    work = write(folder, body)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the memory profiler, which the same thing happens to
        with pytest.raises(ResleakError) as caught:
            investigate(work, out=folder / "out", stacks=False, **QUICK)
    line = str(caught.value)
    assert "\n" not in line
    return line


@pytest.fixture
def leaky(leak: Leak) -> Investigation:
    return leak.investigation


def test_an_investigation_has_verdict_line_and_advice(leaky: Investigation) -> None:
    """What leaks is named with its rate, the line with its share, and what to do next."""
    assert (leaky.verdict, leaky.judgement.ok) == ("leak", False)
    assert leaky.leaking() >= {"fds", "heap"}
    assert [(one.kind, str(one.site)) for one in leaky.variant.found.causes] == [
        ("file descriptors", "work.py:8 in step"),
        ("Python objects", "work.py:7 in step"),
    ]
    assert "1  file descriptors   1 per step [1, 1]" in str(leaky)
    assert "flat: threads" in str(leaky)
    assert "threads 0.0417 threads/step" in " ".join(leaky.accounts(verbose=True))
    assert "1  file descriptors" in leaky._repr_html_()


def test_its_json_is_that_of_judge(leaky: Investigation) -> None:
    """The JSON has one variant, and the same keys as that of the command judge."""
    answer = json.loads(json.dumps(leaky.to_dict(), allow_nan=False))
    assert set(answer) == {*leaky.judgement.to_dict(), "budgets"}
    assert list(answer["variants"]) == ["workload"]


def test_a_scenario_of_several_variants_is_refused(tmp_path: Path) -> None:
    """A scenario with variants is for judge; investigate says so before it measures."""
    with pytest.raises(ScenarioError, match="several variants"):
        investigate("arc/auth_cache", out=tmp_path, label="x")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("x = 1", "it needs step(i)"),
        ("def step(i) pass", "SyntaxError"),
        ("import not_there\ndef step(i): pass", "install it for"),
        ("import sys\nsys.exit(4)", "SystemExit: 4"),
        ("def step(i):\n    if i == 3: raise ValueError('odd')", "at line 2: ValueError: odd"),
        ("import sys\ndef step(i): sys.exit('bye')", "at line 2: SystemExit: bye"),
        ("import os\ndef step(i): os._exit(0)", "ended with code 0 before its work was done"),
        ("import os\ndef step(i): os.kill(os.getpid(), 9)", "ended by SIGKILL (code -9)"),
        ("import os\ndef step(i): os.fork()", "the step forked, and its child came back"),
        ("def step(i): print('x' * 10**6)\ndef teardown(): 1 / 0", "ZeroDivisionError"),
    ],
)
def test_what_cannot_be_measured_gets_one_line(tmp_path: Path, body: str, told: str) -> None:
    """A file that is malformed, raises, exits, kills itself, forks or floods gets its one line."""
    assert told in told_of(tmp_path, body)


@pytest.mark.parametrize("last", [256, 4096])
def test_closing_all_descriptors_costs_no_verdict(tmp_path: Path, last: int) -> None:
    """A step that closes all descriptors is judged, and what it opens itself is left alone."""
    # memray survives only the lower ones: its own has a high number.
    body = f"""
        import os
        def step(i):
            os.closerange(3, {last})
            with open({str(tmp_path / "mine")!r}, "a+b", buffering=0) as file:
                file.write(b"mine\\n")
                assert not [bytearray(600) for _ in range(2000)][0][0]
        """
    is_lost = pytest.warns(UserWarning, match="without memray")
    with is_lost if last > 1024 else nullcontext():
        found = investigate(write(tmp_path, body), out=tmp_path / "out", **QUICK)
    assert "fds" not in found.leaking()
    assert set((tmp_path / "mine").read_bytes().splitlines()) == {b"mine"}


def test_a_step_that_hangs_is_told_with_its_place(tmp_path: Path) -> None:
    """A hanging step is a verdict, with the line where it stood."""
    body = "import time\ndef step(i):\n    if i == 30: time.sleep(600)"
    options = {**QUICK, "runs": 2, "deadline_s": 3.0}  # memray does not wait for it again
    found = investigate(write(tmp_path, body), out=tmp_path / "out", **options)
    assert found.verdict == "hangs"
    assert 'it stood at File "work.py", line 3 in step.' in str(found)
    assert {"gauges", "forensics"} <= {one.instrument for one in found.captures}


def test_what_is_left_running_is_ended(tmp_path: Path) -> None:
    """A process that made a session of its own does not outlive the run."""
    body = f"""
        import subprocess, sys
        code = "import time; time.sleep(600)  # {tmp_path.name}"
        def setup(): subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
        def step(i): pass
        """
    investigate(write(tmp_path, body), out=tmp_path / "out", stacks=False, **QUICK)
    lines = [one.info["cmdline"] or [] for one in psutil.process_iter(["cmdline"])]
    assert not [line for line in lines if f"# {tmp_path.name}" in " ".join(line[2:3])]


def environment(folder: Path, leaks: bool) -> str:
    """Make an interpreter with psutil alone, and one of two releases of a package."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    packages = next((folder / "lib").glob("python3.*")) / "site-packages"
    (packages / "psutil").symlink_to(Path(psutil.__file__).parent)
    body = "kept.append(object())" if leaks else "pass"
    (packages / "somelib.py").write_text(f"kept = []\ndef work():\n    {body}\n")
    return str(folder / "bin" / "python")


def test_two_environments_are_compared(tmp_path: Path) -> None:
    """A leak that only the second environment's package has is new in after; not so reversed."""
    clean, leaks = (environment(tmp_path / str(one), one) for one in (False, True))
    body = "import somelib\ndef step(i): somelib.work()\n"
    body += "def gauges(): return {'kept': len(somelib.kept)}"
    work = write(tmp_path, body)
    options = CaptureOptions(out=tmp_path / "out", runs=2, steps=60)
    with pytest.warns(UserWarning, match="lacks memray"):
        both = compare_environments(work, (clean, leaks), options)
    assert both.sentence.startswith("the leak is new in after (")
    assert "kept" in both.sentence
    answer = both.to_dict()
    assert answer["gauges"]["kept"]["verdict_after"] == "leak"
    assert list(answer["judged"]["after"]["variants"]) == ["after"]
    back = type(both)(both.after, both.before, compare(both.after.captures, both.before.captures))
    assert back.sentence.startswith("the leak is gone in after (")
    assert type(both)(both.before, both.before, both.comparison).sentence.endswith("in neither")
    assert "the leak is in both" in type(both)(both.after, both.after, both.comparison).sentence


@pytest.mark.parametrize(
    ("pythons", "requirements"), [(["a"], []), ([], ["a==1"]), (["a", "b"], ["c==1", "c==2"])]
)
def test_two_environments_are_needed(pythons: list[str], requirements: list[str]) -> None:
    """One interpreter, one requirement, or two of each are refused with what to give instead."""
    with pytest.raises(ScenarioError, match="--python twice, or --with twice"):
        interpreters(pythons, requirements)


@pytest.mark.parametrize("first", range(1, 8))
@pytest.mark.parametrize("unknown", [set(), {3}, {2, 3, 4}])
@pytest.mark.parametrize("is_fix", [False, True])
def test_a_search_finds_the_change(first: int, unknown: set[int], is_fix: bool) -> None:
    """The two neighbours of a change are found, with only what cannot be told between them."""
    names = [str(at) for at in range(8)]
    asked = []

    def ask(name: str) -> bool | None:
        asked.append(name)
        return None if int(name) in unknown - {7} else (int(name) >= first) is not is_fix

    low, high = search(names, ask, is_fix)
    assert low < first <= high
    assert set(range(low + 1, high)) <= unknown
    assert len(asked) == len(set(asked)) <= 3 + len(unknown)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Make a repository whose fourth revision of six leaks first, and whose second cannot run."""
    top = tmp_path / "project"
    git = ["git", "-C", str(top), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    bodies = ["pass", "1 / 0", "pass", "kept.append(object())", "kept.append(1.5 * 2)", ""]
    top.mkdir()
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    for number, body in enumerate(bodies):
        write(top, f"kept = []\n\ndef work():\n    {body or 'kept.append([])'}\n", "lib.py")
        subprocess.run([*git, "add", "lib.py"], check=True)
        subprocess.run([*git, "commit", "-q", "-m", f"r{number}"], check=True)
        subprocess.run([*git, "tag", f"r{number}"], check=True)
    return top


def test_revisions_are_bisected(repository: Path, tmp_path: Path) -> None:
    """The first revision that leaks is found, its neighbours are kept, and nothing is left."""
    body = """
        import lib
        from resleak import scenario

        @scenario(steps=30, warmup=10, stacks=False)
        def work(i): lib.work()
        """
    work = write(repository, body, "bench/work.py")
    before = (repository / "lib.py").read_text()
    options = CaptureOptions(steps=30, runs=1, out=tmp_path / "out")
    found = bisect_revisions(work, "r0", "r5", options)
    hashes = {f"r{n}": revision(repository, f"r{n}") for n in range(6)}
    assert (found.first, found.last, found.between) == (hashes["r3"], hashes["r2"], ())
    assert {"blocks", "objects"} & set(found.gauges)
    made = {path: path.stat().st_mtime_ns for path in storage.folders(tmp_path / "out")}
    again = bisect_revisions(work, "r0", "r5", options)
    # What names the lines is measured apart, and is kept too.
    assert [(one.name, one.verdict) for one in again.tried] == [
        (one.name, one.verdict) for one in found.tried
    ]
    assert (again.first, again.last) == (found.first, found.last)
    assert {path: path.stat().st_mtime_ns for path in storage.folders(tmp_path / "out")} == made
    assert (repository / "lib.py").read_text() == before
    assert len(git_lines(repository, "worktree", "list")) == 1


def test_what_cannot_be_bisected_is_told(repository: Path, tmp_path: Path) -> None:
    """A revision that is not there, and a file outside of any repository, get one line."""
    work = write(repository, "import lib\ndef step(i): lib.work()")
    options = CaptureOptions(out=tmp_path / "out")
    with pytest.raises(ScenarioError, match="git rev-parse"):
        bisect_revisions(work, "r0", "r9", options)
    outside = write(tmp_path / "elsewhere", "def step(i): pass")
    with pytest.raises(ScenarioError, match="not a git repository"):
        bisect_revisions(outside, "r0", "r5", options)


def revision(top: Path, name: str) -> str:
    return git_lines(top, "rev-parse", name)[0][:12]


def git_lines(top: Path, *arguments: str) -> list[str]:
    command = ["git", "-C", str(top), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_the_command_prints_and_writes_a_report(project: Path, tmp_path: Path) -> None:
    """`investigate FILE -o REPORT` exits with 1, names the line, and writes one page."""
    write(tmp_path, SOURCE)
    command = [sys.executable, "-m", "resleak", "investigate", "work.py", "-o", "made.html"]
    command += ["--runs", "1", "--steps", "24"]
    env = {**os.environ, "PYTHONPATH": str(project)}
    result = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (1, "resleak: written: made.html\n")
    assert "LEAK  work   2 causes · 1 run of 24 steps" in result.stdout
    assert "allocated at work.py:7 in step" in result.stdout
    page = (tmp_path / "made.html").read_text()
    assert "work.py" in page
    assert str(tmp_path) not in page


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["bisect", "x.py", "--package", "p"], "--package, --good and --bad, or --git"),
        (["bisect", "x.py", "--git", "v1"], "GOOD..BAD, not 'v1'"),
        (["bisect", "x.py", "--git", "v1...v2"], "GOOD..BAD"),
        (["bisect", "absent.py", "--git", "v1..v2"], "there is no file absent.py"),
        (["compare", "x.py", "--with", "a==1"], "--python twice, or --with twice"),
        (["compare", "x.py", "y.py", "--python", "a", "--python", "b"], "name one workload"),
        (["investigate", "absent.py"], "there is no file absent.py"),
        (["investigate", "tests/absent.py::test_x"], "there is no file tests/absent.py"),
    ],
)
def test_what_the_commands_cannot_do_is_told(arguments: list[str], told: str) -> None:
    """Options that do not go together, and workloads that are not there, get one line."""
    with pytest.raises(ResleakError, match=re.escape(told)):
        app(arguments, standalone_mode=False)


def test_an_environment_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Two names that lead to no interpreter end with one line."""
    work, options = write(tmp_path, "def step(i): pass"), CaptureOptions(out=tmp_path)
    with pytest.raises(CaptureError, match="cannot start"):
        compare_environments(work, ("no/a", "no/b"), options)


def test_the_public_name_is_the_function() -> None:
    """`resleak.investigate` is what the command calls."""
    assert resleak.investigate is investigate


def test_a_limit_that_is_reached_ends_the_load_and_not_the_verdict(tmp_path: Path) -> None:
    """A run that reaches the limit of descriptors is judged by the steps before it."""
    body = """
        import os, sys
        kept = []

        def step(i):
            print(f"Failed to create {i} in /home/me/cache", file=sys.stderr)
            kept.extend(os.open(os.devnull, os.O_RDONLY) for _ in range(150))
    """
    found = investigate(write(tmp_path, body), out=tmp_path / "out", stacks=False, runs=1)
    assert (found.verdict, found.leaking()) == ("leak", {"fds"})
    assert found.variant.gauge("fds").low == 150
    limit, *_, printed = found.variant.because
    assert limit.startswith("a limit ended the load: file descriptors (RLIMIT_NOFILE), reached at")
    assert re.fullmatch(r"printed \d+ times: Failed to create 0 in cache", printed)
    assert found.captures[0].manifest.exit.status == "exited"
