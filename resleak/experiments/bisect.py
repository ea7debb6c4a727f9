"""Find the release or revision that introduced or fixed a leak, by bisection."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from resleak.analysis import wording
from resleak.analysis.rows import SCHEMA_VERSION
from resleak.captures import storage, untrusted
from resleak.captures.files import write_json
from resleak.captures.frames import Capture, Captures
from resleak.captures.locks import is_temporary, temporary_folder
from resleak.captures.store.store import Store
from resleak.errors import ResleakError, ScenarioError
from resleak.experiments import environments
from resleak.experiments.investigate import investigate
from resleak.experiments.investigation import Investigation, from_captures
from resleak.experiments.sweep import results
from resleak.experiments.sweep.plan import SweepPlan
from resleak.experiments.sweep.sweep import SweepOptions, run_plan
from resleak.harness.plan import CaptureOptions
from resleak.workload import resolve
from resleak.workload.resolve import Workload

#: A repository's own hooks and monitors are not run: they could write anywhere.
_INERT = ("-c", f"core.hooksPath={os.devnull}", "-c", "core.fsmonitor=false")
_WORDS = {True: "leaks", False: "clean", None: "undecided"}


@dataclass(frozen=True)
class Tried:
    """One release, or revision by its short hash, that was measured.

    `verdict` is ``leaks``, ``clean``, ``undecided`` or ``cannot run``, `evidence` the rates of the
    deciding gauges, or the error, `captures` the folder.
    """

    name: str
    verdict: str
    evidence: str
    captures: str = ""


@dataclass(frozen=True)
class Bisected:
    """The result of a bisection: `first` has the change, `last` precedes it.

    If the good end is the later one, the leak is `fixed` there. Those `between` are undecided. The
    `gauges` leak at the bad end and not at the good one; `line` names the causes of the leak.
    """

    first: str
    last: str
    fixed: bool
    between: tuple[str, ...]
    tried: tuple[Tried, ...]
    gauges: tuple[str, ...]
    line: str

    @property
    def sentence(self) -> str:
        """The release or revision that made the change."""
        is_so, was_so = ("is clean", "leaks") if self.fixed else ("leaks", "is clean")
        if not self.between:
            return f"the first that {is_so} is {self.first}; {self.last} before it {was_so}"
        both = f"{self.first} {is_so} and {self.last} {was_so}"
        return f"{both}; between them could not be decided: {', '.join(self.between)}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self), "sentence": self.sentence}


class Bench:
    """Measures releases or revisions one by one, and keeps their captures below `out`.

    `settings` are those that all have in common: captures of others are removed.
    """

    def __init__(
        self,
        workload: str,
        measure: Callable[[str, CaptureOptions], Investigation],
        below: Path,
        settings: dict[str, Any],
        options: CaptureOptions,
        tell: Callable[[Tried], None],
    ) -> None:
        self.measure, self.options, self.tell = measure, options, tell
        self.gauges, self.tried = set[str](), list[Tried]()
        work = resolve.find(workload)
        self.out = Path(options.out) / below / work.name
        file = self.out / "bisection.json"
        content = work.file.read_bytes() if work.file.is_file() else b""
        settings = {
            **settings, "target": work.target, "runs": options.run_count, "seed": options.seed,
            "python": options.python, "steps": options.steps,
            "digest": hashlib.sha256(content).hexdigest(),
        }  # fmt: skip
        earlier = None
        with suppress(ValueError):
            if file.exists():
                earlier = untrusted.parsed(untrusted.content(file, untrusted.JSON_BYTES))
        if earlier != settings:
            for variant in [*self.out.glob("*")]:
                storage.retire(variant, "")  # captures only; anything else stays
            write_json(file, settings)

    def measured(self, name: str, options: CaptureOptions, below: str = "") -> Investigation:
        """Measure one, or judge its captures of an earlier call if they suffice."""
        out = self.out / below if below else self.out.parent
        if captures := _earlier(out / self.out.name / name, options):
            return from_captures(captures)
        return self.measure(name, replace(options, label=name, out=out))

    def note(self, name: str, investigation: Investigation) -> bool | None:
        """Record a result; return True for a leak, None if undecided."""
        leaks = self._leaks(investigation)
        deciding = (one for one in investigation.variant.gauges if one.gauge in self.gauges)
        evidence = ", ".join(map(wording.short, deciding))
        self._add(Tried(name, _WORDS[leaks], evidence, str(self.out / name)))
        return leaks

    def line(self, name: str) -> str:
        """Measure one again with the instruments that name lines, and return the line.

        Its captures have a folder of their own: a later bisection reuses the first ones.
        """
        options = self.options
        if captures := _earlier(self.out / name, options):
            runs = sum(one.instrument == "gauges" for one in captures)
            options = replace(options, runs=runs, steps=captures[0].manifest.steps)
        return self.measured(name, replace(options, stacks=True), "lines").blamed()

    def ask(self, name: str) -> bool | None:
        """Measure one; if it is undecided, measure again with twice the steps."""
        try:
            result = self.measured(name, self.options)
            if self._leaks(result) is None:
                steps = 2 * result.captures[0].manifest.steps
                longer = replace(self.options, steps=steps, runs=2 * self.options.run_count)
                result = self.measured(name, longer)
        except ResleakError as error:
            self._add(Tried(name, "cannot run", str(error)))
            return None
        return self.note(name, result)

    def _add(self, tried: Tried) -> None:
        self.tried.append(tried)
        self.tell(tried)

    def _leaks(self, investigation: Investigation) -> bool | None:
        if investigation.leaking() & self.gauges:
            return True
        return None if investigation.undecided() & self.gauges else False


def search(
    names: Sequence[str], ask: Callable[[str], bool | None], is_fix: bool = False
) -> tuple[int, int]:
    """Return the neighbours between which a leak begins or, with `is_fix`, ends.

    None as an answer means undecided: other names are asked instead.
    """
    low, high, unknown = 0, len(names) - 1, set[int]()
    while left := [at for at in range(low + 1, high) if at not in unknown]:
        middle = min(left, key=lambda at: abs(2 * at - low - high))
        leaks = ask(names[middle])
        if leaks is None:
            unknown.add(middle)
        elif leaks is not is_fix:
            high = middle
        else:
            low = middle
    return low, high


def bisect_releases(
    workload: str,
    package: str,
    good: str,
    bad: str,
    options: CaptureOptions,
    *,
    beside: Iterable[str] = (),
    cluster: str = "",
    store: str = "",
    tell: Callable[[Tried], None] = lambda _: None,
) -> Bisected:
    """Find the first release of a package with a leak, or with its fix.

    The fix is searched for if the good release is the later one. `beside` is what else the workload
    needs, as for pip. In the folder ``out`` of the options, ``bisected`` keeps all captures: called
    again with the same settings, it goes on from there. With a `cluster`, whose slots are many, all
    releases are measured at once, into a `store`.
    """
    options = replace(options, stacks=False)
    python, others = options.python, list(beside)
    names = environments.releases(package, python)
    for name in (good, bad):
        if name not in names:
            some = ", ".join(names[-8:])
            raise ScenarioError(f"the index has no release {name} of {package}; it has … {some}")
    first, last = sorted((names.index(good), names.index(bad)))
    names, is_fix = names[first : last + 1], names[last] == good

    def measure(name: str, options: CaptureOptions) -> Investigation:
        interpreter = environments.make([f"{package}=={name}", *others], python)
        return investigate(workload, options, python=str(interpreter))

    settings = {"package": package, "beside": others}
    bench = Bench(workload, measure, Path("bisected", package), settings, options, tell)
    if cluster:  # the bench finds the captures of all
        asked = {name: " ".join([f"{package}=={name}", *others]) for name in names}
        plan = SweepPlan(
            workloads=[workload], requirements={"*": [*asked.values()]}, rounds=1,
            steps=options.steps, replicates=options.run_count, seeds=[options.seed],
            python=[python] if python else [],
        )  # fmt: skip
        how = SweepOptions(cluster=cluster)
        note = run_plan(plan, Path.cwd(), store, "bisect-", bench.out.name, how).note
        for name, label in asked.items():
            if not storage.folders(bench.out / name):
                results.captures(Store.opened(store), note, label, bench.out / name)
    return _bisected(names, bench, is_fix)


def bisect_revisions(
    workload: str,
    good: str,
    bad: str,
    options: CaptureOptions,
    tell: Callable[[Tried], None] = lambda _: None,
) -> Bisected:
    """Find the first revision of a workload's repository at which it leaks, or no longer does.

    The workload's file is that of the present tree, the code that it imports is the revision's.
    Nothing is built: code that has to be compiled first is out of reach.
    """
    options = replace(options, stacks=False)
    past = History(workload)
    names, is_fix = past.between(good, bad)

    def measure(name: str, options: CaptureOptions) -> Investigation:
        with past.checked_out(name) as work:
            return investigate(work, options)

    bench = Bench(workload, measure, Path("bisected", "git"), {"git": True}, options, tell)
    return _bisected(names, bench, is_fix)


def _bisected(names: Sequence[str], bench: Bench, is_fix: bool) -> Bisected:
    ends = names[::-1] if is_fix else names
    good, bad = (bench.measured(name, bench.options) for name in (ends[0], ends[-1]))
    bench.gauges = bad.leaking() - good.leaking()
    if not bad.leaking():
        message = f"{ends[-1]} does not leak ({bad.verdict}), so there is nothing to find"
        raise ScenarioError(message)
    if not bench.gauges:
        shared = ", ".join(sorted(good.leaking()))
        raise ScenarioError(f"{ends[0]} leaks as well ({shared}); choose another one as good")
    bench.note(ends[0], good)
    bench.note(ends[-1], bad)
    low, high = search(names, bench.ask, is_fix)
    return Bisected(
        names[high], names[low], is_fix, tuple(names[low + 1 : high]), tuple(bench.tried),
        tuple(sorted(bench.gauges)), bench.line(names[low] if is_fix else names[high]),
    )  # fmt: skip


def _earlier(folder: Path, options: CaptureOptions) -> Captures | None:
    """Return an earlier call's captures, if they are as many and as long."""
    captures = [one for one in map(Capture, storage.folders(folder)) if one.complete]
    gauges = [one.manifest.steps for one in captures if one.instrument == "gauges"]
    is_short = any(steps < (options.steps or 0) for steps in gauges)
    return None if is_short or len(gauges) < options.run_count else Captures(captures)


class History:
    """A workload of the present tree, and its repository; ScenarioError if there is none."""

    def __init__(self, text: str) -> None:
        self.work = work = resolve.find(text)
        folder = work.file if work.file.is_dir() else work.file.parent
        self.top = Path(_git(folder, "rev-parse", "--show-toplevel")).resolve()

    def between(self, good: str, bad: str) -> tuple[list[str], bool]:
        """Return the revisions from one to the other, oldest first, and whether `good` is later.

        Of a merge only the first parents are followed.
        """
        ends = [
            _git(self.top, "rev-parse", "--verify", "--end-of-options", f"{one}^{{commit}}")
            for one in (good, bad)
        ]
        for good_is_later, (old, new) in ((False, ends), (True, ends[::-1])):
            path = _git(self.top, "rev-list", "--first-parent", "--reverse", f"{old}..{new}")
            if path and not _git(self.top, "rev-list", "-1", f"{new}..{old}"):
                return [one[:12] for one in (old, *path.split())], good_is_later
        raise ScenarioError(f"{good} and {bad} do not lie on one line of history; name two that do")

    @contextmanager
    def checked_out(self, revision: str) -> Iterator[Workload]:
        """Yield the workload in a temporary worktree of a revision, with its present file."""
        with temporary_folder() as folder:
            self._forget_lost()
            tree = folder.resolve() / self.top.name
            _git(self.top, "worktree", "add", "--force", "--detach", str(tree), revision)
            try:
                yield self._moved(tree)
            finally:
                _git(self.top, "worktree", "remove", "--force", str(tree))

    def _forget_lost(self) -> None:
        """Remove from the repository our worktrees whose folders are gone: a kill left them."""
        for line in _git(self.top, "worktree", "list", "--porcelain").splitlines():
            key, _, tree = line.partition(" ")
            if key == "worktree" and is_temporary(Path(tree).parent) and not os.path.exists(tree):
                with suppress(ScenarioError):  # twice: git locks one while it makes it
                    _git(self.top, "worktree", "remove", "--force", "--force", tree)

    def _moved(self, tree: Path) -> Workload:
        """Return the workload in another tree, which imports from there."""
        work = self.work
        file = tree / work.file.relative_to(self.top)
        if work.file.is_file():
            _copy_inside(work.file, file, tree)
        inside = [one for one in work.folders if one.is_relative_to(self.top)]
        near = [tree / one.relative_to(self.top) for one in inside]
        folders = tuple(dict.fromkeys([*near, tree, tree / "src"]))
        root = tree / work.root.relative_to(self.top) if inside else tree
        target = work.target.replace(str(work.file), str(file))
        return replace(work, target=target, file=file, root=root, folders=folders)


def _copy_inside(source: Path, file: Path, tree: Path) -> None:
    """Copy a file into a tree, without following a symbolic link in it."""
    folder = tree
    for part in file.parent.relative_to(tree).parts:
        folder /= part
        if folder.is_symlink():
            where = folder.relative_to(tree)
            raise ScenarioError(f"{where} is a symbolic link in this revision; nothing is written")
        folder.mkdir(exist_ok=True)
    if file.is_dir() and not file.is_symlink():
        raise ScenarioError(f"{file.relative_to(tree)} is a folder in this revision")
    file.unlink(missing_ok=True)  # a link itself, not the file it leads to
    with source.open("rb") as present, file.open("xb") as copy:
        shutil.copyfileobj(present, copy)


def _git(folder: Path, *arguments: str) -> str:
    try:
        result = subprocess.run(
            ["git", *_INERT, "-C", str(folder), *arguments],
            capture_output=True, text=True, errors="replace", check=False, timeout=120,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ScenarioError(f"git cannot be used: {error}") from None
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["no message"])[-1]
        raise ScenarioError(f"git {arguments[0]}: {last.removeprefix('fatal: ')}")
    return result.stdout.strip()
