"""The documentation builds without a warning, and says what the package does."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest
import typer
from bs4 import BeautifulSoup

from resleak.ui import cli

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
WRITTEN = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("[gr]*/[!_]*.md"))]
PAGES = [page for page in WRITTEN if not page.name.startswith("_")]
COMMANDS = typer.main.get_command(cli.app).commands
#: `resleak …` in code quotes or at a prompt.
_TYPED = re.compile(r"(?:^\$ |`)(resleak [^`\n#]+)", re.MULTILINE)


def options(name: str) -> set[str]:
    return {text for one in COMMANDS[name].params for text in one.opts} | {"--help"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_on_a_page_exist(page):
    """Each command line on a page has a command and options that there are."""
    wrong = []
    for line in _TYPED.findall(page.read_text(encoding="utf-8")):
        _, name, *words = shlex.split(line.partition(" -- ")[0], posix=True)
        given = {word for word in words if re.fullmatch(r"--?[a-z][\w-]*", word)}
        if re.fullmatch("[a-z]+", name) and (name not in COMMANDS or given - options(name)):
            wrong.append(line)
    assert wrong == []


def test_every_kind_of_input_has_its_guide():
    """README and first page of the documentation lead to each guide."""
    guides = {f"guides/{path.name}" for path in (DOCS / "guides").glob("*.md")}
    for page in (ROOT / "README.md", DOCS / "index.md"):
        named = set(re.findall(r"\((?:docs/)?(guides/[\w-]+\.md)\)", page.read_text("utf-8")))
        assert named == guides


def test_the_readme_is_short():
    """It has at most 250 lines."""
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 250


@pytest.mark.nightly
def test_the_documentation_builds_and_its_links_lead_somewhere(tmp_path):
    """`make docs` gives no warning; each local link of a built page leads to a file and a place."""
    command = ["-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", str(DOCS), str(tmp_path)]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    gallery = [str(DOCS / "gallery.py"), "--stored", str(tmp_path / "gallery")]
    subprocess.run([sys.executable, *gallery], check=True, capture_output=True)
    pages = {
        path: BeautifulSoup(path.read_bytes(), "html.parser") for path in tmp_path.rglob("*.html")
    }
    places = {path: {tag["id"] for tag in page.find_all(id=True)} for path, page in pages.items()}
    lost = []
    for path, page in pages.items():
        for link in page.find_all("a", href=True):
            url = urlparse(link["href"])
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            known = places.get(target, {url.fragment}) if target.exists() else set()
            if not url.scheme and not (
                target.exists() and (not url.fragment or url.fragment in known)
            ):
                lost.append(f"{path.relative_to(tmp_path)}: {link['href']}")
    assert len(pages) > 40
    assert lost == []
