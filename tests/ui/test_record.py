"""Recording commands: what is started is watched, and nothing of it is left running."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

import resleak
from resleak.ui.cli import console, record

SERVER = """
    import os, sys
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            os.open(os.devnull, os.O_RDONLY)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
LOAD = """
    import http.client, sys, time
    client = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        client.request("GET", "/")
        client.getresponse().read()
        time.sleep(0.02)
"""
FORKS = """
    import os, time
    from pathlib import Path

    if os.fork() == 0:
        Path("child").write_text(str(os.getpid()))
    kept, began = [], time.monotonic()
    while True:
        while len(kept) < 40 * (time.monotonic() - began):
            kept.append((bytearray(100_000), os.open(os.devnull, os.O_RDONLY)))
        time.sleep(0.005)
"""
QUICK = ("record", "--every", "0.1", "--json")
#: A recording of what leaks ends when that is proven, however long it takes on a busy machine.
PROVEN = (*QUICK, "--stop-on", "leak")
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    for name, body in {"server": SERVER, "load": LOAD, "forks": FORKS}.items():
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(body))
    return tmp_path


@pytest.fixture
def environment(project: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(project), "COLUMNS": "200"}


@pytest.fixture
def as_process(here: Path, environment: dict[str, str]) -> Run:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "resleak", *map(str, arguments)]
        return subprocess.run(
            command, cwd=here, env=environment, capture_output=True, text=True,
            timeout=300, check=False,
        )  # fmt: skip

    return run


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def runs(pid: int) -> bool:
    """Tell whether a process runs; one that ended may wait for the first process to notice."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def last(result: subprocess.CompletedProcess[str]) -> str:
    return str(json.loads(result.stdout.splitlines()[-1])["ended"])


def test_rates_are_per_request(as_process, here, port):
    """Under the built-in load a server that forgets one descriptor a request leaks exactly one."""
    url = f"http://127.0.0.1:{port}/"
    result = as_process(*PROVEN, "--load-url", url, "--", sys.executable, "server.py", port)
    judged = resleak.judge(resleak.load(here / "captures" / "server"))
    row = judged.frame.set_index("gauge").loc["fds"]
    assert (result.returncode, judged.per, row["verdict"]) == (3, "request", "leak")
    assert row["low"] == pytest.approx(1.0, abs=0.05)
    assert row["high"] == pytest.approx(1.0, abs=0.05)


def test_a_counter_of_the_service_gives_the_growth_per_request(as_process, here, port):
    """Its requests are stored with the readings, and a descriptor for each of them is a leak."""
    page = 'b"served_total %d" % opened if self.path == "/metrics" else b""'
    server = textwrap.dedent(SERVER).replace("os.open(", "if self.path == '/': os.open(")
    server = server.replace('("Content-Length", "0")', '("Content-Length", str(len(page)))')
    server = server.replace(
        "        self.send_response",
        f"""        global opened
        opened += self.path == "/"
        page = {page}
        self.send_response""",
    ).replace("class Handler", "opened = 0\nclass Handler")
    server = server.replace("end_headers()", "end_headers()\n        self.wfile.write(page)")
    (here / "server.py").write_text(server.replace("HTTPServer", "ThreadingHTTPServer"))
    counter = ("--requests", f"http://127.0.0.1:{port}/metrics#served_total")
    load = ("--load", f"{sys.executable} load.py {port}")
    result = as_process(*QUICK, *counter, *load, "--", sys.executable, "server.py", port)
    assert "requests: served_total rose by" in last(result)
    captures = resleak.load(here / "captures")
    requests = captures[0].trace["requests"].dropna()
    assert requests.is_monotonic_increasing
    fds = resleak.judge(captures).frame.set_index("gauge").loc["fds"]
    assert fds["per_request"] == pytest.approx(1.0, rel=0.1)


def test_phases_follow_the_load(as_process, here, port):
    """Warm-up ends by time, the steady part with the load, and the rest is read as settling."""
    load = f"{sys.executable} load.py {port}"
    options = ("--warmup", "0.5s", "--settle", "1s", "--load", load)
    result = as_process(*QUICK, *options, "--", sys.executable, "server.py", port)
    (capture,) = resleak.load(here / "captures")
    assert last(result).startswith("resleak stopped the command, after ")
    assert [p.name for p in capture.manifest.phases] == ["warmup", "steady", "settle"]
    settled = capture.trace[capture.trace["phase"] == "settle"]["fds"]
    assert len(settled) >= 1
    assert settled.nunique() == 1


def test_a_worker_that_was_forked_ends_too(as_process, here):
    """Each process has its curve, and neither is left when the recording is over."""
    result = as_process(*PROVEN, "--", sys.executable, "forks.py")
    assert result.returncode == 3
    captures = resleak.load(here / "captures" / "forks")
    assert captures.variants == ["all", "process", "child-1"]
    assert not runs(int((here / "child").read_text()))


def test_the_code_of_the_command_is_told(as_process):
    """A command that fails by itself is told with its code, and the recording says so, too."""
    code = "import time; time.sleep(2); raise SystemExit(7)"
    result = as_process(*QUICK, "--", sys.executable, "-c", code)
    assert result.returncode == 1
    assert last(result).startswith("the process has ended with code 7")


def test_signals_begin_and_end(here, environment):
    """SIGUSR1 ends the warm-up, an interrupt ends it all in order and keeps what was read."""
    command = [sys.executable, "-m", "resleak", *QUICK, "--warmup", "signal", "--", sys.executable]
    with subprocess.Popen(
        [*command, "forks.py"], cwd=here, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGUSR1)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert process.returncode == 130
    assert "resleak stopped the command, after " in json.loads(rest.splitlines()[-1])["ended"]
    manifest = resleak.load(here / "captures")[0].manifest
    assert [phase.name for phase in manifest.phases] == ["warmup", "steady"]
    assert not runs(int((here / "child").read_text()))


def test_memray_names_the_line(as_process):
    """With --memray the line that memory grows from comes with the verdicts."""
    result = as_process(*PROVEN, "--memray", "--", sys.executable, "forks.py")
    found = json.loads(result.stdout.splitlines()[-1])["memray"]
    assert "forks.py:10 in <module>" in found["summary"]
    assert "resleak: reading the memray file (" in result.stderr


def test_lines_of_a_memory_profile_are_sorted_by_share(capsys):
    """A line whose growth is certain, and small, does not stand above a large share."""
    sites = [
        SimpleNamespace(
            bytes_per_step=1000 * share, share=share, low=1.0, high=2.0, function=name, place=""
        )
        for name, share in (("first", 0.7), ("small", 0.0005), ("second", 0.248))
    ]
    console.show_recording(SimpleNamespace(per="s", warnings=[], summary="", grown=sites), 10)
    table = capsys.readouterr().out
    assert table.index("first") < table.index("second") < table.index("small")


@pytest.mark.parametrize("handles", [False, True])
def test_a_memray_file_is_closed_when_the_command_is_stopped(as_process, here, handles):
    """A program that SIGTERM ends, also one that asks for it again at last, leaves a whole file."""
    code = """
    import os, signal, time
    def end(number, frame):
        signal.signal(number, before)
        signal.raise_signal(number)
    if HANDLES:
        before = signal.signal(signal.SIGTERM, end)
    kept = []
    while True:
        kept.append(bytearray(10_000))
        time.sleep(0.01)
    """
    (here / "loop.py").write_text(textwrap.dedent(code).replace("HANDLES", str(handles)))
    options = ("--for", "3s", "--memray")
    result = as_process(*QUICK, *options, "--", sys.executable, "loop.py")
    memray = json.loads(result.stdout.splitlines()[-1])["memray"]
    assert memray["integrity"][0]["declared_records"] > 0
    assert memray["integrity"][0]["duration_s"] > 1


@pytest.mark.parametrize(("leaks", "named"), [({("child-2", "rss")}, True), (set(), False)])
def test_children_that_memray_did_not_trace_are_reported(tmp_path, leaks, named):
    """A forked child has a file of its own; another one has not, and is named if it leaks."""
    file = tmp_path / "memray.bin"
    curves = {
        variant: [SimpleNamespace(view=SimpleNamespace(pid=pid), what=f"python, process {pid}")]
        for variant, pid in (("process", 11), ("child-1", 12), ("child-2", 13))
    }
    observer = SimpleNamespace(curves=lambda: curves)
    watching = SimpleNamespace(observer=observer, last=SimpleNamespace(leaks=leaks))
    file.with_name("memray.bin.12").touch()
    (note,) = record._untraced(watching, file)
    assert note.startswith("1 child process was not traced")
    assert ("memory leaks in child-2 (python, process 13)" in note) == named
    file.with_name("memray.bin.13").touch()
    assert record._untraced(watching, file) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--", "no-such-program"), "cannot start no-such-program: No such file or directory"),
        (("--memray", "--", "ls"), "--memray needs a command of the form `python FILE ...`"),
        (("--load-url", "nowhere", "--", "sleep", "9"), "'nowhere' is not an address"),
        (("--load", "no-such-load", "--", "sleep", "0.5"), "cannot start no-such-load"),
        (
            ("--for", "ever", "--", "sleep", "9"),
            "'ever' is not a duration",
        ),
        (("--budgets", "none.toml", "--", "sleep", "9"), "cannot read the budgets in none.toml"),
    ],
)
def test_mistakes_are_one_line(cli, tmp_path, arguments, told):
    """A mistake gets one line on standard error, and leaves no folder."""
    result = cli("record", *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert told in result.stderr.splitlines()[-1]
    assert os.listdir(tmp_path) == []
