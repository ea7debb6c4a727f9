"""A report of captures is made from its template, without a kernel or a second verdict."""

from __future__ import annotations

import shutil
import sys
import textwrap
from contextlib import nullcontext
from pathlib import Path

import psutil
import pytest
from bs4 import BeautifulSoup
from helpers import books

import resleak
from resleak.analysis import growth, known_verdicts
from resleak.errors import ShareError, StoreError
from resleak.report import collect, execute
from resleak.report.share import read, share_captures

TEMPLATE = Path(resleak.__file__).parents[1] / "notebooks" / "10_investigate.ipynb"


@pytest.fixture
def judgings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count how often gauges are judged."""
    judge, calls = growth.judge, []

    def counted(*arguments):
        calls.append(1)
        return judge(*arguments)

    monkeypatch.setattr(growth, "judge", counted)
    return calls


@pytest.fixture
def stored(tmp_path: Path, project: Path) -> Path:
    shutil.copytree(project / "data/captures/control/do_nothing", tmp_path / "c" / "do_nothing")
    return tmp_path / "c"


def test_a_known_verdict_is_not_judged_again(stored, tmp_path, judgings):
    """The report shows the very verdict it is given, with the captures inside."""
    captures = resleak.load(stored)
    verdict = resleak.judge(captures)
    parameters = {"SCENARIO": "do_nothing", "CAPTURES": str(stored)}
    with known_verdicts.known(captures, verdict):
        assert resleak.judge(resleak.load(stored)) is verdict
        report = share_captures(TEMPLATE, tmp_path / "r.html", parameters, title="x")
    assert len(judgings) == 1
    assert len(resleak.load(report)) == len(captures)
    page = BeautifulSoup(report.read_text(encoding="utf-8"), "html.parser")
    assert page.find(class_="finding")
    assert page.find(class_="figure")
    assert resleak.judge(captures) is not verdict


def test_a_changed_capture_is_judged_anew(stored, judgings):
    """A verdict is known for these very files only."""
    captures = resleak.load(stored)
    verdict = resleak.judge(captures)
    with known_verdicts.known(captures, verdict):
        manifest = captures[0].path / "manifest.json"
        manifest.write_text(manifest.read_text() + "\n")
        assert resleak.judge(captures) is not verdict
    assert len(judgings) == 2


def test_cells_of_the_package_run_here(tmp_path):
    """Displayed values and the last value of a cell are its outputs, in their order."""
    path = books.write(tmp_path / "book.ipynb", "# T", "a = 2\ndisplay('x', a)\na + 1", "b = a\n")
    book = read(path)
    assert execute.run_here(book, tmp_path) == collect.Contents()
    shown = [[output.data["text/plain"] for output in cell.outputs] for cell in book.cells[1:]]
    assert shown == [["'x'", "2", "3"], []]


def test_an_error_of_the_captures_is_theirs(tmp_path):
    """What is wrong with the captures is said as it is, not as a failing cell."""
    parameters = {"SCENARIO": "absent", "CAPTURES": str(tmp_path)}
    with pytest.raises(StoreError, match="no complete capture"):
        share_captures(TEMPLATE, tmp_path / "r.html", parameters)


def test_a_kernel_is_given_no_code(tmp_path):
    """What is run after the last cell of a notebook does nothing by itself."""
    assert not compile(collect.END, "<end>", "exec").co_names
    book = read(books.write(tmp_path / "book.ipynb", "# T", "import sys; print(*sys.argv)"))
    contents = execute.run(book, tmp_path)
    assert contents == collect.Contents()
    assert "resleak.report.collect" in book.cells[1].outputs[0].text


def test_a_file_beside_a_notebook_hides_no_module(tmp_path):
    """A notebook imports what lies beside it, but never in place of what is installed."""
    (tmp_path / "json.py").write_text("raise SystemExit('run')")
    (tmp_path / "mine.py").write_text("here = 1")
    path = books.write(tmp_path / "book.ipynb", "# T", "import json, mine; print(json.dumps(1))")
    execute.run(book := read(path), tmp_path)
    assert book.cells[1].outputs[0].text == "1\n"


@pytest.mark.skipif(sys.platform != "linux", reason="needs a subreaper")
@pytest.mark.parametrize("last", ["pass", "1 / 0", "import os; os._exit(1)"])
def test_what_a_cell_started_ends_with_the_kernel(tmp_path, last):
    """A process of a session of its own ends, however the notebook ends."""
    start = """
        import subprocess
        process = subprocess.Popen(["sleep", "600"], start_new_session=True, env={})
        open("pid", "w").write(str(process.pid))
    """
    book = read(books.write(tmp_path / "book.ipynb", "# T", textwrap.dedent(start), last))
    with nullcontext() if last == "pass" else pytest.raises(ShareError):
        execute.run(book, tmp_path)
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))
