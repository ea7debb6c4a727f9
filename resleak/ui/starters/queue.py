"""A queue worker, one message per step: `resleak investigate leak_queue.py`.

The broker is replaced by a queue in this process; the handler is the code under test.
"""

from __future__ import annotations

import queue
import tempfile
from collections.abc import Iterator
from typing import Any

Message = dict[str, Any]
files: list[Any] = []


# Replace this handler by yours: from worker import handle
# For Celery, call the task's function: task.run(**arguments). For an async one: async def step().
def handle(message: Message) -> None:
    """Process one message; it leaks on purpose, so that you see a verdict."""
    file = tempfile.TemporaryFile()  # noqa: SIM115
    file.write(message["body"])
    files.append(file)  # the leak: every file stays open


def setup() -> Iterator[queue.Queue[Message]]:
    """Run once before the steps; what follows `yield` runs once after them."""
    jobs: queue.Queue[Message] = queue.Queue()
    yield jobs
    # Stop threads and close connections here.


def step(number: int, jobs: queue.Queue[Message]) -> None:
    """Send a message, receive it, and process it to the end."""
    jobs.put({"id": number, "body": b"order"})
    handle(jobs.get())
    jobs.task_done()


def gauges(jobs: queue.Queue[Message]) -> dict[str, int]:
    """Return your own numbers; they are judged like the built-in ones."""
    return {"waiting": jobs.qsize()}
