"""The release, or the revision, that brought a leak or its cure, found by verdicts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from resleak import formatting
from resleak.captures import storage
from resleak.captures.files import write_json
from resleak.captures.frames import Capture, Captures
from resleak.captures.storage import folders, read_manifest
from resleak.errors import ResleakError, ScenarioError
from resleak.experiments import environments, revisions
from resleak.experiments.investigate import Investigation, investigate, investigated
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

    Parameters
    ----------
    measure : callable
        Given a name and the options of `resleak.investigate`, investigates the workload there.
    out : Path
        Where the captures go; those that are there, of the same settings, are not made again.
    steps, runs : int
        As for `resleak.investigate`; doubled once where they do not decide.
    tell : callable
        Called with each `Tried`.
    """

    measure: Callable[..., Investigation]
    out: Path
    steps: int | None
    runs: int
    tell: Callable[[Tried], None]
    gauges: set[str] = field(default_factory=set)
    tried: list[Tried] = field(default_factory=list)

    def end(self, name: str) -> Investigation:
        """Measure one of the two ends, which must be possible."""
        return self._measured(name, self.steps, self.runs)

    def note(self, name: str, found: Investigation) -> bool | None:
        """Keep what was found of one, and say whether it leaks; None if that is not decided."""
        leaks = self._leaks(found)
        word = {True: _LEAKS, False: _CLEAN, None: _UNDECIDED}[leaks]
        self._add(Tried(name, word, _evidence(found, self.gauges), str(self.out / name)))
        return leaks

    def line(self, name: str) -> str:
        """Measure one as it was decided, with what names lines, and return what it names.

        Those captures lie apart: what decided stays as it is, for who searches again.
        """
        decided = _kept(self.out / name, self.steps, self.runs) or ()
        runs = sum(one.instrument == "gauges" for one in decided) or self.runs
        steps = decided[0].manifest.steps if decided else self.steps
        return self._measured(name, steps, runs, self.out / "lines", lines=True).blamed()

    def ask(self, name: str) -> bool | None:
        """Measure one, again and for longer if that does not decide."""
        try:
            found = self._measured(name, self.steps, self.runs)
            if self._leaks(found) is None:
                steps = 2 * found.captures[0].manifest.steps
                found = self._measured(name, steps, 2 * self.runs)
        except ResleakError as error:
            self._add(Tried(name, _BROKEN, str(error)))
            return None
        return self.note(name, found)

    def _add(self, tried: Tried) -> None:
        self.tried.append(tried)
        self.tell(tried)

    def _measured(
        self, name: str, steps: int | None, runs: int, out: Path | None = None, lines: bool = False
    ) -> Investigation:
        out = out or self.out.parent
        kept = _kept(out / self.out.name / name, steps, runs)
        if kept is not None:
            return investigated(kept)
        return self.measure(name, steps=steps, runs=runs, label=name, out=out, lines=lines)

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
    *,
    beside: Iterable[str] = (),
    python: str | None = None,
    steps: int | None = None,
    runs: int = 3,
    seed: int = 0,
    out: Path | str = "captures",
    tell: Callable[[Tried], None] = lambda _: None,
) -> Bisected:
    """Find the first release of a package in which a workload leaks, or no longer does.

    Parameters
    ----------
    workload : str
        As for `resleak.investigate`.
    package, good, bad : str
        The package, a release that does not leak, and one that does. If the good one is the
        later one, the first release with the cure is searched for.
    beside : iterable of str
        What else the workload needs, as for pip.
    python : str, optional
        The interpreter that the environments are made of.
    steps, runs, seed : int
        As for `resleak.investigate`.
    out : Path
        In it a folder ``bisected`` keeps the captures of each release; called again with the same
        settings, it goes on where it was.
    tell : callable
        Called with each `Tried`.

    Returns
    -------
    Bisected

    Raises
    ------
    ScenarioError
        If a release does not exist, the good one leaks, or the bad one does not.
    CaptureError
        If one of the two ends cannot be measured.
    """
    names, cured = _between(environments.releases(package, python), package, good, bad)
    others = list(beside)

    def measure(name: str, **options: Any) -> Investigation:
        interpreter = environments.make([f"{package}=={name}", *others], python)
        return investigate(workload, python=str(interpreter), seed=seed, **options)

    folder = Path(out) / "bisected" / package
    settings = {"package": package, "beside": others, "seed": seed, "python": python}
    bench = _bench(workload, measure, folder, settings, steps, runs, tell)
    return _bisected(names, bench, cured)


def bisect_revisions(
    workload: str,
    good: str,
    bad: str,
    *,
    python: str | None = None,
    steps: int | None = None,
    runs: int = 3,
    seed: int = 0,
    out: Path | str = "captures",
    tell: Callable[[Tried], None] = lambda _: None,
) -> Bisected:
    """Find the first revision of the repository a workload lies in at which it leaks.

    Each revision is checked out into a temporary folder of its own; the workload's file is taken
    from the present tree, the code that it imports from the revision. Nothing is built: code that
    has to be compiled first is out of reach.

    Parameters
    ----------
    workload : str
        As for `resleak.investigate`.
    good, bad : str
        A revision that does not leak, and a later one that does.
    python, steps, runs, seed, out, tell
        As for `bisect_releases`.

    Returns
    -------
    Bisected

    Raises
    ------
    ScenarioError
        If it lies in no repository, there is no such revision, or the ends are not as named.
    CaptureError
        If one of the two ends cannot be measured.
    """
    past = revisions.History.of(workload)
    names, cured = past.between(good, bad)

    def measure(name: str, **options: Any) -> Investigation:
        with past.checked_out(name) as work:
            return investigate(work, python=python, seed=seed, **options)

    folder = Path(out) / "bisected" / "git"
    bench = _bench(
        workload, measure, folder, {"git": True, "seed": seed, "python": python}, steps, runs, tell
    )
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
    measure: Callable[..., Investigation],
    folder: Path,
    settings: dict[str, Any],
    steps: int | None,
    runs: int,
    tell: Callable[[Tried], None],
) -> Bench:
    """Prepare a bench; captures that were made with other settings do not count."""
    work = resolve.find(workload)
    place = folder / work.name
    file = place / "bisection.json"
    settings = {**settings, "target": work.target, "steps": steps, "runs": runs}
    content = work.file.read_bytes() if work.file.is_file() else b""
    settings["digest"] = hashlib.sha256(content).hexdigest()
    if not _has_settings(file, settings):
        for variant in [*place.iterdir()] if place.is_dir() else []:
            storage.retire(variant, "")  # captures only; anything else stays
        place.mkdir(parents=True, exist_ok=True)
        write_json(file, settings)
    return Bench(measure, place, steps, runs, tell)


def _has_settings(file: Path, settings: dict[str, Any]) -> bool:
    try:
        return bool(json.loads(file.read_text(encoding="utf-8")) == settings)
    except (OSError, ValueError, RecursionError):
        return False


def _kept(folder: Path, steps: int | None, runs: int) -> Captures | None:
    """Return the captures of an earlier call, if there are as many and as long, or more."""
    manifests = {path: read_manifest(path) for path in folders(folder)}
    whole = {path: one for path, one in manifests.items() if one.is_complete}
    measured = [one for one in whole.values() if one.instrument == "gauges"]
    if len(measured) < runs or any(one.steps < (steps or 0) for one in measured):
        return None
    return Captures(Capture(path) for path in sorted(whole))


def _evidence(found: Investigation, gauges: set[str]) -> str:
    rows = [row for row in found.all_rows() if row["gauge"] in gauges]
    return ", ".join(
        f"{row['gauge']} {row['verdict']} {formatting.rate(row['per_step'], row['unit'])}"
        for row in rows
    )
