"""Pages and comments name files that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGES = ("*.md", "data/README.md", "docs/**/*.md")
#: A relative link, or a path of a file in code quotes.
_NAMES = re.compile(
    r"\]\(([^)#:]+)\)|`(?:python )?([\w./-]+/[\w.-]+\.(?:py|md|toml|yml|ipynb|mjs))`"
)


def pages(*patterns: str) -> list[Path]:
    return [page for pattern in patterns for page in sorted(ROOT.glob(pattern))]


@pytest.mark.parametrize("page", pages(*PAGES), ids=lambda page: page.name)
def test_a_page_names_files_that_exist(page: Path) -> None:
    """Every link and every path on a page leads to a file or folder of the repository."""
    text = page.read_text(encoding="utf-8")
    names = [link or path for link, path in _NAMES.findall(text)]
    places = (page.parent, ROOT, ROOT / "resleak", ROOT / "resleak" / "captures")
    assert [name for name in names if not any((place / name).exists() for place in places)] == []


def test_comments_name_decisions_that_exist() -> None:
    """Every decision that code or a notebook refers to is there."""
    files = pages("resleak/**/*.py", "tests/**/*.py", "benchmarks/*.py", "notebooks/*.ipynb")
    names = {
        name
        for file in files
        for name in re.findall(r"docs/decisions/(\d{4}[\w-]*)", file.read_text(encoding="utf-8"))
    }
    assert names
    assert [name for name in sorted(names) if not pages(f"docs/decisions/{name}*")] == []
