"""Following handles in real processes: who opened them, and what happens behind Python's back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.follow import followed, lines, written

from resleak.analysis import handle_origins
from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.analysis.stacks import profile, sites
from resleak.captures import frames

EVERY_KIND = """
import asyncio, concurrent.futures, mmap, os, select, socket, sqlite3, subprocess, tempfile
import threading, _thread

kept = []
waits = threading.Event()
# With more workers a busy moment starts another one, at the line that asks.
one_worker = concurrent.futures.ThreadPoolExecutor(1)


def a_file(folder):
    kept.append(open(folder + "/file", "w"))  # file


def a_deleted_file(folder):
    kept.append(open(folder + "/gone", "w"))  # file
    os.unlink(folder + "/gone")


def a_number(folder):
    kept.append(os.open(folder, os.O_RDONLY))  # directory


def a_socket(_):
    kept.append(socket.create_server(("127.0.0.1", 0)))  # socket


def a_database(folder):
    kept.append(sqlite3.connect(folder + "/file.db"))  # sqlite3 connection


def a_pipe(_):
    kept.append(os.pipe())  # pipe


def an_epoll(_):
    kept.append(select.epoll())  # epoll


def a_counter(_):
    kept.append(os.eventfd(0))  # eventfd


def a_map(folder):
    with open(folder + "/mapped", "wb+") as file:
        file.truncate(4096)
        kept.append(mmap.mmap(file.fileno(), 0))  # map


def a_child(_):
    kept.append(subprocess.Popen(["sleep", "60"]))  # process


def a_thread(_):
    threading.Thread(target=waits.wait, daemon=True).start()  # thread


def a_raw_thread(_):
    _thread.start_new_thread(waits.wait, ())  # thread


def a_pool(_):
    kept.append(concurrent.futures.ThreadPoolExecutor(1))  # executor


def a_folder(_):
    kept.append(tempfile.mkdtemp())  # temporary


def in_a_pool(folder):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        kept.append(pool.submit(os.open, folder, os.O_RDONLY).result())  # directory


async def tasks():
    asyncio.get_running_loop().set_default_executor(one_worker)
    kept.append(asyncio.get_running_loop().create_task(asyncio.Event().wait()))  # task
    kept.append(await asyncio.to_thread(os.open, os.devnull, os.O_RDONLY))  # device
"""
STEP = """
import resleak

MAKE = [a_file, a_deleted_file, a_number, a_socket, a_database, a_pipe, an_epoll, a_counter,
        a_map, a_child, a_thread, a_raw_thread, a_pool, a_folder, in_a_pool]
scenario = resleak.Scenario()


@scenario.variant()
async def leaky(_step, run):
    for make in MAKE:
        make(str(run.workdir))
    await tasks()
"""


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, frames.Captures]:
    """Run a program that keeps a handle of every kind in each step."""
    folder = tmp_path_factory.mktemp("kinds")
    file = written(folder, EVERY_KIND + STEP)
    return file, followed(file, folder / "out")


def test_every_kind_is_traced_to_its_line(kinds: tuple[str, frames.Captures]) -> None:
    """Each handle that a step created has the line that created it, and no other has one."""
    file, captures = kinds
    listed = handle_origins.table(captures)
    steady = listed[listed["created_phase"] == "steady"]
    found = {kind: set(part["line"]) for kind, part in steady.groupby("kind")}
    text = Path(file).read_text(encoding="utf-8").split("\n")
    marks = {n: line.partition("  # ")[2].split() for n, line in enumerate(text, 1)}
    for kind in found:
        assert found[kind] == {n for n, told in marks.items() if kind in told}, kind
    assert set(found) == {kind for told in marks.values() for kind in told}
    assert set(steady["file"]) == {"work.py"}


def test_what_is_not_given_back_grows_by_its_rate(kinds: tuple[str, frames.Captures]) -> None:
    """Per step each line keeps as many descriptors as it opens, threads and children apart."""
    _, captures = kinds
    ranked = sites(handle_origins.as_allocations(captures))
    per_step = ranked.set_index("function")["bytes_per_step"]
    assert per_step.to_dict() == {
        **dict.fromkeys(
            ("a_file", "a_deleted_file", "a_number", "a_socket", "a_database", "an_epoll"), 1.0
        ),
        **{"a_pipe": 2.0, "a_counter": 1.0, "a_map": 1.0, "in_a_pool": 1.0, "tasks": 1.0},
    }
    others = {
        unit: handle_origins.growth(captures, unit).changes["bytes"].sum()
        for unit in handle_origins.UNITS
    }
    steps = captures[0].manifest.steps
    expected = {"threads": 2.0, "processes": 1.0, "sockets": 1.0, "tasks": 1.0, "executors": 1.0}
    assert {unit: others[unit] / steps for unit in expected} == expected


SLOW_TO_END = """
import ctypes, threading, time, _thread

libc = ctypes.CDLL(None)
at_exit = ctypes.c_uint()
libc.pthread_key_create(ctypes.byref(at_exit), libc.usleep)
waits = threading.Event()


def lingers(over=None):
    libc.pthread_setspecific(at_exit, ctypes.c_void_p(400_000))  # microseconds
    if over:
        over.release()


def step(number):
    thread = threading.Thread(target=lingers)
    thread.start()
    thread.join()
    over = _thread.allocate_lock()
    over.acquire()
    _thread.start_new_thread(lingers, (over,))
    over.acquire()
    time.sleep(0.02)  # it has released the lock, and has yet to return
    threading.Thread(target=waits.wait, daemon=True).start()  # kept
"""


def test_a_thread_that_is_over_for_python_is_over(tmp_path: Path) -> None:
    """A joined thread that the system still lists is not counted beside one that waits."""
    file = written(tmp_path, SLOW_TO_END)
    captures = followed(file, tmp_path / "out")
    threads = handle_origins.table(captures).query("kind == 'thread' and created_phase == 'steady'")
    assert set(threads["line"]) == lines(file, "# kept")
    grown = handle_origins.growth(captures, "threads").changes["bytes"].sum()
    assert grown == captures[0].manifest.steps


def test_ages_and_places_are_told_without_paths(kinds: tuple[str, frames.Captures]) -> None:
    """A handle's age counts from its step, and its target names no folder of this machine."""
    _, captures = kinds
    listed = handle_origins.table(captures)
    # Before the first step libffi may keep its own file open.
    is_of_a_step = listed["created_step"] > 0
    files = listed[(listed["kind"] == "file") & listed["open"] & is_of_a_step]
    assert (files["age"] == files["created_step"].max() - files["created_step"]).all()
    assert set(files["target"][~files["deleted"]]) == {"<tmp>/file"}
    assert set(files["target"][files["deleted"]]) == {"<tmp>/gone"}
    assert (
        not listed["target"]
        .str.startswith("/")
        .drop(listed.index[listed["kind"] == "device"])
        .any()
    )


BEHIND = """
import ctypes, io, os

libc = ctypes.CDLL(None)
kept = []


def step(number):
    files = [open(__file__) for _ in range(3)]
    for file in files:
        os.closerange(file.fileno(), file.fileno() + 1)  # behind Python's back
    libc.open(os.devnull.encode(), os.O_RDONLY)  # under the number of the first
    kept.append(files)
    libc.open(b"/dev/zero", os.O_RDONLY)
    child = os.fork()
    if not child:
        kept.append(open(__file__))
        os._exit(0)
    os.waitpid(child, 0)
"""


def test_what_a_library_opens_is_unknown_not_wrong(tmp_path: Path) -> None:
    """Descriptors closed by number and opened by C leave no false trace, nor do forked children."""
    captures = followed(written(tmp_path, BEHIND), tmp_path / "out")
    assert captures[0].exit.status == "exited"
    listed = handle_origins.table(captures)
    steady = listed[listed["created_phase"] == "steady"]
    assert set(steady["file"]) == {""}
    assert set(steady["function"]) == {"<no Python stack>"}
    assert steady.groupby("created_step").size().unique().tolist() == [2]


FACTORY = """
import asyncio, os, resleak

scenario = resleak.Scenario()
kept = []


def factory(loop, coroutine):
    return asyncio.Task(coroutine, loop=loop)


async def opens():
    kept.append(os.open(os.devnull, os.O_RDONLY))  # here


@scenario.variant()
async def leaky(_step, _run):
    asyncio.get_running_loop().set_task_factory(factory)
    await asyncio.create_task(opens())
"""


def test_a_task_factory_of_the_studied_code_is_left_alone(tmp_path: Path) -> None:
    """A factory that takes no context goes on to work, and what its tasks open has its line."""
    file = written(tmp_path, FACTORY)
    listed = handle_origins.table(followed(file, tmp_path / "out"))
    devices = listed[(listed["kind"] == "device") & (listed["created_phase"] == "steady")]
    assert set(devices["line"]) == lines(file, "# here")
    assert len(devices) == 12


CYCLES = """
import gc

gc.set_threshold(10_000_000)  # collections are those of the run


class Held:
    def __init__(self):
        self.file = open(__file__)  # waits
        self.me = self


def step(number):
    Held()
    with open(__file__) as file:
        file.read(1)
"""


def test_what_waits_for_the_collector_is_told_apart(tmp_path: Path) -> None:
    """A file in a cycle waits for each collection, and its line is named; nothing is a leak."""
    file = written(tmp_path, CYCLES)
    captures = followed(file, tmp_path / "out")
    waiting = handle_origins.waiting(captures)
    assert set(waiting["line"]) == lines(file, "# waits")
    assert waiting["per_step"].tolist() == [1.0]
    judged = [GaugeVerdict(gauge="fds", unit="descriptors", verdict="deferred")]
    assert [one.line for one in handle_origins.origins(captures, judged)] == waiting[
        "line"
    ].tolist()
    assert not len(profile(handle_origins.as_allocations(captures)).changes)


NO_MORE = """
import os, resource

kept = []


def setup():
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def step(number):
    try:
        kept.append(os.open(os.devnull, os.O_RDONLY))  # all of them
    except OSError:
        pass
"""


def test_running_out_of_descriptors_does_not_blind_it(tmp_path: Path) -> None:
    """With no descriptor left to look with, the line that took them is still named."""
    file = written(tmp_path, NO_MORE)
    captures = followed(file, tmp_path / "out", steps=60)
    listed = handle_origins.table(captures)
    devices = listed[listed["kind"] == "device"]
    assert set(devices["line"]) == lines(file, "# all of them")
    assert len(devices) > 40


QUIET = """
import gc, json, socket, sqlite3, sys, weakref
from pathlib import Path
from resleak.harness.child.handles.census import start

census = start(Path(sys.argv[1]), "")
alive = []


def step():
    with open(__file__) as file, socket.socket() as connected:
        database = sqlite3.connect(":memory:")
        database.close()
        alive[:] = map(weakref.ref, (file, connected))


def blocks():
    gc.collect()
    return sys.getallocatedblocks()


readings = []
for number in range(1500):
    step()
    census.look(3, number, number if number % 10 == 9 else None)
    if number % 300 == 299:  # the first reading loads and frees things of its own
        readings.append(blocks())
held = sum(ref() is not None for ref in alive)
# What grows does so in each part; what the interpreter makes once is in one of them.
parts = [after - before for before, after in zip(readings[1:], readings[2:])]
print(json.dumps({"blocks": min(parts), "held": held}))
"""


def test_the_observer_keeps_nothing_and_does_not_grow(tmp_path: Path) -> None:
    """Steps that give back what they open leave no object behind, and not a block in ten steps."""
    file = written(tmp_path, QUIET)
    command = [sys.executable, file, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    answer = json.loads(done.stdout)
    assert answer["held"] == 0
    assert answer["blocks"] < 30
