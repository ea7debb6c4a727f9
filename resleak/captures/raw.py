"""Layouts of what a run writes before it is decoded; standard library only."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

PHASES = ("start", "setup", "warmup", "steady", "settle", "teardown", "exit")
MOMENTS = ("step", "before_collect", "after_collect")
#: Numbers before the first row: rows written, phase, step, block.
HEADER = 4
#: Numbers of each row before its gauges: time, step, block, phase, moment.
INDEX = 5
#: File of the handles that a process opened and closed, one JSON object per line.
HANDLES = "handles.jsonl"
MEMRAY = "memray.bin"
#: File with the name of an allocator that was loaded in place of the C library's.
ALLOCATOR = "allocator.txt"
#: What a process printed, and wrote to standard error.
OUTPUT, ERRORS = "output.txt", "errors.txt"
#: Header of the inspection journal: which half is valid, and how many bytes of it.
JOURNAL_HEADER = struct.Struct("<QQ")
#: Size of each half of the inspection journal, bytes.
JOURNAL_HALF = 1024**2
#: Warm-up steps whose median duration a run reports; the first one may be slower.
PACED = 3


def shortened(steps: int, warmup: int, block: int, halvings: int) -> tuple[int, int, int]:
    """Return the measured steps, warm-up steps and steps per block after these halvings."""
    return max(1, steps >> halvings), max(PACED, warmup >> halvings), max(1, block >> halvings)


@dataclass(frozen=True)
class Instrument:
    """A way to observe a process; one per process."""

    name: str
    tables: Mapping[str, tuple[str, ...]]  # columns that are checked, by the name of the table
    decoder: str  # module of `resleak.captures.decode`
    recording: str = ""  # file that a worker decodes once the run has finished
    package: str = ""  # needed in the measured process
    system: str = ""  # a value of `sys.platform`, if it needs one
    is_replicated: bool = False  # one run per replicate; else one per variant
    slowdown: float = 1.0  # deadlines are stretched by it
    place: int = 0  # in the order in which runs begin: what takes longest begins early


def _tables(**names: str) -> dict[str, tuple[str, ...]]:
    return {table: tuple(columns.split()) for table, columns in names.items()}


_STACKS = {
    "stacks": "node parent function file line studied",
    "marks": "mark step phase",
    "sources": "file line text",
}
#: Every instrument by name, in the order in which its captures are loaded and shown.
INSTRUMENTS = {
    instrument.name: instrument
    for instrument in (
        Instrument(
            "gauges", _tables(trace="t_s step block phase moment"), "trace", is_replicated=True
        ),
        Instrument(
            "memray",
            _tables(
                **_STACKS,
                live="mark step phase node thread allocator bytes count",
                peak="",
                temporary="",
            ),
            decoder="memray",
            recording=MEMRAY,
            package="memray",
            slowdown=8.0,  # it slows Python 1.9 to 7 times
            place=2,
        ),
        Instrument(
            "handles",
            _tables(
                **_STACKS,
                handles="handle kind target deleted node thread created_step created_phase "
                "closed_step closed_phase by_collection first_mark gone_mark",
            ),
            decoder="handles",
            system="linux",
            place=3,
        ),
        Instrument(
            "forensics",
            _tables(
                exit="what name daemon holds state at waits_in made_at seconds",
                stalls="kind at waits_in loop share longest_s",
                locks="thread at holder taken_at deadlock seconds",
                lost="kind name amount unit",
                retention="type count per_step path share samples",
                bounded="path size bound per_step entry_bytes entry_objects",
                cycles="cycle per_step objects holds made_of",
            ),
            decoder="inspection",
            place=1,
        ),
    )
}


#: Starts the last line of output of a child that reports its own failure, as JSON.
FAILURE = "resleak-failure: "


@dataclass
class ProcessOutcome:
    """The course and the end of a measured process, as its supervisor recorded them."""

    #: ``exited``, ``hung`` (did not end after its load), ``deadline`` (did not finish its load),
    #: ``memory`` (exceeded the memory limit), ``crashed``, ``failed`` or ``interrupted``.
    status: str = "exited"
    #: Exit code; negative for a signal.
    code: int = 0
    #: Each phase with the second it began.
    phases: list[tuple[str, float]] = field(default_factory=list)
    #: Outside gauges with ``t_s``, ``step``, ``block`` and ``phase`` (an index).
    samples: list[dict[str, float]] = field(default_factory=list)
    #: Outside gauges at the end of each block, while the process waits.
    end_of_block: dict[int, dict[str, float]] = field(default_factory=dict)
    #: Second at which the process was gone.
    ended_s: float = 0.0
    #: Limit of the system that ended the load, and the step.
    limit: str = ""
    #: Descendants that outlived the process and were ended, and what its helpers removed.
    left_behind: list[str] = field(default_factory=list)

    @property
    def phase(self) -> str:
        """The last phase that began."""
        return self.phases[-1][0] if self.phases else "start"

    def began(self, phase: str) -> float | None:
        """Return the second a phase began, or None."""
        return dict(self.phases).get(phase)
