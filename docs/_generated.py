"""Write the pages of the documentation that come from the package: command line and gallery."""

from __future__ import annotations

from html import escape
from pathlib import Path

import typer
from typer.cli import get_docs_for_click

from resleak.report import html_page, share
from resleak.ui import cli

ROOT = Path(__file__).parent.parent


def write(folder: Path) -> None:
    """Write the pages that others include; they are not kept in the repository."""
    (folder / "reference" / "_commands.md").write_text(commands(), encoding="utf-8")
    (folder / "_notebooks.md").write_text(notebooks(), encoding="utf-8")


def commands() -> str:
    """Return the help of every command as Markdown."""
    command = typer.main.get_command(cli.app)
    context = typer.Context(command, info_name="resleak")
    text = get_docs_for_click(obj=command, ctx=context, name="resleak", call_prefix="")
    return text.replace("# `resleak`", "## All commands", 1)


def notebooks() -> str:
    """Return a list of the rendered notebooks, each with its question and its answer."""
    lines = []
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        title, lead = html_page.title_and_lead(share.read(path))
        lines.append(f'- <a href="gallery/{path.stem}.html">{escape(title)}</a><br>{lead}')
    return "\n".join(lines) + "\n"
