"""Every process of ours ends with all that it started, and its helpers may clean up first."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

import resleak
from resleak.captures import load
from resleak.captures.locks import temporary_folder
from resleak.errors import CaptureError
from resleak.harness.runner import capture
from resleak.harness.spawn import Guarded, failure, is_readable

SLEEPER = "import time; time.sleep(600)"
#: Ways to start a process that outlives its parent: in its session, in another one with an empty
#: environment, as the child of a child that has ended, and deaf to SIGTERM.
CHILDREN = f"""
import os, signal, subprocess, sys
def children(mark):
    line = [sys.executable, "-c", {SLEEPER!r} + "  # " + mark]
    subprocess.Popen(line)
    subprocess.Popen(line, start_new_session=True, env={{}})
    subprocess.Popen(
        [sys.executable, "-c", f"import subprocess; subprocess.Popen({{line}}, env={{{{}}}})"],
        start_new_session=True,
    ).wait()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen(line)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
"""


#: Three processes that fork and end, 6,000 times each.
CHAINS = """
chain='n=$((n+1)); [ $n -lt 6000 ] && eval "$chain" &'
eval "$chain"; eval "$chain"; eval "$chain"
"""


def marked(mark: str) -> list[int]:
    """Return the processes that sleep under a mark."""
    processes = psutil.process_iter(["cmdline", "pid"])
    return [p.info["pid"] for p in processes if (p.info["cmdline"] or [""])[-1].endswith(mark)]


def until(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 120
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds()


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code), *arguments]


def guarded(code: str, *arguments: str, patience_s: float = 0.0) -> Guarded:
    return Guarded(python(code, *arguments), stdout=subprocess.DEVNULL, patience_s=patience_s)


def test_a_process_reports_its_exit_code() -> None:
    """The exit code, or the signal, arrives as from any process."""
    for code, expected in (("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", -9)):
        process = guarded(code)
        assert process.wait(60) == process.poll() == expected
        process.end()


def test_a_command_that_cannot_be_started_raises() -> None:
    """A missing program is an OSError, and leaves no descriptor open."""
    before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
    with pytest.raises(FileNotFoundError):
        Guarded(["/no/such/program"], stdout=subprocess.DEVNULL)
    after = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
    assert before == after


def test_a_process_may_have_more_than_1024_descriptors() -> None:
    """Pipes with high numbers are read, by us and by the guardian."""
    code = """
        import os, resource, subprocess, sys
        from resleak.harness.spawn import Guarded
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (2048, hard))
        taken = [os.dup(0) for _ in range(1100)]
        process = Guarded([sys.executable, "-c", "raise SystemExit(7)"], stdout=subprocess.DEVNULL)
        print(process.wait(60), process.poll())
        process.end()
    """
    done = subprocess.run(python(code), capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout.split(), done.stderr) == (["7", "7"], "")


def test_what_was_left_has_a_name_without_proc(tmp_path: Path) -> None:
    """Where the system has no /proc, what was ended is still reported with words."""
    code = """
        import os, signal, sys, time
        from resleak.harness import guardian
        os.path.exists = lambda _: False
        command = [sys.executable, "-c", "import time; time.sleep(60)"]
        one = guardian.Guardian(command, 1, [])
        one._kill(one._descendants)
    """
    done = subprocess.run(python(code), capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.splitlines()[1] == "left process of unknown name", done.stderr


def test_a_command_is_asked_to_end_first() -> None:
    """With patience a command may handle SIGTERM and end with its own code."""
    code = """
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
        time.sleep(600)
    """
    process = guarded(code, patience_s=30.0)
    time.sleep(0.5)
    process.end()
    assert process.poll() in (5, -signal.SIGTERM)  # the latter before it has set its handler


@pytest.mark.skipif(sys.platform != "linux", reason="needs a subreaper")
def test_all_descendants_end_with_a_process() -> None:
    """Children in any session, with any environment and of ended parents end, and are named."""
    mark = uuid.uuid4().hex
    process = guarded(f"{CHILDREN}\nchildren({mark!r})")
    assert process.wait(60) == 0
    assert len(marked(mark)) == 4
    process.end()
    assert not marked(mark)
    assert len(process.left_behind) == 4


@pytest.mark.skipif(sys.platform != "linux", reason="needs a subreaper")
@pytest.mark.parametrize("who", ["capture", "record"])
def test_all_descendants_end_after_a_kill_of_the_runner(tmp_path: Path, who: str) -> None:
    """After SIGKILL of the runner neither workload, recorded command nor their children run on."""
    mark = uuid.uuid4().hex
    work = tmp_path / "work.py"
    ready = f"children({mark!r})\nimport time\n"
    if who == "capture":
        work.write_text(f"{CHILDREN}\ndef setup():\n children({mark!r})\n"
                        "def step(i):\n import time; time.sleep(0.05)\n")  # fmt: skip
        command = ["-m", "resleak", "capture", str(work), "--runs", "1", "--steps", "9000"]
    else:
        work.write_text(f"{CHILDREN}\n{ready}time.sleep(600)")
        command = ["-m", "resleak", "record", "--", sys.executable, str(work)]
    root = Path(resleak.__file__).parents[1]
    runner = subprocess.Popen(
        [sys.executable, *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert until(lambda: len(marked(mark)) >= 4)
    finally:
        runner.send_signal(signal.SIGKILL)
        runner.wait()
    named = str(work)

    def running() -> list[list[str]]:
        lines = [p.info["cmdline"] or [] for p in psutil.process_iter(["cmdline"])]
        return [line for line in lines if named in line]

    assert until(lambda: not marked(mark) and not running())


@pytest.mark.skipif(sys.platform != "linux", reason="needs a subreaper")
def test_descendants_end_although_their_guardian_was_killed() -> None:
    """A command that kills its guardian ends, and so does all that it has started."""
    mark = uuid.uuid4().hex
    process = guarded(f"{CHILDREN}\nchildren({mark!r})\nos.kill(os.getppid(), signal.SIGKILL)")
    try:
        assert process.wait(60) == -signal.SIGKILL
    finally:
        process.end()
    assert not marked(mark)
    assert len(process.left_behind) >= 4  # the command itself may be among them


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("levels", [[1], [2], [1, 2]])
def test_a_stopped_guardian_is_continued(levels: list[int]) -> None:
    """A command that stops its guardian, or the watcher of that, still ends when it is to."""
    ours, theirs = os.pipe()
    code = f"""
        import os, psutil, signal, time
        parents = psutil.Process().parents()
        for level in {levels}:
            parents[level - 1].send_signal(signal.SIGSTOP)
        os.write({theirs}, b".")
        time.sleep(600)
    """
    process = Guarded(python(code), stdout=subprocess.DEVNULL, pass_fds=(theirs,))
    os.close(theirs)
    guardian, watcher = psutil.Process(process.pid).parents()[:2]
    assert os.read(ours, 1) == b"."
    process.end()
    assert os.read(ours, 1) == b""  # the command has ended
    assert not guardian.is_running()
    assert not watcher.is_running()
    os.close(ours)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a subreaper")
def test_chains_of_forks_end() -> None:
    """Processes that fork and end, again and again, do not outrun the guardian."""
    ours, theirs = os.pipe()
    process = Guarded(["sh", "-c", CHAINS], stdout=subprocess.DEVNULL, pass_fds=(theirs,))
    os.close(theirs)
    assert process.wait(60) == 0
    process.end()
    has_ended = is_readable(ours, 0.0)  # as the other end is open nowhere
    os.close(ours)
    assert has_ended


def test_helpers_clean_up_after_the_workload(tmp_path: Path) -> None:
    """Shared memory that a workload forgets is removed by its own tracker, and reported."""
    work = tmp_path / "work.py"
    names = tmp_path / "names"
    work.write_text(
        textwrap.dedent(f"""
        from multiprocessing import shared_memory
        def step(i):
            block = shared_memory.SharedMemory(create=True, size=4096)
            block.close()
            with open({str(names)!r}, "a") as file: print(block.name, file=file)
        """)
    )
    captures = capture(str(work), runs=1, steps=60, stacks=False, out=tmp_path / "out")
    created = names.read_text().split()
    shared = Path("/dev/shm")
    assert len(created) > 60
    assert not [name for name in created if (shared / name.lstrip("/")).exists()]
    left = load.load(tmp_path / "out")[0].exit.left_behind
    assert left == (f"{len(created)} leaked shared_memory objects",)
    assert len(captures) == 1


#: Watches a helper that ends, which takes it long, as it has much memory to give back.
ENDING = """
import os, signal, sys, time
from pathlib import Path
from resleak.harness.guardian import Guardian

has_much = "import time; kept = bytes(1) * (300 << 20); print(flush=True); time.sleep(60)"
readable, writable = os.pipe()
os.dup2(writable, 1)
guardian = Guardian([sys.executable, "-c", has_much, "resource_tracker"], 2, [])
os.read(readable, 1)
assert guardian._descendants() and not guardian._others()
os.kill(guardian.pid, signal.SIGKILL)
blind = 0
while Path(f"/proc/{guardian.pid}").exists():
    blind += not guardian._read(guardian.pid, "cmdline")
    assert not guardian._others(), guardian._others()
assert blind
"""


def test_a_helper_that_is_ending_is_still_a_helper() -> None:
    """While its memory is given back it has no command line, and is not taken for another."""
    done = subprocess.run(python(ENDING), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("program", ["/bin/ls", "/bin/false", "/bin/true"])
def test_a_program_that_is_not_python_is_refused(tmp_path: Path, program: str) -> None:
    """An interpreter that is none is named in one line."""
    work = tmp_path / "work.py"
    work.write_text("def step(i): pass")
    with pytest.raises(CaptureError, match="is not a Python interpreter that works here"):
        capture(str(work), python=program, out=tmp_path / "out")


def test_an_unusable_temporary_folder_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no temporary folder can be made, the error names the place and what to do."""
    monkeypatch.setattr("tempfile.tempdir", "/proc")
    with (
        pytest.raises(CaptureError, match=r"cannot write temporary files to /proc.*set TMPDIR"),
        temporary_folder(),
    ):
        pass


@pytest.mark.parametrize(
    ("text", "report"),
    [
        ("", {}),
        ("5", {}),
        ("[1]", {}),
        ("not JSON", {}),
        ("[" * 60_000, {}),
        ('{"error": 5, "line": "x", "status": "exited"}', {}),
        ('{"error": "odd", "line": NaN}', {"error": "odd"}),
        ('{"error": "odd", "line": 3}', {"error": "odd", "line": 3}),
    ],
)
def test_a_report_of_a_failure_is_untrusted(tmp_path: Path, text: str, report: object) -> None:
    """A workload may print what a child's report begins with, and anything after it."""
    output = tmp_path / "errors.txt"
    output.write_text(f"hello\nresleak-failure: {text}\n")
    assert failure(output) == report


#: A program whose main thread ends while another one, with a child, lives on; and who sees it.
HEADLESS = """
import ctypes, subprocess, sys, threading, time
def lead():
    print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid, flush=True)
    time.sleep(600)
threading.Thread(target=lead, daemon=True).start()
time.sleep(0.5)
ctypes.CDLL(None).pthread_exit(None)
"""
SEES = f"""
import os, psutil, sys, time
from resleak.harness.guardian import Guardian, _prctl
_prctl(36, 1)
out, into = os.pipe()
os.dup2(into, 1)
guardian = Guardian([sys.executable, "-c", {HEADLESS!r}], os.open(os.devnull, os.O_WRONLY), [])
child = int(os.read(out, 32))
while psutil.Process(guardian.pid).status() != "zombie":
    time.sleep(0.02)
is_seen = child in guardian._descendants()
guardian.end(0)
print(is_seen, psutil.pid_exists(child), file=sys.stderr)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a subreaper")
def test_children_of_what_has_half_ended_are_seen() -> None:
    """A process whose main thread has ended still has its children, and they end with it."""
    done = subprocess.run(
        [sys.executable, "-c", SEES], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr.split() == ["True", "False"]


@pytest.mark.parametrize("keeps", [True, False])
def test_only_our_modules_are_kept_compiled(tmp_path: Path, keeps: bool) -> None:
    """A child keeps our modules compiled, unless the user keeps none, and never the workload's."""
    package = tmp_path / "library" / "resleak"
    ignored = shutil.ignore_patterns("__pycache__", "scenarios", "figures")
    shutil.copytree(Path(resleak.__file__).parent, package, ignore=ignored)
    work = tmp_path / "work"
    work.mkdir()
    (work / "other.py").write_text("KEPT = []\n")
    (work / "mine.py").write_text("import other\n\ndef step(i):\n    other.KEPT.append(i)\n")
    code = """
        import sys
        from resleak.harness.spawn import describe
        from resleak.workload.resolve import find
        describe(find(sys.argv[1]))
    """
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(package.parent)}
    env |= {} if keeps else {"PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(python(code, str(work / "mine.py")), env=env, check=True, cwd=work)
    assert bool([*package.glob("harness/child/__pycache__/driver.*")]) == keeps
    assert not [*work.rglob("__pycache__")]
