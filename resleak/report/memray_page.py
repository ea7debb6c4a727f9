"""The report of an opened memray capture: one page, written without a notebook or a kernel."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path
from string import Template

from resleak import formatting
from resleak.analysis.memray_file import Recording
from resleak.figures import html_table
from resleak.figures.flame import page
from resleak.report import page_parts
from resleak.report.answers import ANSWERS
from resleak.report.redact import Redactor

_TEMPLATES = Path(__file__).parent / "templates"


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
    title, script = escape(redactor.text(recording.path.name)), page.script()
    shown = {
        "title": title,
        "policy": escape(page_parts.policy([script])),
        "style": (_TEMPLATES / "report" / "style.css").read_text(encoding="utf-8"),
        "summary": escape(redactor.text(recording.summary)),
        "size": escape(_size(recording)),
        "warnings": redactor.html(_warnings(recording.warnings)),
        "sites": redactor.html(_sites(recording, top)),
        "flame": page.place(redactor.tree(recording.answer("drawing", ANSWERS["drawing"]))),
        "script": script,
    }
    shown["provenance"] = _provenance(recording, target, redactor)
    whole = Template((_TEMPLATES / "opened" / "index.html").read_text(encoding="utf-8"))
    page_parts.write(target, whole.substitute(shown))
    return target


def _size(recording: Recording) -> str:
    facts = recording.integrity
    seconds = formatting.amount(max(fact["duration_s"] for fact in facts), "s")
    peak = formatting.amount(max(fact["heap_peak_bytes"] for fact in facts), "B")
    records = formatting.number(sum(fact["records"] for fact in facts))
    return f"{records} allocations and releases in {seconds}; at most {peak} at a time."


def _warnings(sentences: Iterable[str]) -> str:
    told = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f"<p>Before you believe it:</p><ul>{told}</ul>" if told else ""


def _sites(recording: Recording, top: int) -> str:
    if not recording.grown:
        return html_table.note("No line holds more at the end than at the beginning.")
    return html_table.sites_html(recording.grown, top, recording.per)


def _provenance(recording: Recording, target: Path, redactor: Redactor) -> str:
    name = recording.path.name
    made = [
        ("Capture", name),
        ("Run again", formatting.command("resleak", "open", name, "-o", target.name)),
    ]
    made += [("In Python", f"resleak.open_memray({name!r})"), *page_parts.written_with()]
    told = [(what, redactor.text(value)) for what, value in made]
    told.append(("Replaced before writing", redactor.summary()))
    return "\n".join(f"<dt>{escape(what)}</dt><dd>{escape(value)}</dd>" for what, value in told)
