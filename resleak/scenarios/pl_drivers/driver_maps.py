"""A map by key whose entries nothing releases grows; reference counting empties it.

Two drivers have a map of tasks by key. In each step two callers request three new blobs from each,
and leave one after the other. The document reports no map that grows, and asks to audit others.

- `leaky`: the download driver counts its callers, as the document says: its map is empty after each
  step. The other driver is constructed, and releases nothing: three entries per step stay.
- `proposed_uncounted`: both release at the first request, without counting callers. Nothing grows,
  but the second caller finds its entries gone.
- `fixed`: both use the same map class, which counts callers. No caller loses an entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="000#3",
    claim="maps by key may grow without bound in other drivers than the download driver",
    condition="constructed: a driver that releases nothing. The document reports none: it says "
    "that the download driver, which owns all four maps that it lists, cleans up, and asks to "
    "audit the others. The fix counts callers (ours); a release at the first one takes entries "
    "from the second",
    language="TypeScript",
    symptoms={"other_tasks": "leak", "heap": "leak"},
    outcome="partly",
    fix="holds",
    fix_params=["released"],
    gauges=("heap",),
    control="fds",
    limits=[Limit("refused", at_end=0, source="an entry stays until its last caller leaves")],
    params={"blobs_per_step": 3, "released": 2, "counted": True},
)
MAPS = ("download_tasks", "other_tasks")


@dataclass
class Task:
    """A driver's task for one key, and its callers."""

    key: str
    callers: set[str] = field(default_factory=set)
    content: bytearray = field(default_factory=lambda: bytearray(100))


class TaskMap:
    """One task per key, for as long as it has callers."""

    def __init__(self, counted: bool) -> None:
        self.tasks: dict[str, Task] = {}
        self.counted = counted

    def get(self, key: str, caller: str) -> Task:
        task = self.tasks.setdefault(key, Task(key))
        task.callers.add(caller)
        return task

    def release(self, key: str, caller: str) -> None:
        if (task := self.tasks.get(key)) is None:
            return
        task.callers.discard(caller)
        if not (task.callers and self.counted):
            del self.tasks[key]


class Drivers:
    """The map of each driver, and how many of them are released."""

    def __init__(self, run: Run) -> None:
        self.params, self.refused = run.params, 0
        self.maps = {name: TaskMap(run.params.counted) for name in MAPS}

    def ask(self, keys: Iterable[str], caller: str) -> None:
        for key in keys:
            for tasks in self.maps.values():
                tasks.get(key, caller)

    def use(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.refused += sum(key not in one.tasks for one in self.maps.values())

    def leave(self, keys: Iterable[str], caller: str) -> None:
        for key in keys:
            for name in MAPS[: self.params.released]:
                self.maps[name].release(key, caller)


@scenario.setup
def drivers(run: Run) -> Iterator[Drivers]:
    yield Drivers(run)


@scenario.gauge("entries")
def download_tasks(drivers: Drivers) -> float:
    """Entries of the download driver, which every variant releases."""
    return len(drivers.maps["download_tasks"].tasks)


@scenario.gauge("entries")
def other_tasks(drivers: Drivers) -> float:
    """Entries of the other driver."""
    return len(drivers.maps["other_tasks"].tasks)


@scenario.gauge("entries", kind="counter")
def refused(drivers: Drivers) -> float:
    """Entries that were removed before their caller left."""
    return drivers.refused


@scenario.variant("leaky", expect=scenario.symptoms, released=1, origin="constructed")
@scenario.variant("proposed_uncounted", expect={"refused": "broken"}, counted=False)
@scenario.variant("fixed", origin="document words")
def visit(step: int, drivers: Drivers) -> None:
    """Two callers request the same new blobs, and leave one after the other."""
    count = drivers.params.blobs_per_step
    keys = [f"blob-{number}" for number in range(step * count, (step + 1) * count)]
    for caller in ("first", "second"):
        drivers.ask(keys, caller)
    drivers.leave(keys, "first")
    drivers.use(keys)
    drivers.leave(keys, "second")
