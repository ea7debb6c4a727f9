"""A shared notebook is one file: complete, harmless, silent about the machine it was made on."""

from __future__ import annotations

import base64
import errno
import getpass
import gzip
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
from bs4 import BeautifulSoup
from helpers import books
from plotly.offline import get_plotlyjs, get_plotlyjs_version

import resleak
from resleak.errors import ShareError
from resleak.figures import plotly_bundle
from resleak.report import html_page, sanitize
from resleak.report.share import share

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
DATA_TYPES = {"application/gzip", "application/json", "application/x-xz"}
FIGURE = f"""
import plotly.graph_objects as go
go.Figure(go.Scatter(y=[1, 2]), layout=dict(title={EVIL!r}))
"""
EVIL_HTML = f"""
from IPython.display import HTML
HTML({EVIL!r} + '<a href="javascript:alert(3)">go</a><table onclick="x()"><td>kept</td></table>'
     + '<p style="color: red; position: fixed">red</p><img src="https://example.org/pixel.png">')
"""
PRIVATE = """
import os, sys
print(os.getcwd(), sys.prefix, "file://" + os.getcwd())
print(os.environ["BUILD_SECRET"], os.environ["AGENT"])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("somebody's folder")


@pytest.fixture(scope="module")
def page(folder) -> BeautifulSoup:
    """Return the report of a notebook that tries everything, shared with parameters."""
    notebook = books.write(
        folder / "evil.ipynb",
        f"# Is <b>it</b> safe? {EVIL}\n\n1 < 2 & `a < b`, said {getpass.getuser()}",
        ("WHO = 'nobody'\nMANY = 1", books.PARAMETERS),
        "print('hello', WHO, MANY)",
        FIGURE,
        EVIL_HTML,
        PRIVATE,
        "from IPython.display import Javascript; Javascript('alert(4)')",
        "import sys; print('<b>escaped</b>', file=sys.stderr)",
        ("raise SystemError('only in a lab')", {"tags": ["lab"]}),
    )
    patch = pytest.MonkeyPatch()
    patch.setenv("BUILD_SECRET", "s3cr3t")
    patch.setenv("AGENT", "build-agent-17")
    patch.setenv("LOGNAME", "somebody")
    try:
        out = share(notebook, folder / "out" / "evil.html", {"WHO": "you", "MANY": 3})
    finally:
        patch.undo()
    return BeautifulSoup(out.read_text(encoding="utf-8"), "html.parser")


def scripts(page: BeautifulSoup) -> list[str]:
    """Return what a browser would run; what has a type is data."""
    assert {s["type"] for s in page.find_all("script", type=True)} <= DATA_TYPES
    return [script.string for script in page.find_all("script", type=False)]


def packed(page: BeautifulSoup, name: str) -> str:
    (found,) = page.find_all("script", type="application/gzip", attrs={"data-holds": name})
    return gzip.decompress(base64.b64decode(found.string, validate=True)).decode()


def test_parameters_reach_the_cells_and_the_footer(page):
    """An injected parameter is used by the cells and written down with the command to rerun."""
    assert "hello you 3" in page.get_text()
    footer = page.footer.get_text(" ")
    assert "WHO = 'you', MANY = 3" in footer
    assert "resleak share evil.ipynb -p WHO=you -p MANY=3 -o evil.html" in footer


def test_the_footer_tells_what_made_it(page):
    """Versions of this package, of Python and of what drew the figures are in the footer."""
    footer = page.footer.get_text(" ")
    python = ".".join(map(str, sys.version_info[:3]))
    for told in (f"resleak {resleak.__version__}", python, "plotly 7", "pandas"):
        assert told in footer


def test_one_script_runs_and_plotly_is_there_once(page):
    """What runs is ours; plotly.js is data until its hash is found in the policy."""
    (own,) = scripts(page)
    assert "Plotly.newPlot" in own
    assert packed(page, "plotly").encode() == gzip.decompress(plotly_bundle.plotlyjs(["scatter"]))
    assert f"v{get_plotlyjs_version()}" in packed(page, "plotly")[:80]


def test_the_small_build_stands_in_where_it_draws_all():
    """Lines and bars need the basic build; a sunburst needs the whole, of the same version."""
    basic, whole = (
        plotly_bundle.plotlyjs(["scatter", "bar"]),
        plotly_bundle.plotlyjs(["scatter", "sunburst"]),
    )
    assert len(basic) < 420_000 < 1_300_000 < len(whole)
    assert gzip.decompress(whole).decode() == get_plotlyjs()


def test_the_policy_allows_these_scripts_by_hash_and_no_request(page):
    """The policy names the hash of each script, and nothing may be fetched from anywhere."""
    policy = page.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    hashes = [
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        for script in (*scripts(page), packed(page, "plotly"))
    ]
    assert rules["script-src"] == " ".join(f"'sha256-{value}'" for value in hashes)
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data: blob:"
    assert page.find("meta", attrs={"http-equiv": True}).find_previous("script") is None


def test_nothing_is_loaded_from_elsewhere(page):
    """No element refers to another file or host."""
    assert not page.find_all(["link", "iframe", "object", "embed", "base", "form"])
    assert not [tag for tag in page.find_all(src=True) if not tag["src"].startswith("data:")]


def test_figures_arrive_as_data(page):
    """The figure's JSON is whole, even with a script in its title, and ends no element."""
    (figure,) = json.loads(packed(page, "figures"))
    assert figure["layout"]["title"]["text"] == EVIL
    assert figure["data"][0]["y"] == [1, 2]
    assert page.find("div", class_="figure")["style"] == "height:450px"


def test_foreign_markup_is_harmless(page):
    """Scripts, handlers and scripting links in text and tables do not survive as such."""
    attributes = {name for tag in page.find_all(True) for name in tag.attrs}
    assert not {name for name in attributes if name.startswith("on")}
    assert not [a for a in page.find_all("a") if a.get("href", "").startswith("javascript")]
    assert page.find("td", string="kept")
    red = page.find("p", string="red")
    assert red["style"] == "color:red"
    shown = [pre.get_text() for pre in page.main.find_all("pre", class_="text")]
    assert "<IPython.core.display.Javascript object>" in shown


def test_a_table_of_pandas_brings_no_style_sheet():
    """The style sheet before a data frame's table is left out, not shown as text."""
    shown = BeautifulSoup(sanitize.clean(pd.DataFrame({"x": [1]})._repr_html_()), "html.parser")
    assert shown.find("table", class_="dataframe")
    assert "vertical-align" not in shown.get_text()


def test_text_is_shown_as_text(page):
    """Markdown, code and printed angle brackets are shown, not interpreted."""
    text = page.main.get_text()
    assert "1 < 2 & a < b" in text
    assert "<b>escaped</b>" in text
    assert page.find("b", string="it")
    assert EVIL.replace("</script>", "", 1)[:8] in text


def test_nothing_private_is_left(page, folder):
    """Neither folders, user, host nor values of the environment are in the file."""
    text = str(page)
    assert "[path]" in text
    for private in (str(folder), str(Path.home()) + "/", sys.prefix, "s3cr3t", "build-agent-17"):
        assert private not in text
    assert "[env BUILD_SECRET] [env AGENT]" in text
    host = socket.gethostname()
    assert host == "localhost" or f" {host} " not in page.get_text(" ")


def test_the_footer_counts_what_was_replaced(page):
    """The reader is told that, and how often, something was taken out."""
    told = page.footer.find("dt", string="Replaced before writing").find_next("dd").get_text()
    assert "environment values" in told
    assert "paths" in told


def test_code_and_warnings_are_behind_the_switch(page):
    """Code, and what cells wrote to the error stream, show only when asked for."""
    assert page.find("input", id="show-code", type="checkbox")
    hidden = [tag.get_text() for tag in page.find_all(class_="code")]
    assert "<b>escaped</b>\n" in hidden
    assert any("print('hello', WHO, MANY)" in text for text in hidden)


def test_cells_for_the_lab_stay_there(page):
    """A cell tagged for JupyterLab is neither run nor shown."""
    assert "only in a lab" not in str(page)


def test_the_notebook_itself_is_unchanged(tmp_path):
    """Sharing writes nothing but the report, whatever it executes."""
    notebook = books.write(tmp_path / "book.ipynb", "# Title", "1 + 1")
    before = notebook.read_bytes()
    out = share(notebook, tmp_path / "out.html")
    assert notebook.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["book.ipynb", "out.html"]
    assert out.read_text(encoding="utf-8").count("<script") == 1


def test_stored_outputs_can_be_shown_without_a_run(tmp_path):
    """Without executing, what is stored in the notebook is shown and no kernel starts."""
    notebook = books.write(tmp_path / "book.ipynb", "# Title", "1 / 0")
    out = share(notebook, tmp_path / "out.html", execute=False)
    assert "<h1" in out.read_text(encoding="utf-8")
    with pytest.raises(ShareError, match="need the notebook to be executed"):
        share(notebook, tmp_path / "out.html", {"A": 1}, execute=False)


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        (
            "x = 1\nint('seven')",
            "code cell 2 of 3 (int('seven')) failed: ValueError: invalid literal",
        ),
        (
            "import os; os._exit(3)",
            "the kernel died in code cell 2 of 3 (import os; os._exit(3))",
        ),
    ],
)
def test_a_failing_cell_is_named(tmp_path, cell, told):
    """The error says which cell failed and how, and leaves no report."""
    notebook = books.write(tmp_path / "book.ipynb", "# T", "a = 1", cell, "b = 2")
    with pytest.raises(ShareError) as error:
        share(notebook, tmp_path / "out.html")
    assert told in str(error.value)
    assert not (tmp_path / "out.html").exists()


def test_a_slow_cell_is_stopped(tmp_path):
    """A cell that takes longer than allowed is named."""
    notebook = books.write(tmp_path / "book.ipynb", "# T", "import time; time.sleep(600)")
    with pytest.raises(ShareError, match=r"code cell 1 of 1 .* took longer than 1 s"):
        share(notebook, tmp_path / "out.html", timeout_s=1)


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"WHAT": 1}, "has no parameter 'WHAT'; it has: WHO, MANY"),
        ({"WHO": object()}, "must be a plain value, not a object"),
    ],
)
def test_wrong_parameters_are_refused(tmp_path, parameters, told):
    """A parameter the notebook lacks, or one that cannot be written down, is an error."""
    notebook = books.write(tmp_path / "b.ipynb", "# T", ("WHO = ''\nMANY = 1", books.PARAMETERS))
    with pytest.raises(ShareError, match=told):
        share(notebook, tmp_path / "out.html", parameters)


def test_what_is_no_notebook_is_refused(tmp_path):
    """A missing file, a broken one and one without parameters each get their own sentence."""
    (tmp_path / "broken.ipynb").write_text('{"cells": [')
    with pytest.raises(ShareError, match="there is no notebook"):
        share(tmp_path / "none.ipynb", tmp_path / "out.html")
    with pytest.raises(ShareError, match="is not a notebook"):
        share(tmp_path / "broken.ipynb", tmp_path / "out.html")
    plain = books.write(tmp_path / "plain.ipynb", "# T", "1")
    with pytest.raises(ShareError, match="no cell tagged 'parameters'"):
        share(plain, tmp_path / "out.html", {"A": 1})


def test_a_full_disk_keeps_the_earlier_report(tmp_path):
    """If the file cannot be written the error says so, and the earlier one is still there."""
    notebook = books.write(tmp_path / "book.ipynb", "# T")
    out = tmp_path / "out.html"
    out.write_text("earlier")
    code = (
        "import resource, signal, sys\n"
        "from resleak import errors; from resleak.report.share import share\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "try: share(sys.argv[1], sys.argv[2], execute=False)\n"
        "except errors.ShareError as error: print(error)\n"
    )
    done = run(code, notebook, out)
    assert f"cannot write {out}: {os.strerror(errno.EFBIG)}" in done.stdout
    assert out.read_text() == "earlier"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["book.ipynb", "out.html"]


def run(code: str, *arguments: Path) -> subprocess.CompletedProcess[str]:
    root = Path(resleak.__file__).parent.parent
    # -B: a limit on the size of files would cut off the byte code of what is imported below it.
    command = [sys.executable, "-B", "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    """An output path below a file is refused with the reason."""
    notebook = books.write(tmp_path / "book.ipynb", "# T")
    with pytest.raises(ShareError, match="cannot write"):
        share(notebook, notebook / "out.html", execute=False)


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_an_interrupt_leaves_no_kernel(tmp_path):
    """After Ctrl-C the kernel is gone, no report is left, and the interrupt is reported."""
    notebook = books.write(
        tmp_path / "book.ipynb", "# T", "open('begun', 'w'); import time; time.sleep(600)"
    )
    code = "import sys; from resleak.report.share import share; share(sys.argv[1], sys.argv[2])"
    root = Path(resleak.__file__).parent.parent
    command = [sys.executable, "-c", code, str(notebook), str(tmp_path / "out.html")]
    with subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, text=True) as process:
        wait_for(tmp_path / "begun")
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=60)[1]
    assert "KeyboardInterrupt" in told
    _gone, alive = psutil.wait_procs(family, timeout=20)
    assert family
    assert not alive
    assert not (tmp_path / "out.html").exists()


def wait_for(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert path.exists()


@pytest.mark.parametrize("title", ["plain", {"text": "<b>bold</b>"}, {}, None])
def test_a_figure_made_by_anyone_is_valid_json(title):
    """Whatever wrote the figure, its JSON has no NaN and ends no element, and it has a label."""
    figure = {"data": [{"y": [1.0, float("nan")], "text": "</script>"}], "layout": {"title": title}}
    output = books.nbformat.v4.new_output("display_data", {html_page._PLOTLY: figure})
    cell = books.nbformat.v4.new_code_cell("figure", outputs=[output])
    page = BeautifulSoup(
        html_page.Page(books.nbformat.v4.new_notebook(cells=[cell])).html(), "html.parser"
    )
    (told,) = json.loads(packed(page, "figures"), parse_constant=pytest.fail)
    assert told["data"] == [{"y": [1.0, None], "text": "</script>"}]
    assert page.find(class_="figure")["aria-label"].strip() in ("plain", "bold", "figure")


def test_a_report_without_figures_carries_no_plotly():
    """Where there is nothing to draw there is one script, for tables, and no data."""
    made = html_page.Page(books.nbformat.v4.new_notebook(), [("Notebook", "<empty>")]).html()
    page = BeautifulSoup(made, "html.parser")
    assert len(made) < 40_000
    assert len(scripts(page)) == len(page.find_all("script")) == 1
    assert "&lt;empty&gt;" in made


def test_links_lead_somewhere_or_are_text():
    """An address of the web stays; that of a file stays where it is known, and else is text."""
    cell = books.nbformat.v4.new_markdown_cell(
        "[web](https://example.org) [known](a.ipynb) [lost](b.ipynb) [root](/etc/x) [in](#there)"
    )
    made = html_page.Page(books.nbformat.v4.new_notebook(cells=[cell]), links={"a.ipynb": "a.html"})
    found = BeautifulSoup(made.html(), "html.parser").main.find_all("a")
    assert [(a.get_text(), a.get("href")) for a in found] == [
        ("web", "https://example.org"),
        ("known", "a.html"),
        ("lost", None),
        ("root", None),
        ("in", "#there"),
    ]
