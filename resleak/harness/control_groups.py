"""Limits of the control groups of a process, of version 1 and 2, and those of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

#: cgroup v1 writes "no limit" as the largest number of whole pages, in bytes.
NO_LIMIT = 2.0**62
#: Files of the limit and the use, and the reclaimable part of the use in memory.stat.
_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ("pids.max", "pids.current", ""),
)


class GroupLimit(NamedTuple):
    """A limit of tasks or bytes, by its file's name, and how much of it is used."""

    name: str
    limit: float
    used: float
    is_tasks: bool


def limits(pid: int, root: Path = Path("/")) -> Iterator[GroupLimit]:
    """Yield the limits of each control group that a process is in."""
    for folder in _folders(pid, root):
        for limit_file, used_file, reclaimable in _FILES:
            limit, used = number(folder / limit_file), number(folder / used_file)
            if limit is not None and used is not None and limit < NO_LIMIT:
                statistics = dict(map(str.split, text(folder / "memory.stat").splitlines()))
                used -= float(statistics.get(reclaimable, 0))
                yield GroupLimit(limit_file, limit, used, limit_file == "pids.max")


def processors(root: Path = Path("/")) -> int:
    """Return how many processors this process may keep busy, by its affinity and its quotas."""
    count = getattr(os, "process_cpu_count", None)  # from Python 3.13
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    found = count() if count else len(affinity(0)) if affinity else os.cpu_count()
    shares = [float(found or 1)]
    for folder in _folders(os.getpid(), root):
        version_1 = (text(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        words = (text(folder / "cpu.max") or " ".join(version_1)).split()
        if len(words) == 2 and all(map(str.isdecimal, words)):
            shares.append(int(words[0]) / int(words[1]))
    return max(1, int(min(shares)))


def _folders(pid: int, root: Path) -> Iterator[Path]:
    """Yield the folder of each control group that a process is in, the innermost first."""
    for line in text(root / f"proc/{pid}/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        for name in controllers.split(",") if controllers else ("",):
            top = root / "sys/fs/cgroup" / name
            folder = top / path.strip("/")
            while folder != top:  # in a container there is only the top
                yield folder
                folder = folder.parent
            yield top


def of_this_process(root: Path = Path("/")) -> dict[str, int]:
    """Return the limits of this process and of those that it starts, by name, for a manifest."""
    files = (root / "proc/sys/vm/max_map_count", root / "proc/sys/kernel/pid_max")
    found = {file.name: number(file) for file in files}
    for one in sorted(limits(os.getpid(), root), key=lambda one: -one.limit):
        found[one.name] = one.limit  # the smallest of its name
    with suppress(ImportError):
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        found["RLIMIT_NOFILE"] = None if soft == resource.RLIM_INFINITY else soft
    return {name: int(value) for name, value in found.items() if value is not None}


def number(path: Path) -> float | None:
    """Return the number in a file; None if it has none, such as "max"."""
    found = text(path).strip()
    return float(found) if found.isdecimal() else None


def text(path: Path) -> str:
    """Return a file's text; empty if it cannot be read."""
    try:
        return path.read_text()
    except OSError:
        return ""
