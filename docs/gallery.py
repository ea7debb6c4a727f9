"""Write all reports into build/site as plain files, for any host.

    python docs/gallery.py [NOTEBOOK …]

Each notebook becomes a report; the index page lists the reports with their answers, and all claims.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pandas as pd
from nbconvert.filters import markdown2html

from resleak import figures
from resleak.analysis import claims_table
from resleak.report import html_page, page_parts, share
from resleak.ui.cli import console

ROOT = Path(__file__).parent.parent
SITE = ROOT / "build" / "site"
_TITLE = "Leak reports from five systems, tested"
_INTRODUCTION = """<p>Each claim was tested in fresh processes, with the buggy and the fixed
version side by side. Every report below is one file: it opens offline, and contains its
captures for <code>resleak.load</code>.</p>"""


@dataclass(frozen=True)
class Entry:
    """A report of the site: file, question, answer, size in bytes and time to write."""

    name: str
    title: str
    lead: str
    size: int
    seconds: float


def build(notebooks: Sequence[Path]) -> list[Entry]:
    """Write a report per notebook, linked with each other."""
    links = {path.name: f"{path.stem}.html" for path in notebooks}
    entries = []
    for path in notebooks:
        begun = time.monotonic()
        target = share.share(path, SITE / f"{path.stem}.html", links=links)
        title, lead = html_page.title_and_lead(share.read(path))
        took = time.monotonic() - begun
        entries.append(Entry(target.name, title, lead, target.stat().st_size, took))
        console.say(f"{target.name}: {entries[-1].size / 1000:.0f} kB, {took:.0f} s")
    return entries


def render_stored(folder: Path) -> None:
    """Write each notebook as a page with the outputs that it stores; nothing is executed."""
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    links = {path.name: f"{path.stem}.html" for path in notebooks}
    for path in notebooks:
        share.share(path, folder / f"{path.stem}.html", execute=False, links=links)
    console.out(f"{len(notebooks)} notebooks in {folder}")


def index(entries: Sequence[Entry], claims: pd.DataFrame, cases: Mapping[str, str]) -> str:
    """Return the index page: the reports, and all claims in a table."""
    links = {name: name for name in (*cases.values(), *(entry.name for entry in entries))}
    listed = "".join(map(_listed, entries))
    table = figures.claims_table(claims, cases)
    output = nbformat.v4.new_output("display_data", {"text/html": table.html})
    cells = [
        nbformat.v4.new_markdown_cell(_TITLE),
        nbformat.v4.new_markdown_cell(
            f"{_INTRODUCTION}<h2>Reports</h2><ul>{listed}</ul><h2>All claims</h2>"
        ),
        nbformat.v4.new_code_cell("figures.claims_table(findings)", outputs=[output]),
    ]
    made = [("Reports", f"{len(entries)}, {sum(e.size for e in entries) / 1e6:.1f} MB")]
    book = SimpleNamespace(cells=cells)
    return html_page.Page(book, made + page_parts.written_with(), _TITLE, links=links).html()


def _listed(entry: Entry) -> str:
    lead = markdown2html(entry.lead).removeprefix("<p>").removesuffix("</p>")
    size = f"<small>{entry.size / 1000:.0f} kB</small>"
    return f'<li><p><a href="{entry.name}">{escape(entry.title)}</a> {size}<br>{lead}</p></li>'


def main() -> None:
    """Build the site, and print its size and the time it took."""
    if sys.argv[1:2] == ["--stored"]:
        render_stored(Path(sys.argv[2]))
        return
    begun = time.monotonic()
    given = [Path(path) for path in sys.argv[1:]]
    notebooks = given or sorted((ROOT / "notebooks").glob("*.ipynb"))
    entries = build(notebooks)
    cases = {
        k: Path(name).stem + ".html" for k, name in claims_table.cases(ROOT / "notebooks").items()
    }
    cases = {k: name for k, name in cases.items() if name in {entry.name for entry in entries}}
    claims = claims_table.stored(ROOT / "data" / "captures")
    page_parts.write(SITE / "index.html", index(entries, claims, cases))
    files = [path for path in SITE.rglob("*") if path.is_file()]
    weight = sum(path.stat().st_size for path in files) / 1e6
    took = time.monotonic() - begun
    console.out(f"build/site: {len(files)} files, {weight:.1f} MB, written in {took:.0f} s")


if __name__ == "__main__":
    main()
