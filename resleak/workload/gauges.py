"""The table of gauges: every number that a run can sample, with its unit and noise floor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["level", "counter", "measure", "fact"]


@dataclass(frozen=True)
class Gauge:
    """A named number with a unit.

    Parameters
    ----------
    name, unit : str
        Column name and unit (``descriptors``, ``B``, ``entries`` ...).
    what : str
        One line for people.
    kind : {"level", "counter", "measure", "fact"}
        A level is judged for growth; a counter only rises and is checked against limits only; a
        measure belongs to its step alone (its duration, its size) and is checked against limits and
        sweeps; a fact is one number per run, measured after the load.
    family : {"handles", "memory", "maps", "resident", "objects", "own"}
        Decides the default rule of judgement: handles and own gauges count from the second one,
        resident memory from its `rise`, for it comes in pages and arenas.
    floor : float
        Noise floor: smallest rate, in units per step, that counts as growth.
    rise : float
        Smallest total rise, in units, that counts as growth.
    """

    name: str
    unit: str
    what: str = ""
    kind: Kind = "level"
    family: Literal["handles", "memory", "maps", "resident", "objects", "own"] = "own"
    floor: float = 0.004
    rise: float = 3.0

    @property
    def is_counted(self) -> bool:
        """True for counts of handles or entries, of which every single one matters."""
        return self.family in COUNTED

    @property
    def min_rise(self) -> float:
        """Smallest rise over a whole run that counts, in units."""
        rises = {"handles": 2.0, "own": 2.0, "maps": self.rise, "resident": self.rise}
        return rises.get(self.family, 0.0)

    @property
    def explained_by(self) -> str:
        """The instrument that names the lines behind this gauge; empty if none does."""
        instruments = {"handles": "handles", "memory": "memray", "objects": "memray"}
        return instruments.get(self.family, "")


COUNTED = ("handles", "own")
#: Columns of a trace, alone or joined with others, that are not gauges.
INDEX_COLUMNS = ("scenario", "variant", "run", "t_s", "step", "block", "phase", "moment")
#: Gauges of live memory: together they count every allocated block.
LIVE_MEMORY = ("heap", "native", "blocks")

#: The gauges of every run, by name. Resources count from the first one retained; memory floors are
#: those of a process that does nothing (docs/decisions/0003-verdict-rule.md).
BUILTIN = {
    gauge.name: gauge
    for gauge in (
        Gauge("fds", "descriptors", "open file descriptors", family="handles"),
        Gauge("threads", "threads", "threads, those of native libraries too", family="handles"),
        Gauge("sockets", "sockets", "internet sockets in any state", family="handles"),
        Gauge("children", "processes", "child processes that run, recursively", family="handles"),
        Gauge("zombies", "processes", "ended child processes not yet waited for", family="handles"),
        Gauge("tasks", "tasks", "asyncio tasks that are not done", family="handles"),
        Gauge("tempfiles", "temporary files", "files and folders in the run's temporary folder",
              family="handles"),
        Gauge("shm", "segments", "shared-memory segments with a name", family="handles"),
        Gauge("blocks", "blocks", "memory blocks of Python's allocator", family="objects",
              floor=0.05, rise=500),
        Gauge("objects", "objects", "objects the garbage collector tracks", family="objects",
              floor=0.05, rise=200),
        Gauge("heap", "B", "bytes of all blocks, with Python's allocator off", family="memory",
              floor=8, rise=64 * 1024),
        Gauge("native", "B", "bytes of native code and of large objects alone", family="memory",
              floor=8, rise=64 * 1024),
        Gauge("maps", "maps", "memory maps", family="maps", floor=0.05, rise=16),
        Gauge("rss", "B", "resident memory without file pages", family="resident",
              floor=1024, rise=1024**2),
        Gauge("uss", "B", "private memory and its share of shared memory, without file pages",
              family="resident", floor=1024, rise=1024**2),
    )
}  # fmt: skip

#: Read of each step where a scenario names them; see `resleak.harness.child.self_gauges`.
MEASURES = {
    gauge.name: gauge
    for gauge in (
        Gauge("step_s", "s", "duration of the step", "measure"),
        Gauge("lag_s", "s", "longest wait of the event loop during the step", "measure"),
        Gauge("step_peak", "B", "most memory in the step, above what it began with", "measure"),
    )
}

#: Read by the parent for context; never judged for growth.
CONTEXT = {
    "rss_file": "B",
    "cpu_s": "s",
    "ctx_voluntary": "switches",
    "ctx_involuntary": "switches",
    "sockets_established": "sockets",
    "sockets_close_wait": "sockets",
    "sockets_listen": "sockets",
    "requests": "requests",
}


def missing(present: set[str], allocator: str = "") -> list[str]:
    """Return one line for each built-in gauge that a run could not read, and why."""
    why = {
        **dict.fromkeys(("tasks", "tempfiles", "shm"), "only the process itself counts them"),
        "heap": "read in the runs under PYTHONMALLOC=malloc, with psutil 7.2 or later",
        "blocks": "read in the runs with Python's own allocator",
        "native": "read in the runs with Python's own allocator, with psutil 7.2 or later",
        "fds": "this system does not count descriptors per process",
        "uss": "this system does not count private memory",
    }
    if allocator and not present & {"heap", "native"}:
        why |= dict.fromkeys(("heap", "native"), f"{allocator} does not say what is in use")
    absent = [name for name in BUILTIN if name not in present]
    return [f"{name}: {why.get(name, 'not read in this run')}" for name in absent]
