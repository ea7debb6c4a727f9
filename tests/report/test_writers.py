"""A report becomes paper, or Markdown with pictures beside it, where there is a Chromium."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import nbformat
import plotly.graph_objects as go
import pytest

from resleak.errors import MissingPackageError, ResleakError, ShareError
from resleak.report import html_page, writers
from resleak.report.summary import Finding

FOUND = Finding("own/queue", "It grows.", ["leak"], "**`leaky` leaks**: 3.", "", "", "Stop it.")


@pytest.fixture(scope="module")
def page() -> html_page.Page:
    """Return a page with a figure of 300 pixels, and something found."""
    figure = go.Figure(go.Scatter(y=[1, 2]), layout={"height": 300, "title": "Growth"})
    output = nbformat.v4.new_output(
        "display_data", {html_page._PLOTLY: json.loads(figure.to_json())}
    )
    cells = [nbformat.v4.new_markdown_cell("# Does it grow?\n\nBy **3**.")]
    cells += [nbformat.v4.new_code_cell("figure", outputs=[output])]
    return html_page.Page(nbformat.v4.new_notebook(cells=cells), findings=[FOUND])


@pytest.mark.browser
def test_markdown_stands_alone_with_its_pictures(page, tmp_path, chromium):
    """The file has title, answer, verdict and a link to each picture, as high as its figure."""
    writers.writer(tmp_path / "issue.md")(page)
    text = (tmp_path / "issue.md").read_text(encoding="utf-8")
    assert text.startswith("## Does it grow?\n\nBy **3**.\n\n### `own/queue`: leak\n")
    assert "![Growth](issue-1.png)" in text
    picture = (tmp_path / "issue-1.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", picture[16:24])
    assert (width, 600 < height < 800) == (1800, True)
    assert len(picture) > 10_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["issue-1.png", "issue.md"]


@pytest.mark.browser
def test_markdown_replaces_its_own_pictures_alone(page, tmp_path, chromium):
    """A picture that the earlier file links to is drawn again; any other one is refused."""
    report, picture = tmp_path / "issue.md", tmp_path / "issue-1.png"
    picture.write_bytes(b"mine")
    report.write_text("My notes.")
    with pytest.raises(ShareError, match=r"issue-1\.png exists and is no picture of issue\.md"):
        writers.writer(report)(page)
    assert (picture.read_bytes(), report.read_text()) == (b"mine", "My notes.")
    report.write_text("![Growth](issue-1.png)")
    writers.writer(report)(page)
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.browser
def test_paper_has_the_figures(page, tmp_path, chromium):
    """A PDF is written whole, with what is drawn in it."""
    writers.writer(tmp_path / "report.pdf")(page)
    content = (tmp_path / "report.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert content.rstrip().endswith(b"%%EOF")
    assert len(content) > 15_000


@pytest.mark.parametrize("name", ["report.docx", "report"])
def test_another_kind_is_refused_before_anything_runs(name):
    """A name that asks for no known kind gets a line with those there are."""
    with pytest.raises(ShareError, match=r"no kind of report: write \.html, \.md or \.pdf"):
        writers.writer(Path(name))


def test_without_chromium_a_page_is_still_written(tmp_path, monkeypatch):
    """Where there is none, paper is refused with what to install; HTML needs none."""
    monkeypatch.delenv("RESLEAK_CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPackageError, match=r"need Chromium: .*HTML needs none"):
        writers.writer(tmp_path / "report.pdf")
    assert writers.writer(tmp_path / "report.html")


def test_a_chromium_that_does_nothing_is_told(page, tmp_path, monkeypatch):
    """If what is called Chromium writes nothing, one line says so, and no file is left."""
    monkeypatch.setenv("RESLEAK_CHROMIUM", "/bin/true")
    for name in ("report.pdf", "report.md"):
        with pytest.raises(ResleakError, match="share"):
            writers.writer(tmp_path / name)(page)
    assert list(tmp_path.iterdir()) == []


def test_a_chromium_that_fails_is_quoted(page, tmp_path, monkeypatch):
    """Reports and the check show the code and the last line of a Chromium that cannot run."""
    broken = tmp_path / "chromium"
    broken.write_text("#!/bin/sh\necho first >&2; echo 'no libnss3.so' >&2; exit 2\n")
    broken.chmod(0o755)
    monkeypatch.setenv("RESLEAK_CHROMIUM", str(broken))
    told = "ended with code 2: no libnss3.so"
    for name in ("report.pdf", "report.md"):
        with pytest.raises(ShareError, match=told):
            writers.writer(tmp_path / name)(page)
    with pytest.raises(MissingPackageError, match=told):
        writers.working_browser()
