"""Turn a notebook into one HTML file to send: it opens offline and tells nothing private."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from resleak import formatting
from resleak.errors import ShareError
from resleak.report import collect, page_parts
from resleak.report.collect import Contents
from resleak.report.execute import first_line, run
from resleak.report.redact import Redactor
from resleak.report.summary import Finding

#: The tag of cells that need someone at a kernel, such as panels.
_LAB = "lab"


def share(
    notebook: Path | str,
    out: Path | str,
    parameters: Mapping[str, Any] | None = None,
    execute: bool = True,
    *,
    timeout_s: float | None = None,
    title: str = "",
    again: str = "",
    links: Mapping[str, str] | None = None,
    source: bool = False,
) -> Path:
    """Execute a notebook and write it as one file, without cells tagged ``lab``.

    A page has everything in it, also the captures that the notebook names, for `resleak.load`; a
    policy in it forbids any other script and any request. Absolute paths, the names of the user
    and of the host, values of environment variables and source lines are replaced, and the footer
    says how many.

    Parameters
    ----------
    notebook : Path
        The ``.ipynb`` file; it is not changed. Its folder is the working folder of its cells.
    out : Path
        The file to write: a page (``.html``), a summary with pictures beside it (``.md``), or
        paper (``.pdf``). An earlier one is replaced only once the new one is complete.
    parameters : mapping of str to bool, int, float, str, None, list or dict, optional
        Override what the cell tagged ``parameters`` assigns.
    execute : bool
        Run the cells in a fresh kernel; else show the outputs that are stored in the file.
    timeout_s : float, optional
        The longest a cell may take.
    title : str
        Of the report; the notebook's own by default.
    again : str
        The command that makes the report again, if it was not made by ``resleak share``.
    links : mapping of str to str, optional
        Where links to other files lead; without it they become text.
    source : bool
        Keep the source lines in tracebacks.

    Returns
    -------
    Path
        Where the report is.

    Raises
    ------
    ShareError
        If the notebook cannot be read, lacks a parameter, fails in a cell (which is named), or
        the report cannot be written.
    MissingPackageError
        If what is wanted needs Chromium, and there is none.
    """
    from resleak.report import writers

    notebook, target, given = Path(notebook), Path(out), dict(parameters or {})
    draw = writers.writer(target)
    book = read(notebook)
    book.cells = [cell for cell in book.cells if _LAB not in cell.metadata.get("tags", [])]
    if given and not execute:
        raise ShareError("parameters need the notebook to be executed; leave out execute=False")
    inject(book, given)
    outputs = run(book, notebook.resolve().parent, timeout_s, collect.CELL) if execute else []
    redactor = Redactor.here(source=source)
    made = _provenance(notebook, target, book, title, again)
    page = _page(book, collect.of(outputs), made, redactor, title, links)
    draw(page)
    return target


def read(path: Path) -> Any:
    """Read a notebook, upgraded to the current format.

    Raises
    ------
    ShareError
        If there is none, or the file is none.
    """
    import nbformat  # takes longer than all that a written report needs

    try:
        return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    except FileNotFoundError:
        raise ShareError(f"there is no notebook {path}") from None
    except Exception as error:
        raise ShareError(
            f"{path} is not a notebook that can be read: {first_line(error)}"
        ) from None


def inject(book: Any, parameters: Mapping[str, Any]) -> None:
    """Add a cell with these parameters after the cell tagged ``parameters``.

    Raises
    ------
    ShareError
        If there is no such cell, it does not assign a name, or a value is no plain literal.
    """
    if not parameters:
        return
    import nbformat

    tagged = [i for i, c in enumerate(book.cells) if "parameters" in c.metadata.get("tags", [])]
    if not tagged:
        raise ShareError("the notebook has no cell tagged 'parameters', so it takes none")
    known = _assigned(book.cells[tagged[0]].source)
    lines = [f"{name} = {_literal(name, value, known)}" for name, value in parameters.items()]
    metadata = {"tags": ["injected-parameters"]}
    cell = nbformat.v4.new_code_cell("\n".join(lines), metadata=metadata)  # type: ignore[no-untyped-call]
    book.cells.insert(tagged[0] + 1, cell)


def _assigned(source: str) -> list[str]:
    targets = [t for node in ast.parse(source).body for t in getattr(node, "targets", [])]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _literal(name: str, value: Any, known: list[str]) -> str:
    if name not in known:
        raise ShareError(f"the notebook has no parameter {name!r}; it has: {', '.join(known)}")
    written = repr(os.fspath(value) if isinstance(value, Path) else value)
    try:
        ast.literal_eval(written)
    except (ValueError, SyntaxError):
        kind = type(value).__name__
        raise ShareError(f"the parameter {name} must be a plain value, not a {kind}") from None
    return written


def _page(
    book: Any,
    held: Contents,
    made: list[tuple[str, str]],
    redactor: Redactor,
    title: str,
    links: Mapping[str, str] | None,
) -> Any:
    from resleak.report import html_page, sanitize

    for cell in book.cells:
        for data in (output.get("data", {}) for output in cell.get("outputs", [])):
            if "text/html" in data:  # sanitized first: only then can text be told from markup
                data["text/html"] = sanitize.clean(data["text/html"], links)
    clean = redactor.tree(book)
    told = [(name, redactor.text(value)) for name, value in made + held.told]
    redactor.counts.update(held.replaced)
    told.append(("Replaced before writing", redactor.summary()))
    findings = [Finding(**redactor.tree(one.to_dict())) for one in held.findings]
    return html_page.Page(
        clean, told, redactor.text(title), findings=findings, archive=held.archive, links=links
    )


def _provenance(
    source: Path, target: Path, book: Any, title: str, again: str
) -> list[tuple[str, str]]:
    """Return what a reader needs to make the report again.

    What has a title of its own is a scenario, and is found again by its name.
    """
    injected = [c for c in book.cells if "injected-parameters" in c.metadata.get("tags", [])]
    given = _values(injected)
    values = {**_values(c for c in book.cells if "parameters" in c.metadata.get("tags", []))}
    values |= given
    known = ("SCENARIO", "CAPTURES") if title else ()
    options = [word for k, v in given.items() if k not in known for word in ("-p", f"{k}={v}")]
    what = title or _relative(source)
    command = formatting.command("resleak", "share", what, *options, "-o", target.name)
    return [
        ("Notebook", source.name),
        ("Parameters", ", ".join(f"{k} = {v!r}" for k, v in values.items()) or "none"),
        ("Run again", again or command),
        *page_parts.written_with(),
    ]


def _values(cells: Iterable[Any]) -> dict[str, Any]:
    """Return what cells of parameters assign; all of it is literal."""
    found = {}
    for cell in cells:
        for node in ast.parse(cell.source).body:
            with suppress(ValueError, AttributeError):
                found[node.targets[0].id] = ast.literal_eval(node.value)
    return found


def _relative(path: Path) -> str:
    """Return a path as it is reached from here; only the name, if it is elsewhere."""
    with suppress(ValueError):
        return str(path.resolve().relative_to(Path.cwd()))
    return path.name
