"""Export a notebook as one self-contained file, with private data redacted."""

from __future__ import annotations

import ast
import json
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from resleak import formatting
from resleak.errors import ShareError
from resleak.report import page_parts
from resleak.report.collect import Contents
from resleak.report.execute import first_line, run, run_here
from resleak.report.redact import Redactor
from resleak.report.summary import Finding

#: Tag of cells that need a person at a kernel, such as panels.
_LAB = "lab"
#: Largest notebook that is read, in bytes, and deepest nesting of its JSON.
_MAX_BYTES, _MAX_DEPTH = 32 << 20, 60


def share(
    notebook: Path | str,
    out: Path | str,
    parameters: Mapping[str, Any] | None = None,
    execute: bool = True,
    *,
    timeout_s: float | None = None,
    links: Mapping[str, str] | None = None,
    source: bool = False,
) -> Path:
    """Execute a notebook and write it as one file, without cells tagged ``lab``.

    Without `execute` the stored outputs are shown; `timeout_s` limits each cell. `links` has the
    addresses of links to other files; a link without one becomes text. `source` keeps source lines
    in tracebacks. Raises ShareError; MissingPackageError if the format needs Chromium.
    """
    if parameters and not execute:
        raise ShareError("parameters need the notebook to be executed; leave out execute=False")
    report = _Report(Path(notebook), Path(out), parameters or {}, source=source)
    contents = run(report.book, report.folder, timeout_s) if execute else Contents()
    return report.write(contents, links)


def share_captures(
    template: Path, out: Path, parameters: Mapping[str, Any], **options: Any
) -> Path:
    """Execute a notebook of the package in this process, and write it as `share` does."""
    report = _Report(template, out, parameters, **options)
    return report.write(run_here(report.book, report.folder))


@dataclass
class _Report:
    """A notebook on its way to a file."""

    notebook: Path
    target: Path
    parameters: Mapping[str, Any]
    title: str = ""  # replaces the notebook's own
    again: str = ""  # replaces the command of the footer
    source: bool = False  # source lines in tracebacks stay

    def __post_init__(self) -> None:
        from resleak.report import writers

        self.draw = writers.writer(self.target)
        self.folder, self.book = self.notebook.resolve().parent, read(self.notebook)
        self.book.cells = [cell for cell in self.book.cells if _LAB not in _tags(cell)]
        _inject(self.book, self.parameters)

    def write(self, contents: Contents, links: Mapping[str, str] | None = None) -> Path:
        """Redact the notebook and its contents, and write both."""
        from resleak.report import html_page, sanitize

        redactor = Redactor.here(source=self.source)
        facts = [*_provenance(self), *contents.facts]
        if self.title:  # of one scenario, whose name is the title
            own = {"parameters", "injected-parameters"}
            self.book.cells = [cell for cell in self.book.cells if not own & {*_tags(cell)}]
        for cell in self.book.cells:
            for data in (output.get("data", {}) for output in cell.get("outputs", [])):
                html_page.drop_damaged_figure(data)
                if "text/html" in data:  # sanitized first: only then text is known from markup
                    data["text/html"] = sanitize.clean(data["text/html"], links)
        book = redactor.tree(self.book)
        facts = [(name, redactor.text(value)) for name, value in facts]
        findings = [Finding.parse(redactor.tree(asdict(one))) for one in contents.findings]
        title = redactor.text(self.title)
        redactor.counts.update(contents.replaced)
        facts.append(("Replaced before writing", redactor.summary()))
        self.draw(html_page.Page(book, facts, title, findings, contents.archive, links))
        return self.target


def read(path: Path) -> Any:
    """Read an untrusted notebook, upgraded to the current format, or raise ShareError."""
    # An optional package that compiles grammars for a second looks absent; notebooks need none.
    is_loaded = sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    try:
        import nbformat
    finally:
        if not is_loaded:
            del sys.modules["rfc3987_syntax"]
    try:
        if path.exists() and not path.is_file():
            raise ShareError(f"{path} is not a file; name a notebook")
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise ShareError(f"there is no notebook {path}") from None
    except OSError as error:
        raise ShareError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > _MAX_BYTES:
        raise ShareError(f"{path} is larger than {_MAX_BYTES >> 20} MiB; clear some outputs")
    try:
        _check_depth(json.loads(content))
        book = nbformat.reader.reads(content.decode())  # type: ignore[no-untyped-call]
        book = nbformat.convert(book, 4)  # type: ignore[no-untyped-call]
        nbformat.validate(book)
        return book
    except Exception as error:  # nbformat raises anything on damaged notebooks
        reason = first_line(error)
        raise ShareError(f"{path} is not a notebook that can be read: {reason}") from None


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(_MAX_DEPTH):
        inner = [one.values() if isinstance(one, dict) else one for one in level]
        level = [item for items in inner for item in items if isinstance(item, (dict, list))]
        if not level:
            return
    raise ValueError(f"it is nested more than {_MAX_DEPTH} levels deep")


def _tags(cell: Any) -> list[str]:
    return list(cell.metadata.get("tags", []))


def _inject(book: Any, parameters: Mapping[str, Any]) -> None:
    """Add a cell with these parameters after the cell tagged ``parameters``."""
    if not parameters:
        return
    import nbformat

    tagged = [i for i, cell in enumerate(book.cells) if "parameters" in _tags(cell)]
    if not tagged:
        raise ShareError("the notebook has no cell tagged 'parameters', so it takes none")
    names = list(_assignments(book.cells[tagged[0]]))
    text = "\n".join(f"{name} = {_literal(name, one, names)}" for name, one in parameters.items())
    metadata = {"tags": ["injected-parameters"]}
    cell = nbformat.v4.new_code_cell(text, metadata=metadata)  # type: ignore[no-untyped-call]
    book.cells.insert(tagged[0] + 1, cell)


def _assignments(cell: Any) -> dict[str, ast.expr]:
    """Return the names that a cell assigns, with the expressions assigned."""
    try:
        body = ast.parse(cell.source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ShareError(f"the cell of parameters is not Python: {first_line(error)}") from None
    return {
        target.id: node.value
        for node in body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _literal(name: str, value: Any, names: list[str]) -> str:
    if name not in names:
        raise ShareError(f"the notebook has no parameter {name!r}; it has: {', '.join(names)}")
    text = repr(os.fspath(value) if isinstance(value, Path) else value)
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError):
        kind = type(value).__name__
        raise ShareError(f"the parameter {name} must be a plain value, not a {kind}") from None
    return text


def _provenance(report: _Report) -> list[tuple[str, str]]:
    """Return the facts that a reader needs to make the report again."""
    given = _values(cell for cell in report.book.cells if "injected-parameters" in _tags(cell))
    values = _values(cell for cell in report.book.cells if "parameters" in _tags(cell)) | given
    # A report with a title is one of a scenario, which is found again by its name.
    implied = ("SCENARIO", "CAPTURES") if report.title else ()
    shown = {name: value for name, value in values.items() if name not in implied}
    options = [word for k, v in given.items() if k not in implied for word in ("-p", f"{k}={v}")]
    path = report.notebook.resolve()
    is_below = path.is_relative_to(Path.cwd())
    what = report.title or str(path.relative_to(Path.cwd()) if is_below else path.name)
    command = formatting.command("resleak", "share", what, *options, "-o", report.target.name)
    return [
        ("Notebook", report.notebook.name),
        ("Parameters", ", ".join(f"{k} = {v!r}" for k, v in shown.items()) or "none"),
        ("Run again", report.again or command),
        *page_parts.written_with(),
    ]


def _values(cells: Iterable[Any]) -> dict[str, Any]:
    """Return the literals that cells of parameters assign."""
    values = {}
    for cell in cells:
        for name, expression in _assignments(cell).items():
            with suppress(ValueError, TypeError, RecursionError, MemoryError):
                values[name] = ast.literal_eval(expression)
    return values
