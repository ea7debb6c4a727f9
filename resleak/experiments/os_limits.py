"""Limits that the operating system sets a process, and how much of them is used.

References
----------
Linux kernel documentation: Control Group v2 (``memory.max``, ``pids.max``), Memory Resource
Controller (v1); ``getrlimit(2)``; ``proc(5)`` on ``loadavg``, ``threads-max``, ``pid_max``,
``file-nr`` and ``max_map_count``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from resleak.analysis.forecast import Ceiling
from resleak.harness import process_gauges

_MEMORY, _TASKS, _FILES = ("uss", "rss"), ("threads", "zombies", "children"), ("fds",)
#: cgroup v1 writes "no limit" as the largest number of whole pages, in bytes.
_NO_LIMIT = 2.0**62
#: Files of the limit and the use, and the reclaimable part of the use in memory.stat.
_MEMORY_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def own(process: process_gauges.Outside, root: Path = Path("/")) -> list[Ceiling]:
    """Return the limits of one process alone: its file descriptors, and its memory maps."""
    used = process.quick() | process.maps()
    most_maps = _number(root / "proc/sys/vm/max_map_count")
    limits = (
        ("RLIMIT_NOFILE", "fds", process.rlimit("RLIMIT_NOFILE"), "descriptors"),
        ("max_map_count", "maps", most_maps, "maps"),
    )
    return [
        Ceiling(name, (gauge,), limit, used[gauge], unit)
        for name, gauge, limit, unit in limits
        if limit is not None and gauge in used
    ]


def shared(process: process_gauges.Outside, root: Path = Path("/")) -> list[Ceiling]:
    """Return the limits that a process shares: tasks, files and memory, of each control group.

    `root` contains ``proc`` and ``sys``.
    """
    total, used = process_gauges.memory()
    machine = Ceiling("the machine's memory", _MEMORY, total, used, "B")
    return [*_tasks(process, root), *_files(root), *_groups(process.pid, root), machine]


def _tasks(process: process_gauges.Outside, root: Path) -> Iterator[Ceiling]:
    limit = process.rlimit("RLIMIT_NPROC")
    if limit is not None and not process.is_root:
        yield Ceiling("RLIMIT_NPROC", _TASKS, limit, process.threads_of_user(), "threads")
    running = _text(root / "proc/loadavg").split()[3:4]
    for name in ("threads-max", "pid_max"):
        most = _number(root / "proc/sys/kernel" / name)
        if most is not None and running:
            yield Ceiling(name, _TASKS, most, float(running[0].split("/")[1]), "threads")


def _files(root: Path) -> Iterator[Ceiling]:
    used, _, most = (_text(root / "proc/sys/fs/file-nr").split() or [""] * 3)[:3]
    if used.isdecimal() and most.isdecimal() and float(most) < _NO_LIMIT:
        yield Ceiling("file-max", _FILES, float(most), float(used), "descriptors")


def _groups(pid: int, root: Path) -> Iterator[Ceiling]:
    for line in _text(root / f"proc/{pid}/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        for name in controllers.split(",") if controllers else ("",):
            top = root / "sys/fs/cgroup" / name
            folder = top / path.strip("/")
            while folder != top:  # in a container there is only the top
                yield from _limits_of(folder)
                folder = folder.parent
            yield from _limits_of(top)


def _limits_of(folder: Path) -> Iterator[Ceiling]:
    for limit_file, used_file, reclaimable in _MEMORY_FILES:
        limit, used = _number(folder / limit_file), _number(folder / used_file)
        if limit is not None and used is not None and limit < _NO_LIMIT:
            statistics = dict(map(str.split, _text(folder / "memory.stat").splitlines()))
            used -= float(statistics.get(reclaimable, 0))
            yield Ceiling(f"the control group's {limit_file}", _MEMORY, limit, used, "B")
    limit, used = _number(folder / "pids.max"), _number(folder / "pids.current")
    if limit is not None and used is not None:
        yield Ceiling("the control group's pids.max", _TASKS, limit, used, "threads")


def _number(path: Path) -> float | None:
    text = _text(path).strip()
    return float(text) if text.isdecimal() else None  # "max": no limit


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
