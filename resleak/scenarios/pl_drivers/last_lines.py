"""A log's stream stays open after a failed read only where something keeps the error.

A driver shows the last lines of requested logs. For each id it keeps a getter, as the document's
`idToLastLines` does, and the getter its last answer or error. Each step requests one valid log and
the next of 200 logs in which one line of 100 is not UTF-8; the map holds all from the start.

- `leaky`, as printed: the stream is closed after the last line, which the error skips. The getter
  keeps the error's text, and CPython closes the stream with its last reference. Node closes it too
  (`last_lines.mjs`), where an error of the stream itself is the only one that rejects.
- `leaky_error_kept`: the getter keeps the error, which the document does not say. It holds the
  traceback, the frame and the stream: one descriptor per unreadable log. In Node 50 of 50 stay if
  the promise is rejected for another reason and only the line reader is closed.
- `leaky_few_ids`: the same with 20 logs over and over. Each error replaces the previous one, and
  the descriptors stop at 20 more: this leak is one per id, not one per call.
- `fixed`, `fixed_error_kept`: `with` closes the stream on every path. (Limit: `read_local_file`.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from resleak.workload.scenario import Run, Scenario

scenario = Scenario(
    seed="000#2",
    claim="a read stream is not closed when reading the last lines fails: descriptors accumulate",
    condition="never where the stream itself fails, the printed path (the body is elided; in "
    "Python a decoding error, ours). It leaks if the error is kept with its traceback (Python), or "
    "if only the line reader is closed (Node)",
    language="TypeScript",
    symptoms={"fds": "leak"},
    outcome="not reproduced",
    fix="holds",
    gauges=("fds",),
    control="threads",
    steps=120,
    warmup=30,
    params={"lines": 100, "bad_line": 75, "wanted": 30, "ids": 200, "keep": "text"},
)
Read = Callable[[Path, int, str], list[str]]


class LastLinesGetter:
    """Reads the last lines of one log, and keeps the result or the error."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[str] = []
        self.error: Exception | str | None = None

    def update(self, read: Read, wanted: int, keep: str) -> None:
        try:
            self.lines = read(self.path, wanted, "")
        except (OSError, UnicodeError) as error:
            self.error = error if keep == "error" else str(error)


class Driver:
    """Shows the last lines of logs, by id."""

    def __init__(self, run: Run) -> None:
        self.params = run.params
        self.sound, self.broken = run.workdir / "sound.log", run.workdir / "broken.log"
        self.sound_log = LastLinesGetter(self.sound)
        self.id_to_last_lines = {n: LastLinesGetter(self.broken) for n in range(run.params.ids)}

    def write_logs(self) -> None:
        lines = [b"%d task: progress\n" % number for number in range(self.params.lines)]
        self.sound.write_bytes(b"".join(lines))
        lines[self.params.bad_line] = b"\xff\xfe of another encoding\n"
        self.broken.write_bytes(b"".join(lines))

    def show(self, step: int, read: Read) -> None:
        broken_log = self.id_to_last_lines[step % self.params.ids]
        for getter in (self.sound_log, broken_log):
            getter.update(read, self.params.wanted, self.params.keep)


def last(lines: Iterable[str], wanted: int, pattern: str) -> list[str]:
    return list(deque((line for line in lines if pattern in line), wanted))


@scenario.setup
def driver(run: Run) -> Iterator[Driver]:
    driver = Driver(run)
    driver.write_logs()
    for step in range(driver.params.ids):
        fixed(step, driver)
    yield driver


@scenario.variant("leaky", origin="document code")
@scenario.variant("leaky_error_kept", expect={"fds": "leak"}, keep="error")
@scenario.variant("leaky_few_ids", keep="error", ids=20)
def leaky(step: int, driver: Driver) -> None:
    """Close the stream after the last line, which an exception skips."""

    def get_last_lines(path: Path, wanted: int, pattern: str) -> list[str]:
        stream = path.open(encoding="utf-8")  # opens
        lines = last(stream, wanted, pattern)
        stream.close()
        return lines

    driver.show(step, get_last_lines)


@scenario.variant("fixed", origin="document words")
@scenario.variant("fixed_error_kept", keep="error")
def fixed(step: int, driver: Driver) -> None:
    """Close the stream on every path."""

    def get_last_lines(path: Path, wanted: int, pattern: str) -> list[str]:
        with path.open(encoding="utf-8") as stream:
            return last(stream, wanted, pattern)

    driver.show(step, get_last_lines)
