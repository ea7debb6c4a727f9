"""The report of a memray file: one page, written without a notebook or a kernel."""

from __future__ import annotations

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
    """Write the report of an opened memray file, with its `top` sites, as one HTML file."""
    target, redactor = Path(out), Redactor.here()
    title, script = escape(redactor.text(recording.path.name)), page.script()
    warnings = "".join(f"<li>{escape(sentence)}</li>" for sentence in recording.warnings)
    warnings = f"<p>Limitations:</p><ul>{warnings}</ul>" if warnings else ""
    sites = formatting.note("No line holds more at the end than at the beginning.")
    if recording.grown:
        sites = html_table.sites_html(recording.grown, top, recording.per)
    parts = {
        "title": title,
        "policy": escape(page_parts.policy([script])),
        "style": (_TEMPLATES / "report" / "style.css").read_text(encoding="utf-8"),
        "summary": escape(redactor.text(recording.summary)),
        "size": escape(_size(recording)),
        "warnings": redactor.html(warnings),
        "sites": redactor.html(sites),
        "flame": page.place(redactor.tree(recording.answer("drawing", ANSWERS["drawing"]))),
        "script": script,
    }
    # Last: by then the redactor has counted what it replaced in the other parts.
    parts["provenance"] = _provenance(recording, target, redactor)
    template = Template((_TEMPLATES / "opened" / "index.html").read_text(encoding="utf-8"))
    page_parts.write(target, template.substitute(parts))
    return target


def _size(recording: Recording) -> str:
    facts = recording.integrity
    seconds = formatting.amount(max(fact["duration_s"] for fact in facts), "s")
    peak = formatting.amount(max(fact["heap_peak_bytes"] for fact in facts), "B")
    records = formatting.number(sum(fact["records"] for fact in facts))
    return f"{records} allocations and releases in {seconds}; at most {peak} at a time."


def _provenance(recording: Recording, target: Path, redactor: Redactor) -> str:
    name = recording.path.name
    again = formatting.command("resleak", "open", name, "-o", target.name)
    facts = [("Capture", name), ("Run again", again)]
    facts += [("In Python", f"resleak.open_memray({name!r})"), *page_parts.written_with()]
    facts = [(fact, redactor.text(value)) for fact, value in facts]
    facts.append(("Replaced before writing", redactor.summary()))
    return "\n".join(f"<dt>{escape(fact)}</dt><dd>{escape(value)}</dd>" for fact, value in facts)
