"""From a workload to an answer in one call: measure until it is decided, and judge it."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

from resleak.errors import ResleakError
from resleak.harness.plan import CaptureOptions, Look, plan
from resleak.workload.resolve import Workload
from resleak.workload.verdict_words import LEAK

if TYPE_CHECKING:
    from resleak.analysis.gauge_verdict import GaugeVerdict
    from resleak.analysis.verdicts import VariantVerdict
    from resleak.captures.frames import Capture
    from resleak.experiments.investigation import Investigation

#: Default budget of a measurement that goes on until it is decided, seconds.
BUDGET_S = 30.0
#: Growth of memory that looks like a leak is followed up to so many times the first steps, while
#: the load takes less than such a part of the budget: caches without a declared bound may fill. A
#: larger budget allows as many times more steps.
_CONFIRM = ((4, 1 / 6), (16, 1 / 12))
#: Bytes up to which it is followed: all replicates hold as much at the same time.
_MOST_BYTES = 256 * 1024**2
#: Lines are recorded again where the first steps did not show what leaks, by each instrument for at
#: most such a part of the budget. From this share on, what was seen is all that leaks.
_LINES, _EXPLAINED = 1 / 3, 0.8
#: And for so many times the first steps: to inspect all objects takes longer the more there are.
_LONGEST = {"memray": 64, "forensics": 4}
#: Families of gauges that show the same growth, the most telling first.
_MEMORY = ("memory", "objects", "resident")


def investigate(
    workload: str | Workload | Path,
    options: CaptureOptions | None = None,
    *,
    budget_s: float = BUDGET_S,
    tell: Callable[[str], object] = lambda _: None,
    **changes: Any,
) -> Investigation:
    """Measure a workload in fresh processes, judge it, and find the line that grows.

    Parameters
    ----------
    workload : str or Path
        A Python file with ``step(i)``, a pytest node id (``tests/test_api.py::test_upload``),
        ``package.module:function``, or a scenario with a single variant.
    options : CaptureOptions, optional
        How it is measured.
    budget_s : float
        Without a fixed number of steps it goes on until every gauge is decided, as far as this
        many seconds allow; 0 for the planned steps alone.
    tell : callable
        Called with one line for the first verdict, and for each clue to a cause once it is there.
    **changes
        Fields of `resleak.CaptureOptions`, such as ``steps=500`` or ``stacks=False``.

    Raises
    ------
    ScenarioError
        If the workload cannot be found or loaded, or has several variants.
    CaptureError
        If a run failed; what it recorded until then is kept.
    MissingPackageError
        If the interpreter lacks psutil.
    """
    options = replace(options or CaptureOptions(), **changes)
    decide = UntilDecided(budget_s, tell)
    if options.steps is None and options.decide is None and budget_s > 0:
        options = replace(options, decide=decide, budget_s=budget_s, on_stored=decide.stored)
    what = workload if isinstance(workload, Workload) else str(workload)
    # What judges takes as long to load as the first runs take. No daemon: one that is ended amid an
    # import can crash the interpreter.
    Thread(target=_load).start()
    planned = plan(what, options)
    from resleak.harness import runner

    investigation = decide.read(runner.run(planned))
    for steps, instruments in _to_follow(investigation, budget_s).items():
        tell(f"what grows may be more than grew first: recording lines over {steps:,} steps")
        once = replace(options, instruments=instruments, decide=None, budget_s=None)
        longer = replace(planned, steps=steps, most_steps=steps, options=once)
        folders = [one.path for one in investigation.captures]
        investigation = decide.read([*dict.fromkeys([*folders, *runner.run(longer)])])
    first = investigation.captures[0].manifest
    if options.stacks and "memray" not in first.versions.packages:
        which = options.python or sys.executable
        warnings.warn(f"no line: {which} lacks memray; pip install it there", stacklevel=2)
    return investigation


def _to_follow(found: Investigation, budget_s: float) -> dict[int, list[str]]:
    """Return what is to record lines again, by the number of steps: as many as fit the budget."""
    import numpy as np

    one_of = {one.instrument: one for one in found.captures}
    again: dict[int, list[str]] = {}
    if not _is_outrun(found, one_of):
        return again
    whole, first = one_of["gauges"].manifest.steps, one_of["memray"].manifest
    read = one_of["gauges"].trace.query("phase == 'steady'")
    for name in sorted(one_of.keys() & _LONGEST.keys()):
        most = min(whole, _LONGEST[name] * first.steps)
        for steps in (most * eighths // 8 for eighths in range(8, 0, -1)):
            ends = first.warmup, first.warmup + steps
            began, ended = np.interp(ends, read["step"], read["t_s"])
            own_s = one_of[name].manifest.steady_s * steps / first.steps
            if steps >= 2 * first.steps and own_s + ended - began < _LINES * budget_s:
                again.setdefault(steps, []).append(name)
                break
    return again


def _is_outrun(found: Investigation, one_of: Mapping[str, Capture]) -> bool:
    """Return whether what leaks may not be what grew while memray recorded lines.

    Growth that begins later, or gets faster, can be that of other lines.
    """
    if "memray" not in one_of or one_of["memray"].manifest.steps >= one_of["gauges"].manifest.steps:
        return False
    first, balance = one_of["memray"].manifest, found.variant.found.balance
    half = first.warmup + first.steps / 2
    is_late = any(one.since > half for one in found.variant.gauges if one.gauge in balance)
    blocks = balance["blocks"].share if "blocks" in balance else 1.0
    return is_late or blocks < _EXPLAINED or any(one.is_unseen for one in balance.values())


def _load() -> None:
    """Load what judges."""
    with suppress(Exception):  # whoever needs it will say what is wrong
        from resleak.experiments import investigation  # noqa: F401


@dataclass
class UntilDecided:
    """Goes on while a gauge is undecided, as far as the next look fits the budget.

    `budget_s` is counted from the start; the steps to a look take at most twice as long as those
    between the two looks before. `tell` gets a line for the first verdict, and one for each clue
    to what leaks in a capture that `stored` took in.
    """

    budget_s: float = BUDGET_S
    tell: Callable[[str], object] = lambda _: None
    #: Captures that were taken in, with the tables that were read, by folder.
    captures: dict[Path, Capture] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    _first: int = 0
    _load_s: float = 0.0
    #: Bytes per step of what grows and may be a cache that fills; 0 if there is none.
    _fills: float = 0.0
    _leaks: list[GaugeVerdict] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def __call__(self, look: Look) -> int:
        """Return up to how many times their steps the runs go on; 0 if they end."""
        self._first = self._first or look.steps
        took_s, self._load_s = look.load_s - self._load_s, look.load_s
        if time.monotonic() - self.began + 2 * took_s > self.budget_s:
            return 0
        if not self._fills:
            variant = _judged(look.stored())
            self._fills = _leaking_memory(variant)
            if self._fills or not _is_open(variant):
                self._tell_verdict(variant)
            if not self._fills:
                return 2 * _is_open(variant)
        larger = max(1.0, self.budget_s / BUDGET_S)
        for times, part in _CONFIRM:
            most_s = part * larger * BUDGET_S
            if (
                look.steps < times * larger * self._first
                and look.load_s < most_s
                and self._fits(2, look)
            ):
                is_quick = look.steps <= 4 * self._first and 4 * look.load_s < most_s
                return 4 if is_quick and self._fits(4, look) else 2
        # With the others, what has a declared bound is undecided instead.
        return 2 * _is_open(_judged([*look.stored(), *look.others()]))

    def _fits(self, times: int, look: Look) -> bool:
        """Return whether memory is enough for so many times the steps."""
        return times * look.steps * self._fills <= _MOST_BYTES

    def _tell_verdict(self, variant: VariantVerdict) -> None:
        """Tell of resources that leak, and of the most telling memory gauge."""
        from resleak.analysis import wording

        leaks = [one for one in variant.gauges if one.is_leak]
        by_family = {one.family: one for one in reversed(leaks)}
        memory = next((by_family[name] for name in _MEMORY if name in by_family), None)
        main = [one for one in leaks if one is memory or one.family not in _MEMORY]
        shown = "; ".join(wording.short(one.readable) for one in main) or variant.verdict
        self.tell(f"so far: {shown}" + "; it may be a cache that fills" * (self._fills > 0))
        with self._lock:
            self._leaks = leaks
            for capture in self.captures.values():
                self._tell_clues(capture)

    def read(self, folders: Iterable[Path]) -> Investigation:
        """Return the answer by all captures."""
        from resleak.captures.frames import Capture
        from resleak.experiments import investigation

        return investigation.from_captures(
            self.captures.get(one) or Capture(one) for one in folders
        )

    def stored(self, folder: Path) -> None:
        """Take in a capture, and tell what it shows of what leaks."""
        from resleak.captures.frames import Capture

        capture = Capture(folder)
        with self._lock:
            self.captures[folder] = capture
            self._tell_clues(capture)

    def _tell_clues(self, capture: Capture) -> None:
        with suppress(ResleakError):  # the answer will say what is wrong with it
            for line in _clues(capture, self._leaks):
                self.tell(line)


def _clues(capture: Capture, leaks: list[GaugeVerdict]) -> Iterator[str]:
    """Yield what one capture shows of the gauges that leak."""
    from resleak.analysis import handle_origins, inspection, stacks
    from resleak.captures.frames import Captures

    grows = any(one.family in ("memory", "objects") for one in leaks)
    if capture.instrument == "handles":
        places = handle_origins.first_places(handle_origins.origins([capture], leaks))
        yield from (f"{gauge}: created at {place}" for gauge, place in places.items())
    elif capture.instrument == "memray" and grows:
        sites = stacks.sites([capture])
        sure = sites[sites["low"].gt(0) & sites["file"].ne("")].head(1)
        for row in sure.itertuples():
            share = f"{100 * row.share:.0f} % of the growth that memray saw"
            yield f"memory: allocated at {row.file}:{row.line} in {row.function}, {share}"
    elif capture.instrument == "forensics" and grows:
        kept = inspection.inspected(Captures([capture])).retention.head(1)
        yield from (f"memory: kept by {row.path}" for row in kept.itertuples())


def _judged(folders: list[Path]) -> VariantVerdict:
    from resleak.analysis import verdicts
    from resleak.captures.frames import Capture, Captures

    (variant,) = verdicts.judge(Captures(map(Capture, folders))).variants.values()
    return variant


def _is_open(variant: VariantVerdict) -> bool:
    """Return True if there is no leak yet, and a gauge is undecided."""
    return variant.verdict != LEAK and bool(variant.undecided)


def _leaking_memory(variant: VariantVerdict) -> float:
    """Return the bytes per step that leak, at least 1 for objects; 0 if anything else leaks."""
    leaks = [one for one in variant.gauges if one.is_leak]
    if not leaks or any(one.family == "handles" for one in leaks):
        return 0.0
    return max([1.0, *(one.per_step for one in leaks if one.unit == "B")])
