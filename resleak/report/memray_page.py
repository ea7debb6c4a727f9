"""The report of a memray file: one page, written without a notebook or a kernel."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from html import escape
from pathlib import Path
from string import Template

from resleak import formatting
from resleak.analysis.memray_file import Recording
from resleak.captures.decode import memray_file
from resleak.errors import StoreError
from resleak.figures.flame import page
from resleak.report import page_parts
from resleak.report.answers import ANSWERS
from resleak.report.redact import Redactor

_TEMPLATES = Path(__file__).parent / "templates"


def write(recording: Recording, out: Path | str) -> Path:
    """Write the report of an opened memray file as one HTML file."""
    target, redactor = Path(out), Redactor.here()
    title, script = escape(redactor.text(recording.path.name)), page_parts.theme() + page.script()
    warnings = "".join(f"<li>{escape(sentence)}</li>" for sentence in recording.warnings)
    warnings = f"<p>Limitations:</p><ul>{warnings}</ul>" if warnings else ""
    parts = {
        "title": title,
        "policy": escape(page_parts.policy([script])),
        "style": (_TEMPLATES / "report" / "style.css").read_text(encoding="utf-8"),
        "summary": escape(redactor.text(recording.summary)),
        "size": _definitions((k, redactor.text(v)) for k, v in _statistics(recording)),
        "warnings": redactor.html(warnings),
        "flame": page.place(redactor.tree(recording.answer("drawing", ANSWERS["drawing"]))),
        "script": script,
    }
    # Last: by then the redactor has counted what it replaced in the other parts.
    parts["provenance"] = _provenance(recording, target, redactor)
    template = Template((_TEMPLATES / "opened" / "index.html").read_text(encoding="utf-8"))
    page_parts.write(target, template.substitute(parts))
    return target


def _statistics(recording: Recording) -> list[tuple[str, str]]:
    """Return what memray's own statistics begin with; the command only while the file is there."""
    facts = recording.integrity
    rows = [
        ("Duration", formatting.amount(max(fact["duration_s"] for fact in facts), "s")),
        ("Peak", formatting.amount(max(fact["heap_peak_bytes"] for fact in facts), "B")),
        ("Allocations and releases", formatting.number(sum(fact["records"] for fact in facts))),
        ("Processes", str(len(facts))),
    ]
    with suppress(StoreError):
        rows.insert(0, ("Command", memray_file.header(recording.path).command))
    return rows


def _definitions(facts: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"<dt>{escape(fact)}</dt><dd>{escape(value)}</dd>" for fact, value in facts)


def _provenance(recording: Recording, target: Path, redactor: Redactor) -> str:
    name = recording.path.name
    again = formatting.command("resleak", "open", name, "-o", target.name)
    facts = [("Capture", name), ("Run again", again)]
    facts += [("In Python", f"resleak.open_memray({name!r})"), *page_parts.written_with()]
    facts = [(fact, redactor.text(value)) for fact, value in facts]
    facts.append(("Replaced before writing", redactor.summary()))
    return _definitions(facts)
