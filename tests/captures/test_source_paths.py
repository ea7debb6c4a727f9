"""Files are named by where they belong."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pandas as pd
import pytest

from resleak.captures import source_paths
from resleak.workload import catalog


def test_standard_library() -> None:
    """A module of the standard library is named below <stdlib>."""
    assert source_paths.place(asyncio.__file__) == "<stdlib>/asyncio/__init__.py"


def test_installed_package() -> None:
    """A module of an installed package is named below <site-packages>."""
    assert source_paths.place(pd.__file__) == "<site-packages>/pandas/__init__.py"


def test_scenario_of_ours() -> None:
    """A file of this package is named from its parent folder."""
    assert source_paths.place(catalog.__file__) == "resleak/workload/catalog.py"


def test_file_of_a_project() -> None:
    """A file of the studied project is named from its root, any other by its name alone."""
    root = Path("/home/someone/app")
    assert source_paths.place("/home/someone/app/web/views.py", root) == "web/views.py"
    assert source_paths.place("/home/someone/secret/views.py", root) == "views.py"


def test_file_of_a_project_called_as_ours() -> None:
    """A file of a project in a folder called "resleak" is named from its root, too."""
    root = Path("/home/someone/resleak")
    assert source_paths.place("/home/someone/resleak/web/views.py", root) == "web/views.py"


@pytest.mark.parametrize("text", ["no path here", "1/2 and a/b", "https://host/page"])
def test_text_without_paths_stays(text: str) -> None:
    """Fractions, relative paths and addresses are left alone."""
    assert source_paths.redact(text) == text


def test_paths_in_a_text_are_replaced() -> None:
    """An absolute path inside a message loses its folders."""
    told = source_paths.redact("cannot open '/home/someone/app/data.db': denied")
    assert told == "cannot open 'data.db': denied"
