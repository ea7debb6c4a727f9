"""Reports that need neither a notebook nor a kernel: of a memray file, and of a sweep."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from resleak import figures, formatting
from resleak.analysis.memray_file import Recording
from resleak.captures.decode import memray_file
from resleak.errors import StoreError
from resleak.figures.flame import page
from resleak.report import ANSWERS, page_parts
from resleak.report.redact import Redactor


def write_recording(recording: Recording, target: Path) -> Path:
    """Write the report of an opened memray file as one HTML file."""
    redactor, name = Redactor.here(), recording.path.name
    title, script = escape(redactor.text(name)), page_parts.template("theme.js") + page.script()
    warnings = "".join(f"<li>{escape(sentence)}</li>" for sentence in recording.warnings)
    warnings = f"<p>Limitations:</p><ul>{warnings}</ul>" if warnings else ""
    # What memray's own statistics begin with; the command only while the file is there.
    files = recording.integrity
    size = [
        ("Duration", formatting.amount(max(one["duration_s"] for one in files), "s")),
        ("Peak", formatting.amount(max(one["heap_peak_bytes"] for one in files), "B")),
        ("Allocations and releases", formatting.number(sum(one["records"] for one in files))),
        ("Processes", str(len(files))),
    ]
    with suppress(StoreError):
        size.insert(0, ("Command", memray_file.header(recording.path).command))
    parts = {
        "title": title,
        "summary": escape(redactor.text(recording.summary)),
        "size": _definitions((fact, redactor.text(value)) for fact, value in size),
        "warnings": redactor.html(warnings),
        "flame": page.place(redactor.tree(recording.answer("drawing", ANSWERS["drawing"]))),
    }
    again = formatting.command("resleak", "open", name, "-o", target.name)
    facts = [("Capture", name), ("Run again", again)]
    facts += [("In Python", f"resleak.open_memray({name!r})"), *page_parts.written_with()]
    facts = [(fact, redactor.text(value)) for fact, value in facts]
    # Last: by then the redactor has counted what it replaced in the other parts.
    facts.append(("Replaced before writing", redactor.summary()))
    body = Template(page_parts.template("opened.html")).substitute(parts)
    return _write(target, title, body, facts, script)


def write_sweep(result: Any, target: Path) -> Path:
    """Write the report of a judged sweep as one HTML file: its matrix, and a part per cell."""
    redactor = Redactor.here()
    title = escape(redactor.text(f"Sweep {result.note.plan}"))
    matrix = redactor.html(figures.sweep_matrix(result, link="#").html)
    problems = "".join(f"<li>{escape(one)}</li>" for one in result.problems)
    problems = redactor.html(f"<p>Failures:</p><ul>{problems}</ul>" if problems else "")
    cells = redactor.html("\n".join(map(figures.sweep_cell, result.cells)))
    body = (
        f'<main>\n<h1>{title}</h1>\n<div class="scroll">{matrix}</div>\n{problems}\n'
        f"<h2>Cells</h2>\n{cells}\n</main>\n"
    )
    facts = [("Plan", result.note.plan), *page_parts.written_with()]
    return _write(target, title, body, [(fact, redactor.text(value)) for fact, value in facts])


def _definitions(facts: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"<dt>{escape(fact)}</dt><dd>{escape(value)}</dd>" for fact, value in facts)


def _write(
    target: Path, title: str, body: str, facts: Iterable[tuple[str, str]], script: str = ""
) -> Path:
    """Write a page of parts that are safe HTML, and of facts; a script runs if it is given."""
    parts = {
        "title": title,
        "policy": escape(page_parts.policy([script] if script else [])),
        "style": page_parts.template("style.css"),
        "body": body,
        "provenance": _definitions(facts),
        "script": f"<script>{script}</script>\n" if script else "",
    }
    page_parts.write(target, Template(page_parts.template("plain.html")).substitute(parts))
    return target
