"""Exit codes: 1 only for a leak, 2 for what a user can change, 70 for our own faults."""

from __future__ import annotations

import json
import os
import pty
import re
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from helpers import foreign

from resleak.workload import catalog

Run = Callable[..., subprocess.CompletedProcess[str]]

LONG = "x" * 5000
CAPTURES = str(Path(__file__).parents[2] / "data" / "captures" / "arc" / "auth_cache")


@pytest.fixture
def as_process(tmp_path: Path, project: Path) -> Run:
    """Run resleak in an empty folder with other settings of the environment."""

    def run(
        *arguments: str | bytes, stdout: object = subprocess.PIPE, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "resleak", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(project), "COLUMNS": "200", **variables},
            stdout=stdout,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def refusal(result: subprocess.CompletedProcess[str]) -> str:
    """Return the one line of a refusal."""
    assert result.returncode == 2, result
    (line,) = result.stderr.splitlines()
    assert line.startswith("resleak: ")
    return line


@pytest.mark.parametrize("kind", ["LookupError", "EOFError"])
def test_an_unexpected_error_exits_with_70_and_a_private_traceback(tmp_path, project, kind):
    """A fault of ours ends with 70 and one line that names a file of mode 600."""
    code = (
        "import sys; sys.argv = ['resleak', 'list']\n"
        "from resleak.workload import catalog\n"
        f"def scan(): raise {kind}('a fault \\x1b[2J of ours')\n"
        "catalog.scan = scan\n"
        "import resleak.__main__ as main; main.main()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(project), "TMPDIR": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (70, "")
    line = result.stderr.strip()  # typer writes an empty line before an EOFError
    assert "\n" not in line
    assert f"unexpected {kind}: a fault ⟨U+001B⟩[2J of ours" in line
    path = Path(re.search(r"traceback in (\S+)$", line)[1])
    assert path.parent == tmp_path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "in scan" in path.read_text()


HOMELESS = """
import os, pwd, sys
def getpwuid(number): raise KeyError(number)
pwd.getpwuid = getpwuid
os.environ.pop("HOME", None)
sys.argv = ["resleak", *sys.argv[1:]]
import resleak.__main__ as main; main.main()
"""


def test_a_user_without_a_home_is_given_one_for_a_while(tmp_path, project):
    """Without HOME and without an entry for the user, commands do as always, and leave nothing."""
    environment = {**os.environ, "PYTHONPATH": str(project), "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    (tmp_path / "note.ipynb").write_text(
        '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
    )
    for arguments, code, words in (
        (["open", "absent.bin"], 2, "absent.bin is missing"),
        (["share", "note.ipynb", "-o", "note.html"], 0, "note.html"),
    ):
        result = subprocess.run(
            [sys.executable, "-c", HOMELESS, *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (result.returncode, words in result.stdout + result.stderr) == (code, True), result
    assert not [*(tmp_path / "tmp").iterdir()]


def test_too_little_memory_is_said(tmp_path, project):
    """Memory that cannot be had is a limit of the user's, and no fault of ours."""
    code = (
        "import sys; sys.argv = ['resleak', 'list']\n"
        "from resleak.workload import catalog\n"
        "catalog.scan = lambda: bytearray(1 << 60)\n"
        "import resleak.__main__ as main; main.main()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(project), "TMPDIR": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert "not enough memory" in refusal(result)
    assert not [*tmp_path.iterdir()]


def test_scenarios_have_titles_under_python_oo(as_process):
    """Where Python strips docstrings, scenarios are listed as ever."""
    stripped = as_process("list", "--json", PYTHONOPTIMIZE="2")
    assert (stripped.returncode, stripped.stdout) == (0, as_process("list", "--json").stdout)


#: Takes its standard input for its terminal, whose keys send signals, and asks.
ASKS = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
sys.argv = ["resleak", "list"]
from resleak.ui.cli import watch
from resleak.workload import catalog
catalog.scan = lambda: watch._agreed("It may pause", False)
import resleak.__main__ as main
main.main()
"""


@pytest.mark.parametrize(
    ("key", "code"), [(b"n\n", 0), (b"\x03", 130), (b"\x04", 130)], ids=["no", "ctrl-c", "ctrl-d"]
)
def test_a_prompt_can_be_left(project, key, code):
    """No, Ctrl-C and Ctrl-D at a question end the command, and are no unexpected errors."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", ASKS],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(project)},
    )  # fmt: skip
    os.close(theirs)
    output = b""
    with open(ours, "r+b", buffering=0) as screen:
        while b"[y/N]:" not in output:
            output += screen.read(1000)
        time.sleep(0.2)  # the question is written before its answer is read
        screen.write(key)
        with suppress(OSError):  # how Linux says that the other end was closed
            while part := screen.read(1000):
                output += part
    assert process.wait(60) == code
    assert b"unexpected" not in output


@pytest.mark.parametrize("arguments", [("list",), ("list", "--json"), ("--help",)])
def test_a_closed_pipe_ends_quietly(as_process, arguments):
    """Nobody reading the output any more is no error."""
    reader, writer = os.pipe()
    os.close(reader)
    result = as_process(*arguments, stdout=writer)
    os.close(writer)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_report_is_written_whoever_reads_the_answer(as_process, tmp_path):
    """`investigate` and `open` write the file of -o although the pipe of their answer is closed."""
    (tmp_path / "work.py").write_text("def step(i): pass\n")
    foreign.record(tmp_path)
    for arguments in (
        ("investigate", "work.py", "--steps", "30", "--runs", "1"),
        ("open", "some.bin"),
    ):
        reader, writer = os.pipe()
        os.close(reader)
        result = as_process(*arguments, "-o", f"{arguments[0]}.html", stdout=writer)
        os.close(writer)
        assert result.returncode == 0
        assert "</html>" in (tmp_path / f"{arguments[0]}.html").read_text()


@pytest.mark.parametrize("streams", ["2>&-", "0<&- 1>&-", "0<&- 1>&- 2>&-"])
def test_closed_streams_are_no_error(tmp_path, project, streams):
    """A job without standard streams, as some schedulers start it, does its work."""
    command = f"{sys.executable} -m resleak"
    capture = project / "data/captures/control/do_nothing"
    for arguments in (f"judge {capture}", "record --for 2s -- sleep 5"):
        result = subprocess.run(
            ["sh", "-c", f"exec {command} {arguments} {streams}"],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(project)}, timeout=120, check=False,
        )  # fmt: skip
        assert result.returncode == 0, arguments


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("arguments", [("list",), ("list", "--json"), ("--help",)])
def test_a_full_disk_below_the_output_is_said(as_process, arguments):
    """An output that cannot be written ends with 2 and the system's reason."""
    with Path("/dev/full").open("w") as full:
        result = as_process(*arguments, stdout=full)
    assert refusal(result) == "resleak: cannot write the output: No space left on device"


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "no_SUCH.locale", "LANG": "no_SUCH.locale"},
    ],
)
def test_any_encoding_can_be_printed(as_process, variables):
    """Tables and JSON are printed whatever the terminal's encoding is, JSON without a loss."""
    table = as_process("list", **variables)
    assert (table.returncode, table.stderr) == (0, "")
    titles = [row["title"] for row in json.loads(as_process("list", "--json", **variables).stdout)]
    assert titles == [scenario.title for scenario in catalog.scan()]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("open", ""), "is a folder"),
        (("open", LONG), "there is no such file"),
        (("judge", LONG), LONG[:50]),
        (("share", LONG), LONG[:50]),
        (("compare", LONG, LONG), LONG[:50]),
        (("investigate", f"{LONG}.py"), ""),
        (("judge", b"\xff.py"), "is not UTF-8"),
        (("open", b"\xed\xa0\x80"), "is not UTF-8"),
        (("judge", ""), ""),
        (("share", ""), ""),
        (("record", "--load", "'", "--", "true"), "No closing quotation"),
        (("record", "--load", "", "--", "true"), "--load is empty"),
        (("record", "--load-url", "http://[::1", "--", "true"), "not an address"),
        (
            ("record", "--requests", "http://127.0.0.1/", "--", "true"),
            "is not a counter; write http",
        ),
        (
            ("watch", str(os.getpid()), "--requests", "http://127.0.0.1:9/#n"),
            "n was not used: no answer",
        ),
        (("record", "--warmup", "soon", "--", "true"), "not a duration"),
        (("capture", "arc/auth_cache", "--until-sure", "--budget", "-5s"), "not a duration"),
        (("capture", "arc/auth_cache", "--until-sure", "--budget", "nans"), "not a duration"),
        (("watch", "1", "--for", "infs"), "not a duration"),
        (("watch", "1", "--every", "inf"), "'--every': it must be at most 86400"),
        (("record", "--every", "1e300", "--", "true"), "'--every': it must be at most 86400"),
        (("watch", "1", "--every", "nan"), "'--every': it must be at"),
        (("watch", "1", "--attach", str(10**20)), "'--attach': it must be at most 86400"),
        (
            ("capture", "arc/auth_cache", "--seed", str(10**20)),
            "seed must be at most 4,294,967,295",
        ),
        (("judge", "x", "--budgets", "fifo"), "not a regular file"),
        (("investigate", "arc/auth_cache", "--known", "fifo"), "not a regular file"),
        (("investigate", "arc/auth_cache", "--known", "/dev/zero"), "not a regular file"),
        (("judge", "x", "--budgets", "/dev/zero"), "not a regular file"),
        (("share", CAPTURES), "exists and is not a report"),
        (("judge", "x", "--budgets", "large.toml"), "is larger than"),
        (("judge", "x", "--budgets", "deep.toml"), "is no TOML"),
        (("judge", "x", "--budgets", LONG), LONG[:50]),
    ],
)
def test_a_bad_argument_gets_one_line_and_2(cli, tmp_path, arguments, words):
    """What cannot be used is refused at once, in one line, without a traceback."""
    for name in ("fifo", "arc-auth_cache.html"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "large.toml").write_bytes(b"#" * (2 << 20))
    (tmp_path / "deep.toml").write_text(f"a = {'[' * 9000}")
    line = refusal(cli(*arguments))
    assert words in line
    assert "unexpected" not in line


def test_a_deleted_working_directory_is_said(as_process, tmp_path, project):
    """In a folder that was deleted, one line says so."""
    folder = tmp_path / "gone"
    folder.mkdir()
    code = f"import os; os.rmdir({str(folder)!r}); import resleak.__main__ as m; m.main()"
    result = subprocess.run(
        [sys.executable, "-c", code, "capture", "arc/auth_cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "was deleted; change to another one" in refusal(result)


def test_a_recording_without_a_reading_is_no_success(as_process):
    """A command that ends before it could be read exits with 2, and says so."""
    result = as_process("record", "--", "true")
    assert result.returncode == 2
    assert "unexpected" not in result.stderr


def test_a_short_watch_has_a_reading(as_process, tmp_path):
    """The time for loading is not part of --for: even a short watch reads and is stored."""
    with subprocess.Popen(["sleep", "60"]) as process:
        result = as_process("watch", str(process.pid), "--for", "0.1s", "--json", "--name", "w")
        process.kill()
    last = json.loads(result.stdout.splitlines()[-1])
    assert last["readings"] >= 1
    assert (tmp_path / "captures" / "w").is_dir()


def test_the_help_documents_every_code(cli):
    """`resleak --help` has all exit codes."""
    words = " ".join(cli("--help").stdout.replace("│", " ").split())
    for code in ("0 done", "1 judged", "2 the request", "3 watch", "70 unexpected", "130 inter"):
        assert code in words


def test_an_escape_sequence_in_a_name_is_shown_not_sent(as_process):
    """Names from files and arguments reach the terminal without control characters."""
    line = refusal(as_process("open", "evil\x1b]52;c;aGk=\x07\u202e.bin"))
    assert "evil⟨U+001B⟩]52;c;aGk=⟨U+0007⟩⟨U+202E⟩.bin" in line


def test_a_table_and_a_line_are_printed_as_plain_text(capsys):
    """Every way of printing shows control characters, in cells, heads and lines."""
    from rich.text import Text

    from resleak.formatting import Table
    from resleak.ui.cli import console

    evil = "a\x1b]52;c;aGk=\x07\u202eb"
    console.out(evil, console.rich_table(Table((evil,), [(evil,)])), Text("styled"))
    console.out_json({"x": evil})
    printed = capsys.readouterr().out
    assert printed.count("a⟨U+001B⟩]52;c;aGk=⟨U+0007⟩⟨U+202E⟩b") == 3
    assert "styled" in printed
    assert printed.replace("\n", "").isprintable()
