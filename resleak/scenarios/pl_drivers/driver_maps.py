"""Of four maps by key, the three that are never released grow; reference counting empties all four.

A download driver has a map of download tasks, one of on-demand blobs, one of last lines and one of
progress logs. In each step two callers request three new blobs through each map, and leave one
after the other.

- `leaky` releases only the map that the document reports as mitigated, which counts callers: it is
  empty after each step. The other three grow by three entries per step, together 5.1 kB.
- `uncounted` releases all four maps at the first request, without counting callers. Nothing grows,
  but the second caller finds 12 of 12 entries gone.
- `fixed`: one map class that counts callers, used four times. No caller loses an entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="000#3",
    claim="maps by key grow without bound; the download map is already mitigated",
    condition="constructed: three maps without the release that downloads have",
    language="TypeScript",
    symptoms={
        "key_to_on_demand": "leak",
        "id_to_last_lines": "leak",
        "id_to_progress_log": "leak",
        "heap": "leak",
    },
    outcome="reproduced",
    fix="holds",
    fix_params=["released"],
    gauges=("heap",),
    control="fds",
    limits=[Limit("refused", at_end=0, source="an entry stays until its last caller leaves")],
    params={"blobs_per_step": 3, "released": 4, "counted": True},
)
MAPS = ("key_to_download", "key_to_on_demand", "id_to_last_lines", "id_to_progress_log")


@dataclass
class Task:
    """The driver's task for one key, and its number of callers."""

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


class Driver:
    """The four maps, and how many of them are released."""

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
def driver(run: Run) -> Iterator[Driver]:
    yield Driver(run)


@scenario.gauge("entries")
def key_to_download(driver: Driver) -> float:
    """Entries in the map of downloads, which every variant releases."""
    return len(driver.maps["key_to_download"].tasks)


@scenario.gauge("entries")
def key_to_on_demand(driver: Driver) -> float:
    """Entries in the map of on-demand blobs."""
    return len(driver.maps["key_to_on_demand"].tasks)


@scenario.gauge("entries")
def id_to_last_lines(driver: Driver) -> float:
    """Entries in the map of last lines."""
    return len(driver.maps["id_to_last_lines"].tasks)


@scenario.gauge("entries")
def id_to_progress_log(driver: Driver) -> float:
    """Entries in the map of progress logs."""
    return len(driver.maps["id_to_progress_log"].tasks)


@scenario.gauge("entries", kind="counter")
def refused(driver: Driver) -> float:
    """Entries that were removed before their caller left."""
    return driver.refused


@scenario.variant("leaky", expect=scenario.symptoms, released=1, origin="document words")
@scenario.variant("uncounted", expect={"refused": "broken"}, counted=False)
@scenario.variant("fixed", origin="document words")
def visit(step: int, driver: Driver) -> None:
    """Two callers request the same new blobs, and leave one after the other."""
    count = driver.params.blobs_per_step
    keys = [f"blob-{number}" for number in range(step * count, (step + 1) * count)]
    for caller in ("first", "second"):
        driver.ask(keys, caller)
    driver.leave(keys, "first")
    driver.use(keys)
    driver.leave(keys, "second")
