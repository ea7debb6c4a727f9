"""Turn a notebook into one HTML file to send: it opens offline and tells nothing private."""

from __future__ import annotations

import ast
import asyncio
import os
import re
import shlex
import signal
import tempfile
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Any

from resleak import pages
from resleak.errors import ShareError
from resleak.redact import Redactor

#: A socket's path may have about 107 characters; the connection file adds to the folder's.
_LONGEST_SOCKET_FOLDER = 80
#: How long an interrupted kernel may take to clean up.
_GRACE_S = 10.0
#: How a traceback points at the line of the cell.
_ARROW = re.compile(r"^-+> *\d+ (.*)$", re.MULTILINE)
_COLOUR = re.compile(r"\x1b\[[\d;]*m")


def share(
    notebook: Path | str,
    out: Path | str,
    parameters: Mapping[str, Any] | None = None,
    execute: bool = True,
    *,
    timeout_s: float | None = None,
) -> Path:
    """Execute a notebook and write it as one HTML file.

    The file has everything in it, plotly.js once; a policy in it forbids any other script and any
    request. Absolute paths, the names of the user and of the host and values of environment
    variables are replaced, and the footer says how many.

    Parameters
    ----------
    notebook : Path
        The ``.ipynb`` file; it is not changed. Its folder is the working folder of its cells.
    out : Path
        The HTML file to write; an earlier one is replaced only once the new one is complete.
    parameters : mapping of str to bool, int, float, str, None, list or dict, optional
        Override what the cell tagged ``parameters`` assigns.
    execute : bool
        Run the cells in a fresh kernel; else show the outputs that are stored in the file.
    timeout_s : float, optional
        The longest a cell may take.

    Returns
    -------
    Path
        Where the report is.

    Raises
    ------
    ShareError
        If the notebook cannot be read, lacks a parameter, fails in a cell (which is named), or
        the report cannot be written.
    """
    source, target, given = Path(notebook), Path(out), dict(parameters or {})
    book = read(source)
    if given and not execute:
        raise ShareError("parameters need the notebook to be executed; leave out execute=False")
    inject(book, given)
    if execute:
        run(book, source.resolve().parent, timeout_s)
    pages.write(target, _render(book, source, target, given))
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
        raise ShareError(f"{path} is not a notebook that can be read: {_first(error)}") from None


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


def run(book: Any, folder: Path, timeout_s: float | None = None) -> None:
    """Execute a notebook in place, in a fresh kernel of this interpreter.

    Raises
    ------
    ShareError
        If a cell fails, takes too long or takes the kernel down.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    with tempfile.TemporaryDirectory(prefix="resleak-", ignore_cleanup_errors=True) as place:
        kernel = _kernel(Path(place))
        begun: list[int] = []
        client = NotebookClient(
            book,
            km=kernel,
            timeout=timeout_s,
            on_cell_execute=lambda cell, cell_index: begun.append(cell_index),
        )
        client.owns_km = True  # so that it is shut down, whatever happens
        work = client.async_execute(cwd=str(folder), env=_environment(place))
        try:
            _apart(work, kernel)
        except CellExecutionError as error:
            what = ": ".join(filter(None, (error.ename, _first(error.evalue))))
            line = _ARROW.search(_COLOUR.sub("", error.traceback))
            where = _failing(book, begun, line[1].strip() if line else "")
            raise ShareError(f"{where} failed: {what}") from None
        except CellTimeoutError:
            raise ShareError(f"{_failing(book, begun)} took longer than {timeout_s:g} s") from None
        except DeadKernelError:
            raise ShareError(f"the kernel died in {_failing(book, begun)}") from None
        except OSError as error:
            raise ShareError(f"no kernel could be started: {error.strerror or error}") from None


def _apart(work: Coroutine[Any, Any, Any], kernel: Any) -> None:
    """Run in a thread with a loop of its own, so that an interrupt arrives here, and only here."""
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(asyncio.run, work)
        try:
            done.result()
        except KeyboardInterrupt:
            _stop(kernel, done)
            raise


def _stop(kernel: Any, done: Future[None]) -> None:
    """Ask the kernel to give up its cell, then to end; it is in a session of its own."""
    for how in (signal.SIGINT, getattr(signal, "SIGKILL", signal.SIGTERM)):
        pid = getattr(kernel.provisioner, "pid", None)
        if pid is not None and not done.done():
            with suppress(OSError):
                os.kill(pid, how)
        wait([done], timeout=_GRACE_S)


def _kernel(place: Path) -> Any:
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    local = os.name == "posix" and len(str(place)) < _LONGEST_SOCKET_FOLDER
    return AsyncKernelManager(
        kernel_name="python3",
        # Without folders to look in it falls back on the interpreter that runs this.
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
        transport="ipc" if local else "tcp",
        connection_file=str(place / "kernel.json"),
    )


def _environment(place: str) -> dict[str, str]:
    """Return an environment for the kernel: this package's, and no settings of the user's own."""
    package = str(Path(__file__).resolve().parent.parent)
    found = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(found),
        "IPYTHONDIR": place,
        "PLOTLY_RENDERER": "plotly_mimetype",
    }


def _failing(book: Any, begun: list[int], line: str = "") -> str:
    """Name the last cell that was begun, by its place among the code cells and a line of it."""
    code = [index for index, cell in enumerate(book.cells) if cell.cell_type == "code"]
    last = begun[-1] if begun else code[0]
    told = line or _first(book.cells[last].source)
    return f"code cell {code.index(last) + 1} of {len(code)} ({told})"


def _first(told: object) -> str:
    return next(iter(str(told).strip().splitlines()), "")[:200]


def _render(book: Any, source: Path, target: Path, parameters: Mapping[str, Any]) -> str:
    from resleak import report

    redactor = Redactor.here()
    clean = redactor.tree(book)
    made = _provenance(source, target, parameters)
    told = [(name, redactor.text(value)) for name, value in made]
    told.append(("Replaced before writing", redactor.summary()))
    return report.render(clean, told)


def _provenance(source: Path, target: Path, parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what a reader needs to make the report again."""
    options = [f"-p {shlex.quote(f'{k}={v}')}" for k, v in parameters.items()]
    command = ["resleak share", shlex.quote(_relative(source)), *options, "-o", target.name]
    return [
        ("Notebook", source.name),
        ("Parameters", ", ".join(f"{k} = {v!r}" for k, v in parameters.items()) or "as written"),
        ("Run again", " ".join(command)),
        *pages.written_with(),
    ]


def _relative(path: Path) -> str:
    """Return a path as it is reached from here; only the name, if it is elsewhere."""
    with suppress(ValueError):
        return str(path.resolve().relative_to(Path.cwd()))
    return path.name
