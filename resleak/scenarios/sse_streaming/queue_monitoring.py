"""Fixed thresholds suit a queue of 100; in any other size they give false alarms.

The document states no fault here, only a fix; so only the fix has a verdict. A task has two
clients. One is slow: its queue of 100, the size that the document sets, is filled with 50, 51, 89
or 90 events in turn, then read to the end. The other reads each event at once. Expected is a
warning when the 51st event is queued, and a critical line when the 90th is.

- `leaky`: no monitoring. All 100 crossings in 100 steps go unnoticed.
- `proposed`, as printed, a warning above 50 and a critical line from `maxsize - 10`, for queues of
  100: nothing is missed, and no line is false. (A line is repeated at each event above a threshold:
  20 lines per crossing, on average.)
- `proposed_small_queue`: the second queue takes 10, as in the document's own test. `maxsize - 10`
  is 0, so each event is critical: 7 000 false lines; so with `proposed_unbounded`, as before 2.1.
- `fixed`, ours: shares of the capacity, 50 % and 90 %, and one line on entering a level.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator

from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="004 2.4",
    claim="a warning above 50 queued events and a critical line from max - 10 tell of slow clients",
    condition="queues of 100, as fix 2.3 makes them in the same phase; with a queue of 10, or an "
    "unbounded one, each event is critical",
    language="Python",
    fix="holds",
    control="fds",
    limits=[
        Limit("missed", at_end=0, source="each crossing of a threshold raises an alarm"),
        Limit("false_alarms", at_end=0, source="no line about a level that is not reached"),
    ],
    steps=80,
    warmup=20,
    params={"fills": (50, 51, 89, 90), "other": 100, "warning": 50, "critical": 10},
    stacks=False,
)
Queue = asyncio.Queue[int]
CROSSED = {50: (), 51: ("warning",), 89: ("warning",), 90: ("warning", "critical")}


class Alarms(logging.Handler):
    """Counts what is logged, by client and level."""

    def __init__(self) -> None:
        super().__init__()
        self.told: Counter[tuple[str, str]] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        self.told[record.getMessage(), record.levelname.lower()] += 1


class StreamTask:
    """Sends events to its clients' queues, and monitors none of them."""

    def __init__(self, run: Run) -> None:
        self.params = run.params
        self.clients: dict[str, Queue] = {}
        self.log = logging.getLogger("queues")
        self.log.propagate = False

    def send_event(self, event: int) -> None:
        for queue in self.clients.values():
            queue.put_nowait(event)
        self.monitor()

    def monitor(self) -> None:
        """Check the queues."""


class ProposedTask(StreamTask):
    """The document's thresholds."""

    def monitor(self) -> None:
        for name, queue in self.clients.items():
            if queue.qsize() > self.params.warning:
                self.log.warning(name)
            if queue.qsize() >= queue.maxsize - self.params.critical:
                self.log.critical(name)


class FixedTask(StreamTask):
    """Shares of the capacity; remembers the level that each queue has reached."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.levels: dict[str, int] = {}

    def monitor(self) -> None:
        for name, queue in self.clients.items():
            level = self.level(queue)
            if level > self.levels.get(name, 0):
                self.log.log(level, name)
            self.levels[name] = level

    def level(self, queue: Queue) -> int:
        capacity, size = queue.maxsize or 100, queue.qsize()
        if size * 100 >= capacity * (100 - self.params.critical):
            return logging.CRITICAL
        return logging.WARNING if size * 100 > capacity * self.params.warning else 0


class Stream:
    """A task, its clients and its alarms."""

    def __init__(self, run: Run, task: StreamTask) -> None:
        self.fills, self.task, self.alarms = run.params.fills, task, Alarms()
        self.missed = self.false_alarms = 0
        task.log.addHandler(self.alarms)
        task.clients = {"behind": Queue(100), "other": Queue(run.params.other)}

    def fill(self, count: int) -> None:
        for event in range(count):
            self.task.send_event(event)
            self.read("other")
        while self.task.clients["behind"].qsize():
            self.read("behind")

    def read(self, *names: str) -> None:
        for name in names:
            self.task.clients[name].get_nowait()

    def compare(self, count: int) -> None:
        due = {("behind", level) for level in CROSSED[count]}
        self.missed += len(due - self.alarms.told.keys())
        self.false_alarms += sum(n for what, n in self.alarms.told.items() if what not in due)
        self.alarms.told.clear()


TASKS = {"leaky": StreamTask, "proposed": ProposedTask, "fixed": FixedTask}


@scenario.setup
def stream(run: Run) -> Iterator[Stream]:
    yield Stream(run, TASKS[run.variant.split("_")[0]](run))


@scenario.gauge("crossings", kind="counter")
def missed(stream: Stream) -> float:
    """Thresholds crossed without an alarm."""
    return stream.missed


@scenario.gauge("alarms", kind="counter")
def false_alarms(stream: Stream) -> float:
    """Alarms about a level that the queue has not reached."""
    return stream.false_alarms


@scenario.variant("leaky", expect={"missed": "broken"}, origin="document code")
@scenario.variant("proposed", origin="document code")
@scenario.variant("proposed_small_queue", expect={"false_alarms": "broken"}, other=10)
@scenario.variant("proposed_unbounded", expect={"false_alarms": "broken"}, other=0)
@scenario.variant("fixed", other=10)
def send(step: int, stream: Stream) -> None:
    """Fill a queue to just below or just above a threshold, and read it to the end."""
    count = stream.fills[step % len(stream.fills)]
    stream.fill(count)
    stream.compare(count)
