"""Limits that the operating system sets a process, and how much of them is used.

References
----------
``getrlimit(2)``; ``proc(5)`` on ``loadavg``, ``threads-max``, ``pid_max``, ``file-nr`` and
``max_map_count``.
"""

from __future__ import annotations

from pathlib import Path

from resleak.analysis.forecast import Ceiling
from resleak.harness import control_groups, process_gauges
from resleak.harness.control_groups import NO_LIMIT, number, text

_MEMORY, _TASKS = ("uss", "rss"), ("threads", "zombies", "children")


def own(process: process_gauges.Outside) -> list[Ceiling]:
    """Return the limits of one process alone: its file descriptors, and its memory maps."""
    used = process.quick() | process.maps()
    limits = (
        ("RLIMIT_NOFILE", "fds", process.rlimit("RLIMIT_NOFILE"), "descriptors"),
        ("max_map_count", "maps", number(Path("/proc/sys/vm/max_map_count")), "maps"),
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
    ceilings = []
    limit = process.rlimit("RLIMIT_NPROC")
    if limit is not None and not process.is_root:
        used = process.threads_of_user()
        ceilings.append(Ceiling("RLIMIT_NPROC", _TASKS, limit, used, "threads"))
    running = text(root / "proc/loadavg").split()[3:4]
    for name in ("threads-max", "pid_max"):
        most = number(root / "proc/sys/kernel" / name)
        if most is not None and running:
            used = float(running[0].split("/")[1])
            ceilings.append(Ceiling(name, _TASKS, most, used, "threads"))
    files, _, most_files = (text(root / "proc/sys/fs/file-nr").split() or [""] * 3)[:3]
    if files.isdecimal() and most_files.isdecimal() and float(most_files) < NO_LIMIT:
        limit, used = float(most_files), float(files)
        ceilings.append(Ceiling("file-max", ("fds",), limit, used, "descriptors"))
    for one in control_groups.limits(process.pid, root):
        gauges, unit = (_TASKS, "threads") if one.is_tasks else (_MEMORY, "B")
        name = f"the control group's {one.name}"
        ceilings.append(Ceiling(name, gauges, one.limit, one.used, unit))
    total, used = process_gauges.memory()
    return [*ceilings, Ceiling("the machine's memory", _MEMORY, total, used, "B")]
