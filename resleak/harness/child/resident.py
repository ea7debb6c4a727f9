"""Resident memory without the pages of files, which the kernel takes back whenever it likes."""

from __future__ import annotations

from pathlib import Path

_KIB = 1024


def resident(pid: int | str = "self") -> dict[str, float]:
    """Return ``rss`` and ``rss_file`` in bytes; empty where the system does not tell them apart."""
    values = _values(f"/proc/{pid}/status", (b"RssAnon:", b"RssShmem:", b"RssFile:"))
    if len(values) < 3:
        return {}
    anonymous, shared, files = values
    return {"rss": anonymous + shared, "rss_file": files}


def private(pid: int | str = "self") -> dict[str, float]:
    """Return ``uss`` in bytes: private memory, and the process's share of what it shares."""
    # Not "Private_Dirty": pages of a file that was just written count there, too.
    values = _values(f"/proc/{pid}/smaps_rollup", (b"Pss_Anon:", b"Pss_Shmem:"))
    return {"uss": sum(values)} if values else {}


def _values(path: str, wanted: tuple[bytes, ...]) -> list[float]:
    try:
        lines = Path(path).read_bytes().splitlines()
    except OSError:
        return []
    fields = {line.split(maxsplit=1)[0]: line for line in lines if line.startswith(wanted)}
    return [float(fields[name].split()[1]) * _KIB for name in wanted if name in fields]
