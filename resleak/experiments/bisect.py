"""The release, or the revision, that brought a leak or its cure, found by verdicts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from resleak.analysis import wording
from resleak.captures import storage
from resleak.captures.files import write_json
from resleak.captures.frames import Capture, Captures
from resleak.captures.storage import folders, read_manifest
from resleak.errors import ResleakError, ScenarioError
from resleak.experiments import environments, revisions
from resleak.experiments.investigate import Investigation, investigate, investigated
from resleak.harness.plan import CaptureOptions
from resleak.workload import resolve

_LEAKS, _CLEAN, _UNDECIDED, _BROKEN = "leaks", "clean", "undecided", "cannot run"


@dataclass(frozen=True)
class Tried:
    """One release or revision that was measured.

    Attributes
    ----------
    name : str
        The release, or the short hash of the revision.
    verdict : str
        ``leaks``, ``clean``, ``undecided`` or ``cannot run``.
    evidence : str
        The rates it rests on, or why it could not be measured.
    captures : str
        Where its captures are.
    """

    name: str
    verdict: str
    evidence: str
    captures: str = ""


@dataclass(frozen=True)
class Bisected:
    """What a bisection found.

    Attributes
    ----------
    first : str
        The first that leaks, as far as could be decided; or, if `cured`, the first that is clean.
    last : str
        The last before it that is not so.
    cured : bool
        Whether the good end is the later one.
    between : tuple of str
        Those between the two that could not be decided; usually none.
    tried : tuple of Tried
        All that was measured, in that order.
    gauges : tuple of str
        The gauges that decided: those that leak at the bad end and not at the good one.
    line : str
        Of the one that leaks next to the change: the line that holds on to most memory, or where
        what stays is opened.
    """

    first: str
    last: str
    cured: bool
    between: tuple[str, ...]
    tried: tuple[Tried, ...]
    gauges: tuple[str, ...]
    line: str

    @property
    def sentence(self) -> str:
        """Say which one brought the change, or between which two it came."""
        is_so, was_so = ("is clean", "leaks") if self.cured else ("leaks", "is clean")
        if not self.between:
            return f"the first that {is_so} is {self.first}; {self.last} before it {was_so}"
        unsure = ", ".join(self.between)
        return (
            f"{self.first} {is_so} and {self.last} {was_so}; "
            f"between them could not be decided: {unsure}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**asdict(self), "sentence": self.sentence}

    def __str__(self) -> str:
        rows = [f"{one.name}: {one.verdict} ({one.evidence})" for one in self.tried]
        return "\n".join([*rows, self.sentence])


@dataclass
class Bench:
    """Measures one release or revision after another, and keeps what it measured.

    `measure` investigates the workload at a name with options. Captures of the same settings that
    are in `out` are not made again; steps and runs are doubled once where they do not decide.
    """

    measure: Callable[[str, CaptureOptions], Investigation]
    out: Path
    options: CaptureOptions
    tell: Callable[[Tried], None]
    gauges: set[str] = field(default_factory=set)
    tried: list[Tried] = field(default_factory=list)

    def end(self, name: str) -> Investigation:
        """Measure one of the two ends, which must be possible."""
        return self._measured(name, self.options)

    def note(self, name: str, found: Investigation) -> bool | None:
        """Keep what was found of one, and say whether it leaks; None if that is not decided."""
        leaks = self._leaks(found)
        word = {True: _LEAKS, False: _CLEAN, None: _UNDECIDED}[leaks]
        self._add(Tried(name, word, _evidence(found, self.gauges), str(self.out / name)))
        return leaks

    def line(self, name: str) -> str:
        """Measure one as it was decided, with what names lines, and return what it names.

        Those captures lie apart: the ones that decided stay as they are, for the next search.
        """
        options = self.options
        if decided := _kept(self.out / name, options):
            runs = sum(one.instrument == "gauges" for one in decided)
            options = replace(options, runs=runs, steps=decided[0].manifest.steps)
        options = replace(options, stacks=True)
        return self._measured(name, options, self.out / "lines").blamed()

    def ask(self, name: str) -> bool | None:
        """Measure one, again and for longer if that does not decide."""
        try:
            found = self._measured(name, self.options)
            if self._leaks(found) is None:
                steps = 2 * found.captures[0].manifest.steps
                runs = 2 * self.options.run_count
                found = self._measured(name, replace(self.options, steps=steps, runs=runs))
        except ResleakError as error:
            self._add(Tried(name, _BROKEN, str(error)))
            return None
        return self.note(name, found)

    def _add(self, tried: Tried) -> None:
        self.tried.append(tried)
        self.tell(tried)

    def _measured(
        self, name: str, options: CaptureOptions, out: Path | None = None
    ) -> Investigation:
        out = out or self.out.parent
        kept = _kept(out / self.out.name / name, options)
        if kept is not None:
            return investigated(kept)
        return self.measure(name, replace(options, label=name, out=out))

    def _leaks(self, found: Investigation) -> bool | None:
        if found.leaking() & self.gauges:
            return True
        return None if found.undecided() & self.gauges else False


def search(names: Sequence[str], ask: Callable[[str], bool | None]) -> tuple[int, int]:
    """Find the neighbours between which something changed.

    Parameters
    ----------
    names : sequence of str
        In order of time; the first is known to be as before, the last as after.
    ask : callable
        Says of a name whether it is as after; None if it cannot tell: then others are asked.

    Returns
    -------
    tuple of int
        Where the two are. Between them are only names of which it could not be told.
    """
    low, high, unknown = 0, len(names) - 1, set[int]()
    while left := [at for at in range(low + 1, high) if at not in unknown]:
        middle = min(left, key=lambda at: abs(2 * at - low - high))
        changed = ask(names[middle])
        if changed is None:
            unknown.add(middle)
        elif changed:
            high = middle
        else:
            low = middle
    return low, high


def bisect_releases(
    workload: str,
    package: str,
    good: str,
    bad: str,
    options: CaptureOptions | None = None,
    *,
    beside: Iterable[str] = (),
    tell: Callable[[Tried], None] = lambda _: None,
    **changes: Any,
) -> Bisected:
    """Find the first release of a package in which a workload leaks, or no longer does.

    If the good release is the later one, the first release with the fix is searched for. `beside`
    is what else the workload needs, as for pip. In the folder ``out`` of the options, ``bisected``
    keeps the captures of each release: called again with the same settings, it goes on from there.
    """
    options = replace(options or CaptureOptions(), stacks=False, **changes)
    python, others = options.python, list(beside)
    names, cured = _between(environments.releases(package, python), package, good, bad)

    def measure(name: str, options: CaptureOptions) -> Investigation:
        interpreter = environments.make([f"{package}=={name}", *others], python)
        return investigate(workload, options, python=str(interpreter))

    settings = {"package": package, "beside": others}
    bench = _bench(workload, measure, Path("bisected", package), settings, options, tell)
    return _bisected(names, bench, cured)


def bisect_revisions(
    workload: str,
    good: str,
    bad: str,
    options: CaptureOptions | None = None,
    *,
    tell: Callable[[Tried], None] = lambda _: None,
    **changes: Any,
) -> Bisected:
    """Find the first revision of a workload's repository at which it leaks, or no longer does.

    Each revision is checked out into a temporary folder of its own; the workload's file is taken
    from the present tree, the code that it imports from the revision. Nothing is built: code that
    has to be compiled first is out of reach.
    """
    options = replace(options or CaptureOptions(), stacks=False, **changes)
    past = revisions.History.of(workload)
    names, cured = past.between(good, bad)

    def measure(name: str, options: CaptureOptions) -> Investigation:
        with past.checked_out(name) as work:
            return investigate(work, options)

    bench = _bench(workload, measure, Path("bisected", "git"), {"git": True}, options, tell)
    return _bisected(names, bench, cured)


def _bisected(names: Sequence[str], bench: Bench, cured: bool) -> Bisected:
    ends = names[::-1] if cured else names
    good, bad = bench.end(ends[0]), bench.end(ends[-1])
    bench.gauges = bad.leaking() - good.leaking()
    if not bad.leaking():
        raise ScenarioError(
            f"{ends[-1]} does not leak ({bad.verdict}), so there is nothing to find"
        )
    if not bench.gauges:
        shared = ", ".join(sorted(good.leaking()))
        raise ScenarioError(f"{ends[0]} leaks as well ({shared}); choose another one as good")
    for name, found in ((ends[0], good), (ends[-1], bad)):
        bench.note(name, found)
    low, high = search(names, lambda name: _changed(bench.ask(name), cured))
    leaky = names[low] if cured else names[high]
    return Bisected(
        names[high], names[low], cured, tuple(names[low + 1 : high]), tuple(bench.tried),
        tuple(sorted(bench.gauges)), bench.line(leaky),
    )  # fmt: skip


def _changed(leaks: bool | None, cured: bool) -> bool | None:
    return leaks if leaks is None else leaks is not cured


def _between(known: list[str], package: str, good: str, bad: str) -> tuple[list[str], bool]:
    for name in (good, bad):
        if name not in known:
            some = ", ".join(known[-8:])
            raise ScenarioError(f"the index has no release {name} of {package}; it has … {some}")
    first, last = sorted((known.index(good), known.index(bad)))
    return known[first : last + 1], known[last] == good


def _bench(
    workload: str,
    measure: Callable[[str, CaptureOptions], Investigation],
    below: Path,
    settings: dict[str, Any],
    options: CaptureOptions,
    tell: Callable[[Tried], None],
) -> Bench:
    """Prepare a bench; captures that were made with other settings do not count."""
    work = resolve.find(workload)
    place = Path(options.out) / below / work.name
    file = place / "bisection.json"
    content = work.file.read_bytes() if work.file.is_file() else b""
    settings = {**settings, "target": work.target, "runs": options.run_count}
    settings |= {name: getattr(options, name) for name in ("seed", "python", "steps")}
    settings["digest"] = hashlib.sha256(content).hexdigest()
    if not _has_settings(file, settings):
        for variant in [*place.iterdir()] if place.is_dir() else []:
            storage.retire(variant, "")  # captures only; anything else stays
        place.mkdir(parents=True, exist_ok=True)
        write_json(file, settings)
    return Bench(measure, place, options, tell)


def _has_settings(file: Path, settings: dict[str, Any]) -> bool:
    try:
        return bool(json.loads(file.read_text(encoding="utf-8")) == settings)
    except (OSError, ValueError, RecursionError):
        return False


def _kept(folder: Path, options: CaptureOptions) -> Captures | None:
    """Return the captures of an earlier call, if there are as many and as long, or more."""
    manifests = {path: read_manifest(path) for path in folders(folder)}
    whole = {path: one for path, one in manifests.items() if one.is_complete}
    measured = [one for one in whole.values() if one.instrument == "gauges"]
    too_short = any(one.steps < (options.steps or 0) for one in measured)
    if len(measured) < options.run_count or too_short:
        return None
    return Captures(Capture(path) for path in sorted(whole))


def _evidence(found: Investigation, gauges: set[str]) -> str:
    return ", ".join(wording.short(one) for one in found.variant.gauges if one.gauge in gauges)
