"""The report of a sweep: one offline page with the matrix, and a part for each cell."""

from __future__ import annotations

from html import escape
from pathlib import Path
from string import Template
from typing import Any

from resleak import figures
from resleak.report import page_parts
from resleak.report.redact import Redactor

_TEMPLATES = Path(__file__).parent / "templates"


def write(result: Any, out: Path | str) -> Path:
    """Write the report of a judged sweep as one HTML file."""
    target, redactor = Path(out), Redactor.here()
    cells = "\n".join(map(figures.sweep_cell, result.cells))
    problems = "".join(f"<li>{escape(one)}</li>" for one in result.problems)
    facts = [("Plan", result.note.plan), *page_parts.written_with()]
    parts = {
        "title": escape(redactor.text(f"Sweep {result.note.plan}")),
        "policy": escape(page_parts.policy([])),
        "style": (_TEMPLATES / "report" / "style.css").read_text(encoding="utf-8"),
        "matrix": redactor.html(figures.sweep_matrix(result, link="#").html),
        "problems": redactor.html(f"<p>Failures:</p><ul>{problems}</ul>" if problems else ""),
        "cells": redactor.html(cells),
        "provenance": "\n".join(
            f"<dt>{escape(name)}</dt><dd>{escape(redactor.text(value))}</dd>"
            for name, value in facts
        ),
    }
    template = Template((_TEMPLATES / "sweep" / "index.html").read_text(encoding="utf-8"))
    page_parts.write(target, template.substitute(parts))
    return target
