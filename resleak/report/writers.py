"""Write reports as HTML, Markdown with pictures, or PDF; Chromium draws the last two."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

from resleak.captures.locks import temporary_folder
from resleak.errors import MissingPackageError, ShareError
from resleak.formatting import markdown_text, plain_text
from resleak.report import page_parts

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_FLAGS = (
    "--headless", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-extensions",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--blink-settings=preferredColorScheme=1",
    "--virtual-time-budget=20000",
)  # fmt: skip
_TIMEOUT_S = 120.0
#: Width of a picture in CSS pixels, and device pixels per CSS pixel.
_WIDTH, _SHARPNESS = 900, 2
#: Characters of a line that Chromium printed.
_LONGEST = 300
#: The height of the page, which its script sets once everything is drawn.
_HEIGHT = re.compile(r'<html[^>]* data-height="(\d+)"')


def writer(target: Path) -> Callable[[Any], None]:
    """Return a function that writes a page in the format of a file name, or raise ShareError."""
    kind = target.suffix.lower()
    if kind in (".html", ".htm"):
        return lambda page: page_parts.write(target, page.html())
    if kind not in (".pdf", ".md"):
        raise ShareError(f"{target.name} is no kind of report: write .html, .md or .pdf")
    chromium = browser()
    if kind == ".pdf":
        return lambda page: page_parts.write(target, pdf(page.html(), chromium))
    return lambda page: _write_markdown(target, page, chromium)


def browser() -> str:
    """Return the path of Chromium; raise MissingPackageError if there is none."""
    path = os.environ.get("RESLEAK_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), "")
    if not path:
        message = "a PDF or pictures need Chromium: install it, or name it in RESLEAK_CHROMIUM"
        raise MissingPackageError(f"{message}; a report in HTML needs none")
    return path


def working_browser() -> str:
    """Return the path of Chromium; raise MissingPackageError if it does not start."""
    path = browser()
    try:
        result = subprocess.run([path, "--version"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingPackageError(f"{path} does not start: {type(error).__name__}") from None
    if result.returncode:
        raise MissingPackageError(f"{path} {_ending(result)}")
    return path


def _ending(result: subprocess.CompletedProcess[bytes]) -> str:
    """Return the code with which a process ended, and the last line that it printed."""
    lines = result.stderr.decode(errors="replace").strip().splitlines()
    last = f": {plain_text(lines[-1][:_LONGEST])}" if lines else ""
    return f"ended with code {result.returncode}{last}"


def pdf(html: str, chromium: str) -> bytes:
    """Return a page as PDF."""
    with temporary_folder() as folder:
        target = folder / "page.pdf"
        options = (f"--print-to-pdf={target}", "--no-pdf-header-footer")
        return _content(target, _run(chromium, folder, html, *options))


def png(html: str, chromium: str) -> bytes:
    """Return a picture of a page on a light background, as high as the page."""
    with temporary_folder() as folder:
        result = _run(chromium, folder, html, "--dump-dom", f"--window-size={_WIDTH},800")
        height = _HEIGHT.search(result.stdout.decode(errors="replace"))
        if height is None:
            raise ShareError(f"Chromium drew no page, and {_ending(result)}; share it as HTML")
        target = folder / "page.png"
        size = f"--window-size={_WIDTH},{int(height[1])}"
        sharp = f"--force-device-scale-factor={_SHARPNESS}"
        return _content(target, _run(chromium, folder, html, size, sharp, f"--screenshot={target}"))


def _run(
    chromium: str, folder: Path, html: str, *arguments: str
) -> subprocess.CompletedProcess[bytes]:
    page = folder / "page.html"
    page.write_text(html, encoding="utf-8")
    command = [chromium, *_FLAGS, *arguments, f"--user-data-dir={folder}/profile", page.as_uri()]
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # a container: there is no other user
        command.insert(1, "--no-sandbox")
    try:
        return subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise ShareError(f"Chromium took longer than {_TIMEOUT_S:g} s; try again") from None
    except OSError as error:
        raise ShareError(f"Chromium cannot be started: {error.strerror or error}") from None


def _content(target: Path, result: subprocess.CompletedProcess[bytes]) -> bytes:
    if not target.is_file():
        raise ShareError(f"Chromium wrote nothing, and {_ending(result)}; share it as HTML")
    return target.read_bytes()


def _write_markdown(target: Path, page: Any, chromium: str) -> None:
    from resleak.report import html_page

    blocks = [page.markdown()]
    figures = [
        (label, cell | {"outputs": [output]})
        for cell in page.book.cells
        for output in cell.get("outputs", [])
        if (label := html_page.label(output.get("data", {})))
    ]
    names = [f"{target.stem}-{number}.png" for number, _ in enumerate(figures, 1)]
    earlier = target.read_text(errors="replace") if target.is_file() else ""
    for name in names:
        if os.path.lexists(target.with_name(name)) and f"]({quote(name)})" not in earlier:
            message = f"{target.with_name(name)} exists and is no picture of {target.name}"
            raise ShareError(f"{message}; choose another file with -o")
    pictures = []
    for name, (label, cell) in zip(names, figures, strict=True):
        alone = html_page.Page(SimpleNamespace(cells=[cell]), title=label, alone=True)
        pictures.append(png(alone.html(), chromium))
        text = markdown_text(label).replace("[", "\\[").replace("]", "\\]")
        blocks.append(f"![{text}]({quote(name)})\n")
    page_parts.write(target, "\n".join(blocks))  # first: it says which pictures are its own
    for name, picture in zip(names, pictures, strict=True):
        page_parts.write(target.with_name(name), picture)
