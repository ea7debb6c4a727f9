"""Execute notebooks: in a fresh kernel that leaves nothing behind, or in this process."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import re
import signal
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import chdir, suppress
from pathlib import Path
from typing import Any

from resleak.captures.locks import temporary_folder
from resleak.errors import ShareError
from resleak.figures.style import CONFIG
from resleak.report import collect

#: Longest folder of a socket: its path may have about 107 characters, of which a name takes some.
_MAX_SOCKET_FOLDER = 80
#: Seconds that an interrupted kernel may take to clean up.
_GRACE_S = 10.0
#: The line of a cell that a traceback points at.
_ARROW = re.compile(r"^-+> *\d+ (.*)$", re.MULTILINE)
_COLOUR = re.compile(r"\x1b\[[\d;]*m")


def run(book: Any, folder: Path, timeout_s: float | None = None) -> collect.Contents:
    """Execute a notebook's cells in place, in a fresh kernel in `folder`, or raise ShareError."""
    import nbformat

    end = nbformat.v4.new_code_cell(collect.END)  # type: ignore[no-untyped-call]
    book.cells.append(end)
    try:
        _execute(book, folder, timeout_s)
    finally:
        book.cells.pop()
    return collect.displayed(end.outputs)


def run_here(book: Any, folder: Path) -> collect.Contents:
    """Execute the cells of a notebook that comes with the package, in this process."""
    import nbformat

    variables: dict[str, Any] = {"__name__": "__main__"}
    for cell in (cell for cell in book.cells if cell.cell_type == "code"):
        values: list[Any] = []
        variables["display"] = lambda *objects, into=values: into.extend(objects)
        tree = ast.parse(cell.source)
        if tree.body and isinstance(last := tree.body[-1], ast.Expr):
            last.value = ast.Call(ast.Name("display", ast.Load()), [last.value], [])
        with chdir(folder):
            exec(compile(ast.fix_missing_locations(tree), "<notebook>", "exec"), variables)
        cell.outputs = [
            nbformat.v4.new_output("display_data", bundle(value))  # type: ignore[no-untyped-call]
            for value in values
            if value is not None
        ]
    return collect.gather(variables)


def bundle(value: Any) -> dict[str, Any]:
    """Return a value as a notebook shows it, by MIME type."""
    if hasattr(value, "to_plotly_json"):
        figure = {**json.loads(value.to_json()), "config": CONFIG}
        return {"application/vnd.plotly.v1+json": figure, "text/plain": "figure"}
    if hasattr(value, "_repr_mimebundle_"):
        return {"text/plain": type(value).__name__, **value._repr_mimebundle_()}
    names = {"text/html": "_repr_html_", "text/markdown": "_repr_markdown_"}
    rich = {kind: getattr(value, name)() for kind, name in names.items() if hasattr(value, name)}
    return {**rich, "text/plain": repr(value)}


def _execute(book: Any, folder: Path, timeout_s: float | None) -> None:
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    from resleak.report.kernel import GuardedProvisioner

    with temporary_folder() as place:
        is_local = os.name == "posix" and len(str(place)) < _MAX_SOCKET_FOLDER
        kernel: Any = AsyncKernelManager(
            kernel_name="python3",
            # Without folders to look in it falls back on the interpreter that runs this.
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
            transport="ipc" if is_local else "tcp",
            connection_file=str(place / "kernel.json"),
        )
        kernel.kernel_spec.argv[1:1] = ["-P"]
        kernel.provisioner = provisioner = GuardedProvisioner(
            kernel_id=kernel.kernel_id, kernel_spec=kernel.kernel_spec, parent=kernel
        )
        started: list[int] = []
        client = NotebookClient(
            book,
            km=kernel,
            timeout=timeout_s,
            # The extension adds the working folder at the end.
            extra_arguments=[f"--ext={collect.__name__}", "--InteractiveShellApp.ignore_cwd=True"],
            on_cell_execute=lambda cell, cell_index: started.append(cell_index),
        )
        client.owns_km = True  # so that it is shut down, whatever happens
        # This package, and none of the user's settings.
        package = str(Path(__file__).resolve().parents[2])
        paths = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
        settings = {"IPYTHONDIR": str(place), "PLOTLY_RENDERER": "plotly_mimetype"}
        environment = {**os.environ, **settings, "PYTHONPATH": paths}
        work = client.async_execute(cwd=str(folder), env=environment)
        try:
            _run_apart(work, kernel)
        except CellExecutionError as error:
            message = ": ".join(filter(None, (error.ename, first_line(error.evalue))))
            line = _ARROW.search(_COLOUR.sub("", error.traceback))
            where = _failing_cell(book, started, line[1].strip() if line else "")
            raise ShareError(f"{where} failed: {message}") from None
        except CellTimeoutError:
            where = _failing_cell(book, started)
            raise ShareError(f"{where} took longer than {timeout_s:g} s") from None
        except DeadKernelError:
            raise ShareError(f"the kernel died in {_failing_cell(book, started)}") from None
        except OSError as error:
            raise ShareError(f"cannot start a kernel: {error.strerror or error}") from None
        finally:
            provisioner.end()


def _run_apart(work: Coroutine[Any, Any, Any], kernel: Any) -> None:
    """Run in a thread with its own event loop, so that an interrupt arrives only here."""
    with ThreadPoolExecutor(1) as pool:
        end = pool.submit(asyncio.run, work)
        try:
            end.result()
        except KeyboardInterrupt:
            # The kernel is in a session of its own: interrupt its cell, then kill it.
            for number in (signal.SIGINT, getattr(signal, "SIGKILL", signal.SIGTERM)):
                pid = getattr(kernel.provisioner, "pid", None)
                if pid is not None and not end.done():
                    with suppress(OSError):
                        os.kill(pid, number)
                wait([end], timeout=_GRACE_S)
            raise


def _failing_cell(book: Any, started: list[int], line: str = "") -> str:
    """Name the last cell that was started: its number among the code cells and a line of it."""
    code = [index for index, cell in enumerate(book.cells) if cell.cell_type == "code"]
    last = started[-1] if started else code[0]
    text = line or first_line(book.cells[last].source)
    # The last cell is END, which is not part of the notebook.
    return f"code cell {code.index(last) + 1} of {len(code) - 1} ({text})"


def first_line(text: object) -> str:
    """Return the first line of a text, cut to fit in a message."""
    return next(iter(str(text).strip().splitlines()), "")[:200]
