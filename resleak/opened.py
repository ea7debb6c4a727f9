"""The report of an opened memray capture: one page, written without a notebook or a kernel."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from resleak import figures, report, share, stacks, units
from resleak.recording import Recording
from resleak.redact import Redactor


def write(recording: Recording, out: Path | str, *, top: int = 10) -> Path:
    """Write the report of an opened capture as one HTML file that opens offline.

    Parameters
    ----------
    recording : Recording
        Of `resleak.open_memray`.
    out : Path
        The file to write.
    top : int
        How many sites to show.

    Returns
    -------
    Path
        Where the report is.

    Raises
    ------
    ShareError
        If the file cannot be written.
    """
    target, redactor = Path(out), Redactor.here()
    book = SimpleNamespace(cells=list(_cells(recording, top, redactor)))
    made = [("Capture", recording.path.name)]
    made.append(("Run again", f"resleak open {recording.path.name} -o {target.name}"))
    told = [(name, redactor.text(value)) for name, value in made + share.written_with()]
    told.append(("Replaced before writing", redactor.summary()))
    title = redactor.text(recording.path.name)
    share.write(target, report.Page(book, told, title).plain_html())
    return target


def _cells(recording: Recording, top: int, redactor: Redactor) -> Iterator[_Cell]:
    name = recording.path.name
    yield _code(f'recording = resleak.open_memray("{redactor.text(name)}")\nrecording')
    yield _text(redactor.text(_opening(recording)))
    yield _text("<h2>Where what stays was allocated</h2>")
    sites = figures.sites_table(recording.sites, top=top, per=recording.per)
    code = f'figures.sites_table(recording.sites, top={top}, per="{recording.per}")'
    yield _code(code, redactor.tree({"text/html": sites.html}))
    yield _text("<h2>Through which calls</h2>")
    flame = figures.flamegraph(stacks.profile([recording]))
    drawn = redactor.tree({report.FLAME: flame.payload})
    yield _code("figures.flamegraph(resleak.profile([recording]))", drawn)


def _opening(recording: Recording) -> str:
    facts = recording.integrity
    seconds = units.amount(max(fact["duration_s"] for fact in facts), "s")
    peak = units.amount(max(fact["heap_peak_bytes"] for fact in facts), "B")
    records = units.number(sum(fact["records"] for fact in facts))
    size = f"{records} allocations and releases in {seconds}; at most {peak} at a time."
    told = "".join(f"<li>{escape(sentence)}</li>" for sentence in recording.warnings)
    before = f"<p>Before you believe it:</p><ul>{told}</ul>" if told else ""
    return f"<p><b>{escape(recording.summary)}</b></p><p>{escape(size)}</p>{before}"


class _Cell(dict[str, Any]):
    """A cell as nbformat has it, whose import takes longer than the whole report."""

    def __getattr__(self, name: str) -> Any:
        return self[name]


def _text(html: str) -> _Cell:
    return _Cell(cell_type="markdown", source=html, outputs=[], metadata={})


def _code(source: str, data: dict[str, Any] | None = None) -> _Cell:
    outputs = [{"output_type": "display_data", "data": data}] if data else []
    return _Cell(cell_type="code", source=source, outputs=outputs, metadata={})
