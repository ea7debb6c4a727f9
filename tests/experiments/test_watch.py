"""Watching real processes from outside: what is found, what is kept, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from helpers.running import running

import resleak
from resleak.analysis.forecast import Forecast
from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.errors import ProcessError
from resleak.experiments.watch import Look, Watch
from resleak.harness.process_gauges import Outside
from resleak.harness.sampler import Observer
from resleak.ui.cli import _watch_display, console
from resleak.ui.cli import watch as watch_command

#: Opens 40 descriptors a second and forgets them, however busy the machine is; its worker half.
LEAKS = """
import os, time
per_second = 20 if os.fork() == 0 else 40
began, opened = time.monotonic(), 0
while True:
    while opened < per_second * (time.monotonic() - began):
        os.open(os.devnull, os.O_RDONLY)
        opened += 1
    time.sleep(0.005)
"""
#: The same work, with what it opens closed.
CLEAN = """
import os, time
os.fork()
while True:
    os.close(os.open(os.devnull, os.O_RDONLY))
    time.sleep(0.02)
"""
ENDS = "import os, time\nwhile not os.path.exists('end'): time.sleep(0.01)"
ANOTHER_USER = 65534


def watched(code: str, out: Path, **options: Any) -> Watch:
    """Watch a program for 60 readings of each of its processes, and store them."""
    with running(code) as pid:
        observer = Observer(Outside.of(pid), "program", "A program.", 0.05)

        def enough() -> bool:  # a busy machine takes longer to find the child
            children = observer._children.values()
            seen = len(children) > 0 or code != LEAKS
            return seen and min(map(len, [observer._one, *children])) >= 60

        watch = Watch(observer, enough=enough, **options)
        watch.run(lambda _: None, lambda: None)
        watch.look()
        observer.write(out)
    return watch


@pytest.fixture(scope="session")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> tuple[Watch, Path]:
    """Return a watch over a program that leaks in two processes, and where it is kept."""
    out = tmp_path_factory.mktemp("watched")
    return watched(LEAKS, out), out


@pytest.fixture
def cli(tmp_path: Path, project: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "resleak", *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(project), "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            **options,
        )

    return run


def rates(captures: resleak.captures.frames.Captures) -> dict[str, float]:  # type: ignore[name-defined]
    frame = resleak.judge(captures).frame
    fds = frame[(frame["gauge"] == "fds") & (frame["verdict"] == "leak")]
    return dict(zip(fds["variant"], fds["per_step"], strict=True))


def test_each_process_has_its_curve(leaky):
    """The process, its forked worker and their sum leak, the worker half as fast as the process."""
    found = rates(resleak.load(leaky[1]))
    assert list(found) == ["all", "process", "child-1"]
    assert found["all"] == pytest.approx(found["process"] + found["child-1"], rel=0.05)
    assert found["child-1"] == pytest.approx(found["process"] / 2, rel=0.2)


def test_what_is_closed_does_not_leak(tmp_path):
    """The same program without the fault leaks nothing, in no process, and forecasts nothing."""
    look = watched(CLEAN, tmp_path).last
    assert look is not None
    assert (look.leaks, look.forecasts) == (set(), {})


def test_live_and_stored_say_the_same(leaky):
    """What was judged while it ran is what `resleak judge` says of the captures it left."""
    watch, out = leaky
    assert watch.last is not None
    stored = resleak.judge(resleak.load(out))
    assert stored.frame.equals(watch.last.judgement.frame)
    assert "descriptors/h" in str(stored)


def test_the_forecast_is_room_over_rate(leaky):
    """Each process runs into its own limit of descriptors, the faster one first."""
    look = leaky[0].last
    soon = {who: found[0] for who, found in look.forecasts.items() if who != "all"}
    assert {one.ceiling for one in soon.values()} == {"RLIMIT_NOFILE"}
    assert soon["process"].expected_s < soon["child-1"].expected_s
    rate = look.judgement.variants["process"].gauge("fds").per_step
    room = soon["process"].limit - soon["process"].used
    assert soon["process"].expected_s == pytest.approx(room / rate)


def test_limits_of_processes_that_ended_together_stay(monkeypatch):
    """The last look has the limit of each process, although all of them have ended by then."""
    alive = SimpleNamespace(value=True)
    monkeypatch.setattr(Outside, "alive", property(lambda _: alive.value))
    observer = Observer(Outside.of(os.getpid()), "program", "A program.")
    for at in range(60):
        observer._one.add((at, at, 1), {"fds": 10 + at})
    watch = Watch(observer)
    before = watch.look().forecasts["process"][0]
    alive.value = False
    after = watch.look().forecasts["process"][0]
    assert (before.ceiling, after.ceiling) == ("RLIMIT_NOFILE", "RLIMIT_NOFILE")


def test_the_nearest_limit_comes_first():
    """Limits are sorted over all processes, whichever process reaches them."""
    late, soon = (
        Forecast("fds", name, 1000.0, 10.0, "descriptors", at_s, at_s, at_s)
        for name, at_s in (("file-max", 9000.0), ("RLIMIT_NOFILE", 60.0))
    )
    forecasts = {"all": [late], "child-2": [soon]}
    look = Look(60.0, 60, SimpleNamespace(variants={}, per="s"), forecasts, ())
    lines = [*_watch_display._consequences(look).values()]
    assert [line.partition(":")[0] for line in lines] == ["child-2", "all"]


def test_a_breach_must_stand_at_two_looks(tmp_path):
    """A watch that is to end at a leak looks again before it does."""
    watch = watched(LEAKS, tmp_path, stop_on=("leak",))
    assert watch.breach == "leak"
    assert watch.last is not None
    assert watch.last.breach(None, ("leak",)) == ""


def test_growth_of_memory_ends_a_watch_only_after_minutes(tmp_path):
    """A leak of memory that was proven at two looks does not end a watch of some seconds."""
    verdict = GaugeVerdict(variant="process", gauge="rss", family="resident", verdict="leak")
    now = SimpleNamespace(gauges=[verdict])
    early, late = (Look(t_s, 60, now, {}, ()) for t_s in (60.0, 200.0))
    assert early.breach(early, ("leak",)) == ""
    assert late.breach(late, ("leak",)) == "leak"


def test_peers_that_wait_are_named():
    """Sockets that the peer has closed and the process has not are counted by peer."""
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as kept:
        for _ in range(6):
            with socket.create_connection(server.getsockname()):
                kept.enter_context(server.accept()[0])
        observer = Observer(Outside.of(os.getpid()), "server", "A server.", 0.05)
        watch = Watch(observer, enough=lambda: observer.readings >= 20)
        watch.run(lambda _: None, lambda: None)
        peers = watch.look().close_wait["process"]
    assert sum(peers.values()) == 6
    assert all(peer.startswith("127.0.0.1:") for peer in peers)


def test_two_watches_are_compared_like_captures(leaky, tmp_path):
    """Before a fix descriptors leak and after it not; one run of each is no certificate."""
    watched(CLEAN, tmp_path)
    sides = [resleak.load(folder).select(variant="process") for folder in (leaky[1], tmp_path)]
    row = resleak.compare(*sides).frame.set_index("gauge").loc["fds"]
    assert (row["verdict_before"], row["verdict_after"]) == ("leak", "flat")
    assert row["certificate"] == "refused"


def test_a_supervisor_gets_exit_code_3(cli, tmp_path):
    """`watch --stop-on leak --json` ends at the leak, one JSON object a look, the last says why."""
    with running(LEAKS) as pid:
        result = cli("watch", pid, "--every", 0.05, "--stop-on", "leak", "--json")
    *_, before, last = map(json.loads, result.stdout.splitlines())
    assert (result.returncode, result.stderr) == (3, "")
    assert before["processes"]["process"]["gauges"]["fds"]["verdict"] == "leak"
    assert "ended by a breach (leak)" in last["ended"]  # below what was proven, and is not now
    assert len(list(tmp_path.rglob("trace.parquet"))) == 3


def test_plain_lines_say_what_changed_once(leaky, capsys):
    """Where nobody can draw, each verdict that is news is one line, and is not said again."""
    look = leaky[0].last
    lines = _watch_display.Changes("A program.")
    lines.look(look)
    said = capsys.readouterr().out
    lines.look(look)
    assert said.count("process: fds leak ") == 1
    assert "process: fds reaches RLIMIT_NOFILE" in said
    assert capsys.readouterr().out == ""


@contextmanager
def watching(pid: int, folder: Path, project: Path) -> Iterator[subprocess.Popen[str]]:
    """Start `resleak watch --json` on a process."""
    command = [sys.executable, "-m", "resleak", "watch", str(pid), "--every", "0.05", "--json"]
    env = {**os.environ, "PYTHONPATH": str(project)}
    with subprocess.Popen(
        command, cwd=folder, env=env, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process


def test_a_process_that_ends_leaves_its_readings(tmp_path, project):
    """The watch ends with the process, says so, and keeps what was read."""
    with running(ENDS, cwd=tmp_path) as pid, watching(pid, tmp_path, project) as process:
        process.stdout.readline()
        (tmp_path / "end").touch()
        rest = process.stdout.read()
    assert json.loads(rest.splitlines()[-1])["ended"].startswith("the process has ended, after ")
    (capture,) = resleak.load(tmp_path / "captures")
    assert capture.exit.status == "exited"
    assert len(capture.trace) >= 3


def test_ctrl_c_keeps_what_was_read(tmp_path, project):
    """An interrupt ends the watch with code 130; the captures are there, the process goes on."""
    with running(CLEAN) as pid:
        with watching(pid, tmp_path, project) as process:
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            rest = process.stdout.read()
        assert psutil.pid_exists(pid)
    assert process.returncode == 130
    assert "the process still runs" in json.loads(rest.splitlines()[-1])["ended"]
    assert resleak.load(tmp_path / "captures").variants == ["all", "process", "child-1"]


def test_a_kill_leaves_what_was_read(tmp_path, project):
    """A watch that is killed has stored its readings, and the next watch replaces them."""
    with running(CLEAN) as pid:
        for _ in range(2):
            with watching(pid, tmp_path, project) as process:
                process.stdout.readline()  # the first look
                process.kill()
            (capture,) = resleak.load(tmp_path / "captures").select(variant="process")
            assert capture.exit.status == "running"
            assert len(capture.trace) >= 1


def test_a_process_that_is_not_there(cli):
    """A number without a process is told in one line."""
    result = cli("watch", 2**22 + 1)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"resleak: there is no process {2**22 + 1}\n"


def test_a_zombie_is_no_process():
    """What has ended and was not waited for cannot be watched, and is told as what it is."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    with pytest.raises(ProcessError, match=r"has ended.*zombie"):
        Outside.of(process.pid)
    process.wait()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="takes two users")
def test_a_process_of_someone_else():
    """Another user's process is refused with what to do about it."""
    code = "import datetime, os, sys; sys.path[:0] = [sys.argv[2]]\n"
    code += "from resleak.harness.process_gauges import Outside; Outside.of(os.getpid()).name\n"
    code += f"os.setuid({ANOTHER_USER})\n"
    code += "try: Outside.of(int(sys.argv[1]))\nexcept Exception as error: print(error)"
    here = str(Path(resleak.__file__).parents[1])
    command = [sys.executable, "-c", code, str(os.getpid()), here]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told.endswith("is not yours: watch it as its user or as root\n")


def test_attaching_is_not_done_unasked(cli):
    """Without --yes and without a terminal nothing is attached: the consequences are said."""
    with running(CLEAN) as pid:
        result = cli("watch", pid, "--attach", 1, stdin=subprocess.DEVNULL)
    assert (result.returncode, result.stdout) == (2, "")
    assert "add --yes" in result.stderr or "forbids" in result.stderr or "needs" in result.stderr


def test_a_terminal_gets_a_table(leaky):
    """On a terminal the table has a row for each gauge that says something, and the forecast."""
    page = _watch_display.page("A program.", leaky[0].last, "4 s")
    with (screen := console.paper()).capture() as drawn:
        screen.print(page)
    lines = drawn.get().splitlines()
    shown = {tuple(line.split()[:3]) for line in lines if "fds" in line and "leak" in line}
    leaks = {leak for leak in leaky[0].last.leaks if leak[1] == "fds"}
    assert shown == {(*leak, "leak") for leak in leaks} != set()
    assert any("reaches RLIMIT_NOFILE" in line for line in lines)


def test_a_leak_that_became_a_plateau_is_no_leak(tmp_path, capsys, monkeypatch):
    """The exit code follows the last verdicts; growth that has ended is reported as a plateau."""
    observer = Observer(Outside.of(os.getpid()), "fills", "A cache.")
    monkeypatch.setattr(observer, "read", lambda: False)
    watch = Watch(observer)
    codes = []
    for first, last in ((0, 40), (40, 400)):
        for at in range(first, last):
            observer._one.add((at, at, 1), {"rss": 1e7 + 1e6 * min(at, 40)})
        codes.append(watch_command.follow(watch, tmp_path, as_json=False))
    assert codes == [1, 0]
    final = capsys.readouterr().out.splitlines()[-2]
    assert re.fullmatch(
        r"process: after \S+ .?s rss looked like a leak; all readings together show a plateau",
        final,
    )


def test_a_deferred_gauge_ends_a_watch_with_1():
    """As with `resleak judge`, what only the garbage collector frees is not clean."""
    gauge = GaugeVerdict(variant="process", gauge="fds", verdict="deferred")
    assert not Look(60.0, 60, SimpleNamespace(gauges=[gauge]), {}, ()).is_clean


#: Fills a cache for three seconds, and then does nothing.
FILLS = """
import time
kept, began = [], time.monotonic()
while True:
    if time.monotonic() - began < 3:
        kept.append(bytearray(200_000))
    time.sleep(0.01)
"""


def test_what_fills_during_the_warm_up_does_not_count() -> None:
    """A cache that fills before the warm-up ends is no growth; its readings are kept."""
    with running(FILLS) as pid:
        observer = Observer(Outside.of(pid), "fills", "A cache.", 0.1, phase="warmup")
        watch = Watch(observer, for_s=10.0, warmup_s=4.0)
        watch.run(lambda _: None, lambda: None)
        last = watch.look()
    rss = last.judgement.variants["process"].gauge("rss")
    assert rss is not None
    assert rss.verdict in ("flat", "plateau"), str(last.judgement)
    assert rss.per_step < 10_000
    phases = observer.curves()["process"][0].columns()["phase"]
    assert {*phases} == {"warmup", "steady"}
