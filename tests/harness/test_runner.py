"""Running variants for real, in fresh processes, and what is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from helpers.leaks import Leak

import resleak
from resleak.captures import frames, load, storage
from resleak.errors import CaptureError, ScenarioError
from resleak.harness.process_gauges import Outside
from resleak.harness.runner import capture

QUICK = {"runs": 1, "steps": 60, "instruments": ("gauges",)}


def write(folder: Path, body: str, name: str = "work.py") -> str:
    path = folder / name
    path.write_text(textwrap.dedent(body))
    return str(path)


def running(told: str) -> list[list[str]]:
    """Return the command lines of running processes that hold a text."""
    listed = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    return [line for line in listed if any(told in word for word in line)]


def until(holds: Callable[[], bool]) -> bool:
    """Tell whether something comes true within half a minute."""
    deadline = time.monotonic() + 30
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds()


def measure(folder: Path, body: str, **options: object) -> frames.Captures:
    out = folder / "out"
    capture(write(folder, body), out=out, **{**QUICK, **options})  # type: ignore[arg-type]
    return load.load(out)


def test_plain_functions_are_a_scenario(tmp_path: Path) -> None:
    """A file with step(i), setup, teardown and gauges runs, and its gauge is in the trace."""
    captures = measure(
        tmp_path,
        """
        kept = []
        def setup(): kept.append("set up")
        def step(i): kept.append(i)
        def teardown(): kept.clear()
        def gauges(): return {"kept": len(kept)}
        """,
    )
    trace = captures.select(instrument="gauges")[0].trace
    steps = trace[trace["moment"] == "step"]
    assert captures.variants == ["workload"]
    assert list(steps["kept"]) == [1 + step for step in steps["step"]]


def test_a_gauge_of_a_built_in_name_is_the_scenarios_own(tmp_path: Path) -> None:
    """A scenario's own gauge replaces the built-in gauge of the same name."""
    body = """
        from resleak.workload.scenario import Scenario
        scenario = Scenario(steps=24, warmup=6)
        @scenario.gauge("tasks")
        def tasks(_world): return 7.0
        @scenario.variant("one")
        def step(i, run): pass
    """
    captures = measure(tmp_path, body, steps=24)
    assert set(captures[0].trace["tasks"].dropna()) == {7.0}


def test_phases_come_in_order(tmp_path: Path) -> None:
    """A run passes through all its phases, and each begins where the one before it ends."""
    phases = measure(tmp_path, "def step(i): pass")[0].manifest.phases
    names = [phase.name for phase in phases]
    assert names == ["setup", "warmup", "steady", "settle", "teardown", "exit"]
    assert all(a.end_s == b.start_s for a, b in pairwise(phases))


def test_async_variants_run_on_one_loop(tmp_path: Path) -> None:
    """Set-up, steps, close and tear-down of an async scenario share an event loop."""
    captures = measure(
        tmp_path,
        """
        import asyncio
        from resleak import Scenario
        scenario = Scenario(stacks=False)

        @scenario.setup
        async def world(run):
            loop = asyncio.get_running_loop()
            yield {"loop": loop, "same": 0}
            assert asyncio.get_running_loop() is loop

        async def close(world):
            assert asyncio.get_running_loop() is world["loop"]

        @scenario.variant(close=close)
        async def control(step, world):
            await asyncio.sleep(0)
            world["same"] += asyncio.get_running_loop() is world["loop"]

        @scenario.gauge("steps")
        def same(world): return world["same"]
        """,
    )
    trace = captures[0].trace
    steps = trace[trace["moment"] == "step"]
    assert list(steps["same"]) == list(steps["step"])


def test_observer_does_not_grow(tmp_path: Path) -> None:
    """Over 2000 steps that do nothing, heap, objects, descriptors and threads grow by 0."""
    captures = measure(tmp_path, "def step(i): pass", steps=2000)
    trace = captures.select(instrument="gauges")[0].trace
    steady = trace[(trace["phase"] == "steady") & (trace["moment"] == "after_collect")]
    late = steady.iloc[len(steady) // 4 :]
    growth = {
        name: late[name].iloc[-1] - late[name].iloc[0] for name in ("fds", "threads", "objects")
    }
    assert growth == {"fds": 0, "threads": 0, "objects": 0}
    # A few integers above 256 are alive at a time: bytes come and go, none per step.
    assert abs(late["heap"].iloc[-1] - late["heap"].iloc[0]) <= 256


def test_outside_view_costs_little(tmp_path: Path) -> None:
    """Sampling ten times a second takes under 1 % of a core."""
    outside = Outside(os.getpid())
    outside.quick()
    before = time.process_time()
    for _ in range(200):
        outside.quick()
    per_sample = (time.process_time() - before) / 200
    assert 10 * per_sample < 0.01


def test_parameters_reach_the_run(tmp_path: Path) -> None:
    """An override from the command line arrives in the type of the default."""
    body = """
        from resleak import Scenario
        scenario = Scenario(stacks=False, params={"size": 3, "fast": True})
        @scenario.variant()
        def control(step, run): assert (run.params.size, run.params.fast) == (7, False)
        """
    captures = measure(tmp_path, body, params={"size": "7", "fast": "false"})
    assert captures[0].manifest.params == {"size": 7, "fast": False}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"params": {"sice": 1}}, "no parameter 'sice'"),
        ({"variants": ["leeky"]}, "no variant 'leeky'"),
        ({"profile": "fast"}, "no profile 'fast'"),
        ({"steps": 0}, "at least 1"),
    ],
)
def test_wrong_option_is_told(tmp_path: Path, options: dict[str, object], told: str) -> None:
    """A wrong parameter, variant, profile or number of steps is named in the error."""
    with pytest.raises(ScenarioError, match=told):
        measure(tmp_path, "def step(i): pass", **options)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            "def step(i):\n    if i == 3: raise ValueError('odd')",
            "failed in (warmup|steady).*line 2.*ValueError: odd",
        ),
        ("def setup(): 1 / 0\ndef step(i): pass", "setup.*ZeroDivisionError"),
        ("import os\ndef step(i): os._exit(7)", "ended with code 7"),
        ("import os, signal\ndef step(i): os.kill(os.getpid(), signal.SIGSEGV)", "code -11"),
    ],
)
def test_failing_run_is_one_clear_error(tmp_path: Path, body: str, told: str) -> None:
    """A step that raises or ends the process gives one error that names the place."""
    with pytest.raises(CaptureError, match=told):
        measure(tmp_path, body)
    with pytest.raises(resleak.ResleakError, match="no complete capture"):
        load.load(tmp_path / "out")


def test_failing_run_keeps_what_it_recorded(tmp_path: Path) -> None:
    """The trace up to the failure is kept in a folder that is marked incomplete."""
    with pytest.raises(CaptureError):
        measure(tmp_path, "def step(i):\n    if i == 50: raise ValueError")
    failed = storage.folders(tmp_path / "out")
    (kept,) = (f for f in failed if f.name.startswith("gauges-01.incomplete-"))
    trace = frames.Capture(kept).trace
    assert trace[trace["moment"] == "step"]["step"].max() == 50


def test_hanging_step_is_a_result(tmp_path: Path) -> None:
    """A run that does not finish is stopped at its deadline, with the stacks of its threads."""
    captures = measure(
        tmp_path,
        """
        import threading
        from resleak import Scenario
        scenario = Scenario(stacks=False, deadline_s=4)
        @scenario.variant()
        def leaky(step, world):
            if step == 40: wait_for_ever()
        def wait_for_ever(): threading.Event().wait()
        """,
    )
    end = captures[0].exit
    assert end.status == "deadline"
    assert "wait_for_ever" in "".join(end.stacks)
    assert str(tmp_path) not in str(captures[0].manifest)


def test_process_that_does_not_end_is_a_result(tmp_path: Path) -> None:
    """A thread that keeps the process alive is stopped at the exit deadline and named."""
    captures = measure(
        tmp_path,
        """
        import threading
        from resleak import Scenario
        scenario = Scenario(stacks=False, exit_deadline_s=1)
        @scenario.setup
        def world(run):
            threading.Thread(target=never_told_to_stop).start()
            yield
        def never_told_to_stop(): threading.Event().wait()
        @scenario.variant()
        def leaky(step, world): pass
        """,
    )
    end = captures[0].exit
    assert end.status == "hung"
    assert end.exit_s >= 1
    assert "never_told_to_stop" in "".join(end.stacks)


def test_audit_runs_after_the_process_ended(tmp_path: Path) -> None:
    """Facts are counted in a fresh process that sees the folder and the last own gauges."""
    captures = measure(
        tmp_path,
        """
        import os
        from resleak import Scenario
        scenario = Scenario(stacks=False)
        def vanish(world): os._exit(0)
        @scenario.setup
        def world(run):
            with (run.workdir / "rows").open("w") as file: yield file
        @scenario.variant(close=vanish)
        def leaky(step, file): print("row", file=file)
        @scenario.gauge("rows", kind="counter")
        def accepted(file): return 120
        @scenario.audit(rows_lost="rows")
        def audit(run, last):
            return {"rows_lost": last["accepted"] - len((run.workdir / "rows").read_text().split())}
        """,
    )
    assert captures[0].manifest.facts == {"rows_lost": 120}
    assert captures[0].exit.status == "exited"


def test_limits_are_set_in_the_child_only(tmp_path: Path) -> None:
    """A scenario's resource limit holds in its process, and the gauge survives running into it."""
    captures = measure(
        tmp_path,
        """
        from resleak import Scenario
        scenario = Scenario(stacks=False, rlimits={"RLIMIT_NOFILE": 64})
        kept, failed = [], []
        @scenario.variant()
        def leaky(step, world):
            try: kept.append(open(__file__))
            except OSError: failed.append(step)
        @scenario.gauge("calls", kind="counter")
        def refused(world): return len(failed)
        """,
    )
    trace = captures[0].trace
    assert trace["refused"].max() > 30
    # The two ends of its line to the supervisor have the numbers that they had there.
    assert trace["fds"].max() <= 64 + 2


def test_stop_ends_everything(tmp_path: Path) -> None:
    """A stop during the run ends the child and its children, and leaves no capture."""
    stop = threading.Event()
    threading.Timer(1.5, stop.set).start()
    body = """
        import subprocess, sys, time
        def setup():
            code = "import time; time.sleep(600)  # resleak-orphan"
            subprocess.Popen([sys.executable, "-c", code])
        def step(i): time.sleep(0.1)
        """
    with pytest.raises(KeyboardInterrupt):
        measure(tmp_path, body, steps=600, stop=stop)
    assert not running("resleak-orphan")
    with pytest.raises(resleak.ResleakError, match="no complete capture"):
        load.load(tmp_path / "out")


def test_cancelled_timers_are_not_counted(tmp_path: Path) -> None:
    """Timeouts that were not needed, which asyncio keeps for a while, look like no leak."""
    body = """
        import asyncio
        from resleak import Scenario

        scenario = Scenario(steps=60, warmup=10, block=5, stacks=False)

        @scenario.variant()
        async def workload(step, world):
            async with asyncio.timeout(600):
                await asyncio.sleep(0)
    """
    captures = measure(tmp_path, textwrap.dedent(body))
    after = captures[0].trace.query("moment == 'after_collect' and phase == 'steady'")["objects"]
    assert after.max() - after.min() < 10  # 60 timers, each with its context


def test_killed_runner_leaves_nothing_that_loads_or_runs(tmp_path: Path) -> None:
    """After SIGKILL of the runner its child is gone and no broken capture can be loaded."""
    path = write(tmp_path, "import time\ndef step(i): time.sleep(0.1)  # resleak-victim")
    code = (
        "from resleak.harness.runner import capture; "
        f"capture({path!r}, out={str(tmp_path / 'out')!r}, runs=1, steps=600)"
    )
    root = Path(resleak.__file__).parent.parent
    runner = subprocess.Popen([sys.executable, "-c", code], cwd=root)
    pattern = ".gauges-01.incomplete-*/trace.raw"
    assert until(lambda: bool([*(tmp_path / "out" / "work" / "workload").glob(pattern)]))
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    assert until(lambda: not running(str(tmp_path)))
    with pytest.raises(resleak.ResleakError, match="no complete capture"):
        load.load(tmp_path / "out")


def test_a_new_session_replaces_the_old_one(tmp_path: Path) -> None:
    """Runs of two sessions never mix: fewer runs later leave only the later ones."""
    measure(tmp_path, "def step(i): pass", runs=2)
    captures = measure(tmp_path, "def step(i): pass", runs=1)
    assert [c.run for c in captures.select(instrument="gauges")] == [1]


def test_another_interpreter_needs_only_psutil(tmp_path: Path) -> None:
    """An interpreter without the package and without memray measures the gauges."""
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    packages = next((bare / "lib").glob("python3.*")) / "site-packages"
    (packages / "psutil").symlink_to(Path(psutil.__file__).parent)
    python = str(bare / "bin" / "python")
    captures = measure(tmp_path, "def step(i): pass", python=python, instruments=None)
    assert {c.instrument for c in captures} == {"gauges", "handles", "forensics"}
    assert captures[0].trace["fds"].notna().any()


def test_missing_interpreter_is_told(tmp_path: Path) -> None:
    """A wrong --python is named in the error."""
    with pytest.raises(CaptureError, match="cannot start /no/python"):
        measure(tmp_path, "def step(i): pass", python="/no/python")


def test_full_disk_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    """Where nothing can be written the error says so, and an earlier capture stays."""
    measure(tmp_path, "def step(i): pass")
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(CaptureError, match="cannot write"):
        capture(write(tmp_path, "def step(i): pass"), out=blocked, **QUICK)  # type: ignore[arg-type]
    assert load.load(tmp_path / "out")


def test_no_path_of_this_machine_is_stored(leak: Leak) -> None:
    """Neither the manifest nor a table of any instrument names a folder of this machine."""
    captures = load.load(leak.captures)
    assert {one.instrument for one in captures} >= {"gauges", "memray", "forensics"}
    for one in captures:
        stored = b"".join(path.read_bytes() for path in sorted(one.path.iterdir()))
        assert str(leak.file.parent).encode() not in stored
        assert str(Path.home()).encode() not in stored
        assert Path(sys.prefix).as_posix().encode() not in stored
