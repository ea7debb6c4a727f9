"""Watching a process with its children: workers that end, are recycled, or live too shortly."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from helpers.running import running

import resleak
from resleak.experiments.watch import Watch
from resleak.harness.process_gauges import Outside
from resleak.harness.sampler import Curve, Observer

#: Three processes of which the children keep 400 kB a second; they end one after the other.
FAMILY = """
import os, signal, sys, time
children = []
for _ in range(2):
    child = os.fork()
    if child == 0:
        kept, began = [bytearray(20_000_000)], time.monotonic()
        while True:
            while len(kept) < 200 * (time.monotonic() - began):
                kept.append(bytearray(2000))
            time.sleep(0.01)
    children.append(child)

def end(*_):
    for child in children:
        os.kill(child, signal.SIGTERM)
        time.sleep(0.5)
    time.sleep(0.5)
    os._exit(0)

signal.signal(signal.SIGTERM, end)
while True:
    time.sleep(0.05)
"""


def test_the_end_of_a_family_is_no_reading_of_it() -> None:
    """The sum of processes that end one by one does not fall, and their leak stays proven."""
    with running(FAMILY) as pid:
        while sum(one.memory_info().rss > 2e7 for one in psutil.Process(pid).children()) < 2:
            time.sleep(0.01)
        observer = Observer(Outside.of(pid), "family", "A family.", 0.1)

        def asked_to_end() -> bool:
            if observer.readings == 80:
                os.kill(pid, signal.SIGTERM)
            return False

        watch = Watch(observer, for_s=60.0, enough=asked_to_end)
        watch.run(lambda _: None, lambda: None)
        last = watch.look()
    assert observer.exit.status == "exited"
    total = observer.curves()["all"][0].columns()["rss"]
    assert min(total[-10:]) > 0.9 * max(total)
    assert {("all", "rss"), ("child-1", "rss"), ("child-2", "rss")} <= last.leaks, str(
        last.judgement
    )
    assert watch.withdrawn == []


def recycled(rates: list[float]) -> Observer:
    """Return an observer of a server whose workers grew at these rates, in bytes per second."""
    server = Outside.of(os.getpid())
    observer, rng = Observer(server, "server", "A server."), np.random.default_rng(1)
    for number, rate in enumerate(rates):
        worker = Curve(server)
        for at in np.arange(0, rng.uniform(2.5, 4), 0.25):
            rss = 17e6 + rate * at + 100e3 * (at > 0) + rng.normal(0, 4e3)
            worker.add((5.0 * number + at, 5.0 * number + at, 1), {"rss": rss})
        observer._ended.append(worker)
    return observer


@pytest.mark.parametrize("rate", [0.0, 3e5])
def test_recycled_workers_are_replicates(rate: float, tmp_path: Path) -> None:
    """Workers that live for three seconds each are judged together, live and stored alike."""
    observer = recycled(12 * [rate])
    judged = Watch(observer).look().judgement.variants["recycled"].gauge("rss")
    assert judged is not None
    stored = resleak.judge(resleak.load(observer.write(tmp_path))).gauges[-1]
    assert repr(judged) == repr(stored)  # some of its fields are NaN
    assert judged.runs == 12
    assert judged.is_leak == (rate > 0), judged
    if rate:
        assert judged.per_step == pytest.approx(rate, rel=0.02)
        alone = resleak.judge(resleak.load(tmp_path).select(variant="recycled")[:1])
        assert not alone.gauges[0].is_leak


def test_readings_that_are_stored_again_replace_those_before(tmp_path: Path) -> None:
    """Curves of an earlier moment of the same watch do not stay beside the later ones."""
    observer = recycled(2 * [3e5])
    observer.write(tmp_path)
    assert "child-1" in resleak.load(tmp_path).variants
    observer._ended += recycled(2 * [3e5])._ended
    observer.write(tmp_path)
    stored = {capture.variant for capture in resleak.load(tmp_path)}
    assert stored == {"all", "process", "recycled"}


def test_workers_are_pooled_from_the_third_one_that_ended() -> None:
    """Two workers stand for themselves; of more, those that lived about as long are pooled."""
    assert set(recycled(2 * [3e5]).curves()) == {"all", "process", "child-1", "child-2"}
    observer = recycled(4 * [3e5])
    short = Curve(observer.root)
    for at in range(3):
        short.add((at, at, 1), {"rss": 17e6})
    observer._ended.append(short)
    assert len(observer.curves()["recycled"]) == 4


def test_a_child_keeps_its_number_when_another_one_ends() -> None:
    """Verdicts of two looks with the same name are about the same process."""
    server, other = Outside.of(os.getpid()), Outside.of(os.getppid())
    observer, first, second = Observer(server, "a", "A."), Curve(other), Curve(server)
    for at in range(20):
        for curve in (first, second):
            curve.add((at + (curve is second), at, 1), {"rss": 17e6})
    observer._children = {other.pid: first, server.pid: second}
    before = observer.curves()
    observer._ended.append(observer._children.pop(server.pid))
    assert observer.curves()["child-2"] == before["child-2"] == [second]


def test_workers_that_end_at_once_are_named(tmp_path, cli):
    """Workers that end between two readings are named with their processor time; others are not."""
    forks = """
import os, time
for _ in range(60):
    if os.fork() == 0:
        began = time.process_time()
        while time.process_time() < began + 0.02: pass
        os._exit(0)
    os.wait()
"""
    quick = (
        *["record", "--every", "0.5", "--for", "60s", "--name", "a", "--"],
        sys.executable,
        "-c",
    )
    assert "workers that live less than 3 s are not read on their own" in cli(*quick, forks).stdout
    stays = forks.replace("range(60)", "range(1)").replace("0.02", "0.05") + "time.sleep(1)"
    assert "on their own" not in cli(*quick, stays).stdout
