"""Execute a notebook in a fresh kernel that leaves nothing behind, whatever happens."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Coroutine
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Any

from resleak.captures.locks import temporary_folder
from resleak.errors import ShareError

#: A socket's path may have about 107 characters; the connection file adds to the folder's.
_LONGEST_SOCKET_FOLDER = 80
#: How long an interrupted kernel may take to clean up.
_GRACE_S = 10.0
#: How a traceback points at the line of the cell.
_ARROW = re.compile(r"^-+> *\d+ (.*)$", re.MULTILINE)
_COLOUR = re.compile(r"\x1b\[[\d;]*m")


def run(book: Any, folder: Path, timeout_s: float | None = None, last: str = "") -> list[Any]:
    """Execute a notebook in place, in a fresh kernel of this interpreter.

    Parameters
    ----------
    book : NotebookNode
        Its cells get their outputs.
    folder : Path
        The working folder of the cells.
    timeout_s : float, optional
        The longest a cell may take.
    last : str
        Code to run after all cells, which does not become one of them.

    Returns
    -------
    list of NotebookNode
        The outputs of `last`.

    Raises
    ------
    ShareError
        If a cell fails, takes too long or takes the kernel down.
    """
    import nbformat

    asked = nbformat.v4.new_code_cell(last)  # type: ignore[no-untyped-call]
    book.cells.append(asked)
    try:
        _execute(book, folder, timeout_s)
    finally:
        book.cells.pop()
    return list(asked.outputs)


def _execute(book: Any, folder: Path, timeout_s: float | None) -> None:
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    with temporary_folder() as folder:
        kernel = _kernel(folder)
        begun: list[int] = []
        client = NotebookClient(
            book,
            km=kernel,
            timeout=timeout_s,
            on_cell_execute=lambda cell, cell_index: begun.append(cell_index),
        )
        client.owns_km = True  # so that it is shut down, whatever happens
        work = client.async_execute(cwd=str(folder), env=_environment(str(folder)))
        try:
            _apart(work, kernel)
        except CellExecutionError as error:
            what = ": ".join(filter(None, (error.ename, first_line(error.evalue))))
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
    package = str(Path(__file__).resolve().parents[2])
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
    told = line or first_line(book.cells[last].source)
    # The last cell is not of the notebook: see `run`.
    return f"code cell {code.index(last) + 1} of {len(code) - 1} ({told})"


def first_line(told: object) -> str:
    """Return the first line of what was told, cut to what fits in a message."""
    return next(iter(str(told).strip().splitlines()), "")[:200]
