"""Fixed thresholds give false alarms for other queue sizes, and one per event instead of crossing.

A task has three clients. One is slow: its queue of 100 is filled with 50, 51, 89 or 90 events in
turn, then read to the end. Two read each event at once: one has a queue of 10, as in the document's
own test, one an unbounded queue, as in the original system. Expected are one warning when the 51st
event is queued, one critical alarm when the 90th is, and nothing else: 100 in 100 steps.

- `leaky`: no monitoring. All 100 crossings go unnoticed.
- `proposed`: a warning above 50, a critical alarm from `maxsize - 10`. That is right for a queue of
  100 and for no other: for a queue of 10, or an unbounded one, it is 0 or -10, so the single event
  of a client that keeps up is critical. It also alarms on each event above a threshold, not on the
  crossing. Nothing is missed in 16 025 alarms, of which 15 925 are false: harmful.
- `fixed`: shares of the capacity, 50 % and 90 %, and one alarm on entering a level, not one per
  event. The 100 expected alarms, and no other.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator

from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="004 2.4",
    claim="queues fill unnoticed; a warning above 50 and a critical alarm at max - 10 would help",
    symptoms={"missed": "broken"},
    outcome="reproduced",
    fix="harmful",
    control="fds",
    limits=[
        Limit("missed", at_end=0, source="each crossing of a threshold raises an alarm"),
        Limit("false_alarms", at_end=0, source="each alarm is a real crossing, reported once"),
    ],
    steps=80,
    warmup=20,
    params={"fills": (50, 51, 89, 90), "warning": 50, "critical": 10, "default_capacity": 100},
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
        capacity, size = queue.maxsize or self.params.default_capacity, queue.qsize()
        if size * 100 >= capacity * (100 - self.params.critical):
            return logging.CRITICAL
        return logging.WARNING if size * 100 > capacity * self.params.warning else 0


class Stream:
    """A task, its clients and its alarms."""

    def __init__(self, run: Run, task: StreamTask) -> None:
        self.fills, self.task, self.alarms = run.params.fills, task, Alarms()
        self.missed = self.false_alarms = 0
        task.log.addHandler(self.alarms)
        task.clients = {"behind": Queue(100), "small": Queue(10), "unbounded": Queue()}

    def fill(self, count: int) -> None:
        for event in range(count):
            self.task.send_event(event)
            self.read("small", "unbounded")
        while self.task.clients["behind"].qsize():
            self.read("behind")

    def read(self, *names: str) -> None:
        for name in names:
            self.task.clients[name].get_nowait()

    def compare(self, count: int) -> None:
        due = Counter(("behind", level) for level in CROSSED[count])
        self.missed += (due - self.alarms.told).total()
        self.false_alarms += (self.alarms.told - due).total()
        self.alarms.told.clear()


TASKS = {"leaky": StreamTask, "proposed": ProposedTask, "fixed": FixedTask}


@scenario.setup
def stream(run: Run) -> Iterator[Stream]:
    yield Stream(run, TASKS[run.variant](run))


@scenario.gauge("crossings", kind="counter")
def missed(stream: Stream) -> float:
    """Thresholds crossed without an alarm."""
    return stream.missed


@scenario.gauge("alarms", kind="counter")
def false_alarms(stream: Stream) -> float:
    """Alarms beyond one per crossing."""
    return stream.false_alarms


@scenario.variant("leaky", expect={"missed": "broken"})
@scenario.variant("proposed", expect={"false_alarms": "broken"})
@scenario.variant("fixed")
def send(step: int, stream: Stream) -> None:
    """Fill a queue to just below or just above a threshold, and read it to the end."""
    count = stream.fills[step % len(stream.fills)]
    stream.fill(count)
    stream.compare(count)
