"""A damaged or hostile notebook is refused in one line, or shown without what is damaged."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from helpers import books

from resleak.errors import ShareError
from resleak.report import html_page
from resleak.report.share import read, share


def notebook(**changes: Any) -> dict[str, Any]:
    return {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 4, **changes}


def cell(**changes: Any) -> dict[str, Any]:
    whole = {"cell_type": "code", "source": "1", "metadata": {}, "outputs": []}
    return {**whole, "execution_count": None, **changes}


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


HOSTILE = {
    "no JSON": "{",
    "a list": "[]",
    "a number": "7",
    "null": "null",
    "not UTF-8": b"\xff\xfe{}",
    "deep nesting": "[" * 200_000,
    "deep metadata": json.dumps(notebook(metadata={"a": nested(200)})),
    "a huge number": '{"nbformat": ' + "9" * 5000 + "}",
    "another format": json.dumps(notebook(nbformat=99)),
    "a format that is a text": json.dumps(notebook(nbformat="4")),
    "cells that are a text": json.dumps(notebook(cells="abc")),
    "cells that are numbers": json.dumps(notebook(cells=[1, 2])),
    "a cell without a source": json.dumps(notebook(cells=[{"cell_type": "code"}])),
    "a source that is a number": json.dumps(notebook(cells=[cell(source=5)])),
    "tags that are a number": json.dumps(notebook(cells=[cell(metadata={"tags": 5})])),
    "an unknown cell": json.dumps(notebook(cells=[cell(cell_type="x")])),
    "outputs that are a text": json.dumps(notebook(cells=[cell(outputs="x")])),
    "an unknown output": json.dumps(notebook(cells=[cell(outputs=[{"output_type": "x"}])])),
    "an old format": json.dumps({"nbformat": 3, "worksheets": 5}),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_damaged_notebook_is_refused_in_one_line(tmp_path, content, capfd):
    """Whatever is wrong with it, the error is one line, and nothing is printed."""
    path = tmp_path / "book.ipynb"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ShareError, match="is not a notebook") as error:
        share(path, tmp_path / "out.html", execute=False)
    assert len(str(error.value).splitlines()) == 1
    assert len(str(error.value)) < 500 + len(str(path))
    assert capfd.readouterr() == ("", "")


def test_what_is_not_a_file_is_refused(tmp_path):
    """A pipe, a folder and a file too large are refused without being read."""
    os.mkfifo(tmp_path / "pipe.ipynb")
    for path in (tmp_path / "pipe.ipynb", tmp_path, Path("/dev/zero")):
        with pytest.raises(ShareError, match="is not a file"):
            read(path)
    large = tmp_path / "large.ipynb"
    with large.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ShareError, match="is larger than"):
        read(large)


@pytest.mark.parametrize(
    ("source", "is_coloured"),
    [
        ("if x:\n    y = 'text'\n", True),
        ("x = 1" + "\n" * 50 + "y = 2", True),
        ("x = 1\n" + " \n" * 500 + "y = 2", False),
        ("x = 1\n" + ".a" * 500, False),
    ],
)
def test_source_is_coloured_if_that_takes_no_long_time(tmp_path, source, is_coloured):
    """Blanks and lines for which the lexer would take long are shown as plain text."""
    path = tmp_path / "book.ipynb"
    path.write_text(json.dumps(notebook(cells=[cell(source=source)])))
    report = share(path, tmp_path / "out.html", execute=False)
    (shown,) = BeautifulSoup(report.read_text(encoding="utf-8"), "html.parser").select(".highlight")
    assert shown.get_text().split() == source.split()
    assert bool(shown.select("span[class]")) == is_coloured


DATA = [
    {html_page._PLOTLY: value}
    for value in ("x", 5, [], {}, {"data": 1}, {"data": [1]}, {"data": [], "layout": [1]})
]
DATA += [
    {html_page._PLOTLY: {"data": [{"type": ["x"]}], "layout": {"height": value, "title": [5]}}}
    for value in ("x", -1, 1e300, [1])
]
DATA += [{html_page.FLAME: value} for value in ("x", 5, [1], {"table": {"head": 1, "rows": 2}})]


@pytest.mark.parametrize("data", DATA, ids=lambda data: json.dumps(data)[:60])
def test_a_damaged_figure_is_passed_over(tmp_path, data):
    """A figure that is not one neither stops the report nor hides what follows it."""
    outputs = [
        {"output_type": "display_data", "metadata": {}, "data": data},
        {"output_type": "stream", "name": "stdout", "text": "still here"},
    ]
    path = tmp_path / "book.ipynb"
    path.write_text(json.dumps(notebook(cells=[cell(outputs=outputs)])))
    page = share(path, tmp_path / "out.html", execute=False).read_text(encoding="utf-8")
    assert "still here" in page


@pytest.mark.parametrize("source", ["%matplotlib inline", "A = " + "9" * 5000, "A = " + "(" * 999])
def test_parameters_that_are_not_python_are_refused(tmp_path, source):
    """A cell of parameters that cannot be parsed is said in one line."""
    path = books.write(tmp_path / "book.ipynb", "# T", (source, books.PARAMETERS))
    with pytest.raises(ShareError, match="the cell of parameters is not Python"):
        share(path, tmp_path / "out.html", {"A": 1})
