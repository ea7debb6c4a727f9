"""Notebooks, scenarios and folders are shared by a command."""

from __future__ import annotations

from html import unescape
from pathlib import Path

import nbformat
import pytest

import resleak
from resleak.errors import ShareError
from resleak.ui.cli import notebooks


def test_a_notebook_is_shared(cli, tmp_path):
    """`share` executes a notebook with the parameters given and prints where the file is."""
    cells = [
        nbformat.v4.new_code_cell("N = 2\nNAME = 'a'", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("print(NAME, 'has', N**2)"),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "squares.ipynb")
    result = cli("share", "squares.ipynb", "-p", "N=3", "-p", "NAME=b=c", "-o", "made/nine.html")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.split() == ["made/nine.html"]
    assert "b=c has 9" in (tmp_path / "made/nine.html").read_text()


def test_a_scenario_is_shared(cli, leak_here, tmp_path):
    """`share NAME` puts the captures of this folder into the notebook for any scenario."""
    result = cli("share", leak_here)
    assert (result.returncode, result.stderr) == (0, "")
    page = unescape((tmp_path / "work.html").read_text())
    assert "<title>work" in page
    assert "descriptors" in page
    assert len(resleak.load(tmp_path / "work.html")) == len(resleak.load(tmp_path / "captures"))


def test_a_folder_of_captures_is_shared_as_its_scenario(project):
    """A folder is put into the notebook as it is; one of several is shared one by one, unnamed."""
    folder = project / "data" / "captures"
    one = str(folder / "arc" / "auth_cache")
    assert notebooks._each(one, Path("x.html")) == [(one, "arc/auth_cache")]
    title, given = notebooks._investigated(one, "arc/auth_cache", project, {})
    assert title == "arc/auth_cache"
    assert given == {"SCENARIO": "auth_cache", "CAPTURES": str(folder / "arc")}
    assert (one, "arc/auth_cache") in notebooks._each(str(folder), None)
    with pytest.raises(ShareError, match=r"has \d+ scenarios: leave out -o"):
        notebooks._each(str(folder), Path("x.html"))


def test_a_folder_of_one_system_is_shared_scenario_by_scenario(project):
    """`share captures/arc` finds the folder of each scenario, as `share captures` does."""
    folder = project / "data" / "captures" / "arc"
    places = notebooks._each(str(folder), None)
    assert (str(folder / "auth_cache"), "arc/auth_cache") in places
    assert all(Path(place).is_dir() for place, _ in places)
