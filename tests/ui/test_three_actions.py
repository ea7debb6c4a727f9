"""From an empty folder to the line: at most three actions for a function, a process and a test.

An action is a command that a person types, or a file that they write.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.nightly

MINE = """
import os

kept = []


def step(i):
    kept.append(os.open(os.devnull, os.O_RDONLY))
"""
SERVICE = """
import time

kept = []
print("ready", flush=True)
while True:
    kept.append(bytearray(50_000))
    time.sleep(0.02)
"""
TEST = "def test_one():\n    step(0)\n"


class Person:
    """Acts in an empty folder, and counts."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.actions = folder, 0

    def write(self, name: str, text: str) -> None:
        self.actions += 1
        (self.folder / name).write_text(text)

    def type(self, *words: str) -> str:
        self.actions += 1
        command = [sys.executable, "-P", "-m", *words]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        return done.stdout + done.stderr


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person(tmp_path)


def test_an_own_function(person):
    """Write it, investigate it: the answer names the line that opens what is never closed."""
    person.write("mine.py", MINE)
    answer = person.type("resleak", "investigate", "mine.py")
    assert "opened at mine.py:8 in step" in " ".join(answer.split())
    assert person.actions <= 3


def test_a_starter_instead_of_an_own_function(person):
    """Without any code at hand `init` writes the file."""
    person.type("resleak", "init", "queue")
    answer = person.type("resleak", "investigate", "leak_queue.py")
    assert "opened at leak_queue.py:21 in handle" in " ".join(answer.split())
    assert person.actions <= 3


@pytest.fixture
def service(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a process that leaks; that it runs is what the person comes with."""
    (tmp_path / "service.py").write_text(SERVICE)
    command = [sys.executable, "service.py"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def can_attach() -> bool:
    from resleak.errors import PlatformError
    from resleak.harness import memray_attach, process_gauges

    try:
        memray_attach.check(process_gauges.Outside.of(1))
    except PlatformError:
        return False
    return True


def test_a_running_process(person, service):
    """Watch it and attach at the end: the answer names the line that keeps memory."""
    if not can_attach():
        pytest.skip("no debugger may attach here; `resleak doctor` says why")
    words = ["--every", "0.2", "--for", "8s", "--attach", "3", "--yes"]
    answer = person.type("resleak", "watch", str(service.pid), *words)
    assert "service.py:7" in answer
    assert person.actions <= 3


def test_a_failing_test(person):
    """Add the mark, run pytest: the failure names the line."""
    person.write("test_it.py", f"import pytest\n{MINE}\n\n@pytest.mark.resleak(fds=0)\n{TEST}")
    answer = person.type("pytest", "-q", "-p", "no:cacheprovider")
    assert "opened at test_it.py:9 in step" in " ".join(answer.split())
    assert person.actions <= 3
