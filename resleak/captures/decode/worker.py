"""Decode a run's output in a disposable process, so that a crash is only an error.

Reads two lines of JSON: the job, and the folder for its tables. Prints what should be known about
the input as JSON, or exits with 2 and one line on the error stream.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import pkgutil
import select
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from resleak.captures import files
from resleak.captures.decode import memray_file
from resleak.errors import ResleakError

Job = dict[str, Any]


def main() -> int:
    """Do the job on standard input and return the exit code."""
    memray_file.without_pandas()
    job = json.loads(sys.stdin.readline())
    if "life" in job and _has_ended(job["life"]):
        return 2
    is_ours = job["decoder"] != "any_program"
    files_read = [job["capture"]] if is_ours else job["captures"]
    memray_file.limit(map(Path, files_read), is_ours=is_ours)
    if packages := job.get("packages"):  # chosen by the user, for a file of an older memray
        sys.path.insert(0, packages)
    with suppress(ImportError):  # told when there is something to read
        import memray  # noqa: F401
    try:
        facts = {} if is_ours else _any_program(job)
        if is_ours:
            _recording(job)
    except (ResleakError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(facts))
    return 0


def _has_ended(life: int) -> bool:
    """Return True if the other end of a pipe is closed; when it will be, SIGIO ends this group."""
    fcntl.fcntl(life, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(life, fcntl.F_SETFL, os.O_ASYNC)
    poll = select.poll()
    poll.register(life)
    return bool(poll.poll(0))


def _folder() -> Path:
    return Path(json.loads(sys.stdin.readline()))


def _recording(job: Job) -> None:
    """Decode a recording of ours by the module that its instrument names."""
    module = import_module(f"resleak.captures.decode.{job['decoder']}")
    capture, studied = Path(job["capture"]), [*map(Path, job["studied"])]
    root = Path(job["root"]) if job["root"] else None
    module.extract(capture, _folder(), job["marks"], studied, root, job["source"])


def _any_program(job: Job) -> dict[str, Any]:
    from resleak.captures.decode import snapshots

    captures = [*map(Path, job["captures"])]
    options = {"everything": job["everything"], "several": len(captures) > 1}
    with snapshots.begun(captures[0], snapshots.Known(), **options) as first:
        # numpy, and what is built on it, loads while the process that was forked is at work.
        answers = {name: pkgutil.resolve_name(dotted) for name, dotted in job["answers"].items()}
        from resleak.captures.decode import any_program

        tables = any_program.extract(captures, job["everything"], first)
    folder = _folder()
    with ThreadPoolExecutor(1) as beside:
        written = beside.submit(tables.write, folder)
        for name, answer in answers.items():
            files.write_json(folder / f"{name}.json", answer(tables))
        written.result()
    return tables.facts


if __name__ == "__main__":
    gc.disable()  # nothing is thrown away before the end, and there it need not be taken apart
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
