"""Commands that go on until a signal ends them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil
import pytest
from helpers.follow import written

ENDLESS = """
    import subprocess, time
    from pathlib import Path

    def setup():
        child = subprocess.Popen(["sleep", "600"])
        Path(__file__).with_name("pid").write_text(str(child.pid))

    def step(i):
        time.sleep(0.02)
"""


def environment(project: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(project)}


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing_running(cli, project, tmp_path, sent):
    """After Ctrl-C, or a request to end, no process is left, and no capture that loads."""
    name = written(tmp_path, ENDLESS, "endless.py")
    command = [sys.executable, "-m", "resleak", "capture", name, "--steps", "100000"]
    with started(command, tmp_path, environment(project)) as process:
        grandchild = int(until(lambda: (tmp_path / "pid").read_text()))
        until(lambda: steps_were_taken(tmp_path))
        family = psutil.Process(process.pid).children(recursive=True)
        assert grandchild in {one.pid for one in family}
        process.send_signal(sent)
        assert process.wait(30) == 130
    _, alive = psutil.wait_procs(family, timeout=5)
    assert not alive
    compared = cli("compare", "captures", "captures")
    assert (compared.returncode, compared.stdout) == (2, "")
    assert "no complete capture" in compared.stderr


def test_impatience_leaves_nothing_behind(project, tmp_path):
    """Ctrl-C again and again, while a run is ended, does not keep it from cleaning up."""
    name = written(tmp_path, "import time\ndef step(i):\n    time.sleep(0.02)", "slow.py")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    command = [sys.executable, "-m", "resleak", "capture", name, "--steps", "100000"]
    env = environment(project) | {"TMPDIR": str(temporary)}
    with started(command, tmp_path, env) as process:
        until(lambda: steps_were_taken(tmp_path))
        assert any(temporary.iterdir())
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(0.01)
    assert process.returncode == 130
    assert list(temporary.iterdir()) == []
    assert list((tmp_path / "captures").rglob(".*")) == []


def test_an_interrupted_cluster_leaves_nothing_behind(project, tmp_path):
    """Ctrl-C to a sweep on a cluster of its own leaves no file of the cluster or its workers."""
    written(tmp_path, "import time\ndef step(i):\n    time.sleep(0.02)", "slow.py")
    (tmp_path / "plan.toml").write_text('workloads = ["slow.py"]\nsteps = 100000\n')
    temporary, cache = tmp_path / "temporary", tmp_path / "cache"
    temporary.mkdir()
    command = [sys.executable, "-m", "resleak", "sweep", "plan.toml", "--store", "store"]
    env = environment(project) | {"TMPDIR": str(temporary), "XDG_CACHE_HOME": str(cache)}
    with started([*command, "--cluster", "local"], tmp_path, env) as process:
        until(lambda: steps_were_taken(temporary))
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert [path.name for path in temporary.rglob("*")] == []
    left = {"slow.py", "plan.toml", "printed.txt", "store", "temporary", "cache"}
    assert {path.name for path in tmp_path.iterdir()} == left


def test_an_interrupted_start_prints_nothing(project):
    """Ctrl-C while the command line is still loading ends it without a traceback."""
    code = """
import os, signal, sys
class Interrupt:
    def find_spec(self, name, path, target=None):
        if name == "resleak.errors":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
import resleak.__main__
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(project), capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no hang-up here")
def test_a_hangup_that_the_shell_ignores_is_ignored(project, tmp_path):
    """A run under nohup goes on after the terminal is closed."""
    name = written(tmp_path, "def step(i):\n    bytes(5000)", "mine.py")
    command = ["nohup", sys.executable, "-m", "resleak", "capture", name]
    command += ["--runs", "1", "--steps", "60"]
    with started(command, tmp_path, environment(project)) as process:
        until(lambda: steps_were_taken(tmp_path))
        process.send_signal(signal.SIGHUP)
        assert process.wait(60) == 0


def steps_were_taken(folder: Path) -> bool:
    return any(path.stat().st_size for path in folder.rglob("trace.raw"))


@contextmanager
def started(
    command: list[str], folder: Path, env: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "printed.txt").open("wb") as printed:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=printed, stderr=printed)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def until(ask: Callable[[], Any], patience_s: float = 60) -> Any:
    """Return the first answer that is something."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        with suppress(OSError, StopIteration):
            if answer := ask():
                return answer
        time.sleep(0.05)
    raise TimeoutError("nothing happened")


def test_lab_serves_the_first_notebook_on_this_machine_only(project, tmp_path):
    """`lab` starts JupyterLab on 127.0.0.1 with the first notebook within reach."""
    env = {
        **environment(project),
        "JUPYTER_RUNTIME_DIR": str(tmp_path),
        "JUPYTER_CONFIG_DIR": str(tmp_path),
        "BROWSER": "true",
    }
    command = [sys.executable, "-m", "resleak", "lab"]
    with started(command, tmp_path, env) as process:
        about = json.loads(until(lambda: next(iter(tmp_path.glob("jpserver-*.json"))).read_text()))
        assert about["pid"] == process.pid
        assert about["url"].startswith("http://127.0.0.1:")
        where = f"{about['url']}api/contents/notebooks/00_start_here.ipynb?content=0"
        # The file is there a moment before the server listens; a refused connection is tried again.
        page = until(lambda: urlopen(f"{where}&token={about['token']}").read())
    assert json.loads(page)["type"] == "notebook"
