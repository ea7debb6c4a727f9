"""Gauges read real things of this very process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from resleak.harness import process_gauges
from resleak.harness.child import self_gauges
from resleak.workload import gauges


@pytest.fixture
def outside() -> process_gauges.Outside:
    """Watch this process from outside."""
    return process_gauges.Outside(os.getpid())


def test_descriptors_are_counted(outside: process_gauges.Outside) -> None:
    """Ten open files are ten more descriptors, inside and outside."""
    inside = self_gauges.inside_readers()["fds"]
    before = (inside(), outside.quick()["fds"])
    with ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(Path(__file__).open())
        after = (inside(), outside.quick()["fds"])
    assert [b - a for a, b in zip(before, after, strict=True)] == [10, 10]


def test_unix_sockets_do_not_hide_others(outside: process_gauges.Outside) -> None:
    """Unix sockets are none of the internet; beside them one that listens is counted."""
    before = outside.sockets()
    with ExitStack() as stack:
        for end in socket.socketpair():
            stack.enter_context(end)
        with_pair = outside.sockets()
        stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        with_both = outside.sockets()
    assert with_pair == before
    assert with_both["sockets"] - before["sockets"] == 1
    assert with_both["sockets_listen"] - before["sockets_listen"] == 1


def test_sockets_are_counted_from_inside_as_by_psutil(outside: process_gauges.Outside) -> None:
    """In every state, of either family, bound or not, they are as many as outside."""
    with ExitStack() as stack:

        def kept(one: socket.socket) -> socket.socket:
            return stack.enter_context(one)

        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                kept(socket.socket(family, kind))
                kept(socket.socket(family, kind)).bind((host, 0))
            server = kept(socket.create_server((host, 0), family=family))
            ends = [
                (kept(socket.create_connection(server.getsockname()[:2])), server.accept()[0])
                for _ in range(3)
            ]
            kept(ends[0][1])
            ends[1][1].close()  # which leaves the other end in CLOSE_WAIT
            kept(ends[2][1]).shutdown(socket.SHUT_WR)
            kept(socket.socket(family, socket.SOCK_DGRAM)).connect(server.getsockname()[:2])
        list(map(kept, socket.socketpair()))
        readers = self_gauges.slow_readers()
        expected = outside.sockets()
        assert {name: readers[name]() for name in expected} == expected
    assert expected["sockets_close_wait"] >= 4
    assert expected["sockets_listen"] >= 2


def test_sockets_are_counted_without_a_descriptor_left() -> None:
    """At the limit of descriptors the sockets are counted all the same."""
    code = """
        import os, resource, socket
        from resleak.harness.child.resources import OwnSockets
        server, sockets = socket.create_server(("127.0.0.1", 0)), OwnSockets()
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        try:
            while True:
                os.dup(0)
        except OSError:
            print(sockets.count(), sockets.of_state("sockets_listen"))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1.0", "1.0"]


def test_without_a_descriptor_left_nothing_counts_as_gone() -> None:
    """At the limit of descriptors, a gauge that needs one raises, or is not a number."""
    code = """
        import os, resource, subprocess, sys, tempfile
        from resleak.harness.child import self_gauges
        with tempfile.TemporaryDirectory() as folder:
            open(folder + "/one", "w").close()
            readers = self_gauges.inside_readers()
            ended = subprocess.Popen(["true"])
            os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
            before = readers["children"](), readers["zombies"](), self_gauges._entries(folder)
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
            taken = []
            try:
                while True:
                    taken.append(os.dup(0))
            except OSError:
                pass
            for read in (readers["children"], lambda: self_gauges._entries(folder)):
                try:
                    read()
                except OSError as error:
                    taken.append(error)
            after = taken[-2:], readers["zombies"]()
            for number in taken[:-2]:
                os.close(number)
        print(before, [error.errno for error in after[0]], after[1])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "(0, 1, 1.0) [24, 24] nan"


def test_process_is_alone_without_threads_and_children() -> None:
    """A process is alone until it has a thread or a child, one that ended included."""
    code = """
        import subprocess, threading
        from resleak.harness.child.self_gauges import is_alone
        print(is_alone())
        ended = threading.Event()
        thread = threading.Thread(target=ended.wait)
        thread.start()
        print(is_alone())
        ended.set()
        thread.join()
        child = subprocess.Popen(["sleep", "60"])
        print(is_alone())
        child.kill()
        print(is_alone())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "False", "False", "False"]


def test_threads_are_counted(outside: process_gauges.Outside) -> None:
    """Three waiting threads are three more."""
    done, before = threading.Event(), outside.quick()["threads"]
    threads = [threading.Thread(target=done.wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    after = outside.quick()["threads"]
    done.set()
    for thread in threads:
        thread.join()
    assert after - before == 3


def test_children_are_counted(outside: process_gauges.Outside) -> None:
    """A child process is one more."""
    before = outside.full()["children"]
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    after = outside.full()["children"]
    child.communicate()
    assert after - before == 1


def test_children_are_counted_from_inside_too() -> None:
    """A shell with a child of its own is two; what ended is a zombie until it is waited for."""
    readers = self_gauges.inside_readers()
    inside, zombies = readers["children"], readers["zombies"]
    before, ended_before = inside(), zombies()
    script = ["sh", "-c", "sleep 60 & echo up; read line; kill $!"]
    shell = subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    ended = subprocess.Popen(["true"])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    assert shell.stdout is not None
    assert shell.stdout.readline() == b"up\n"
    assert (inside(), zombies()) == (before + 2, ended_before + 1)
    shell.communicate(b"\n")
    ended.wait()
    assert inside() == before


def test_process_that_is_gone_reads_nothing() -> None:
    """Once a process has ended, its readings are empty and nothing is raised."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    watched = process_gauges.Outside(child.pid)
    child.communicate()
    assert watched.full() == {}
    assert watched.threads_of_user() == 0


def test_what_is_missing_is_told() -> None:
    """Each built-in gauge that could not be read has a line that says why."""
    told = gauges.missing(set(gauges.BUILTIN) - {"heap"})
    assert len(told) == 1
    assert told[0].startswith("heap: ")
    assert "psutil" in told[0]


@pytest.mark.parametrize(
    ("allocator", "has"), [("malloc", {"heap"}), ("pymalloc", {"blocks", "native"})]
)
def test_heap_and_blocks_exclude_each_other(allocator: str, has: set[str]) -> None:
    """All bytes are counted without Python's allocator; with it blocks, and native bytes."""
    code = (
        "from resleak.harness.child import self_gauges as gauges; print(*gauges.inside_readers())"
    )
    env = {**os.environ, "PYTHONMALLOC": allocator}
    root = Path(process_gauges.__file__).parents[2]
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & {"heap", "blocks", "native"} == has


def test_sockets_that_wait_to_be_closed_are_counted_by_peer(
    outside: process_gauges.Outside,
) -> None:
    """A connection that the peer has closed, and this process has not, is named with its peer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept = [socket.create_connection(server.getsockname()) for _ in range(3)]
        for _ in kept:
            server.accept()[0].close()
        host, port = server.getsockname()
        until = time.monotonic() + 60
        while outside.close_wait() != {f"{host}:{port}": 3}:
            assert time.monotonic() < until, outside.close_wait()
        assert outside.sockets()["sockets_close_wait"] == 3
        for one in kept:
            one.close()
