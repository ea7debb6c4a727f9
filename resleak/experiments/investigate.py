"""From a workload to an answer in one call: capture, verdict, guilty line, and what to do next."""

from __future__ import annotations

import html
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from resleak import formatting
from resleak.analysis import budgets, stacks, verdicts
from resleak.analysis.verdicts import ScenarioVerdict, VariantVerdict
from resleak.captures.frames import Capture, Captures
from resleak.errors import ScenarioError
from resleak.harness import runner
from resleak.harness.plan import CaptureOptions
from resleak.workload.resolve import Workload
from resleak.workload.scenario import HANGS

_MEMORY = {"blocks", "objects", "heap", "native", "rss", "uss"}
_HANDLES = {
    "fds": "descriptors",
    "sockets": "sockets",
    "threads": "threads",
    "children": "child processes",
}


@dataclass(frozen=True)
class Investigation:
    """What became of one workload.

    Attributes
    ----------
    judgement : ScenarioVerdict
        As `resleak.judge` gives it, with one variant.
    captures : Captures
        The runs it rests on.
    """

    judgement: ScenarioVerdict
    captures: Captures

    @property
    def variant(self) -> VariantVerdict:
        """The only variant."""
        (only,) = self.judgement.variants.values()
        return only

    @property
    def verdict(self) -> str:
        """The worst word that applies: ``leak``, ``hangs``, ``inconclusive``, ``flat`` ..."""
        return self.variant.verdict

    @property
    def line(self) -> str:
        """The line that holds on to most, with its share; empty unless memory leaks."""
        if not self.leaking() & _MEMORY:
            return ""
        told = stacks.in_words(self.variant.sites)
        inner = self._called()
        return f"{told} It was allocated in {inner}." if inner else told

    def blamed(self) -> str:
        """Return the line, and where descriptors, threads and the like that stay are opened."""
        leaks = self.leaking()
        rows = [row for row in self.all_rows() if row["gauge"] in leaks and row.get("origin")]
        opened = [f"{row['gauge']}: opened at {row['origin']}." for row in rows]
        return " ".join(filter(None, [self.line, *opened]))

    @property
    def name(self) -> str:
        """The workload's name."""
        return str(self.judgement.scenario["name"])

    def leaking(self) -> set[str]:
        """Return the gauges that leak; those of resident memory only if no others do."""
        rows = [row for row in self.all_rows() if row["verdict"] == "leak"]
        exact = {row["gauge"] for row in rows if row["family"] != "resident"}
        return exact or {row["gauge"] for row in rows}

    def undecided(self) -> set[str]:
        """Return the gauges that came out inconclusive."""
        return {row["gauge"] for row in self.all_rows() if row["verdict"] == "inconclusive"}

    def rows(self) -> list[dict[str, Any]]:
        """Return the gauges that show something or are undecided, worst first."""
        order = verdicts.ORDER.index
        silent = ("flat", "plateau", *(("inconclusive",) if self.verdict == HANGS else ()))
        shown = [row for row in self.all_rows() if row["verdict"] not in silent]
        return sorted(shown, key=lambda row: order(row["verdict"]))

    def quiet(self) -> list[str]:
        """Say which gauges show nothing, and the smallest leak that was to be seen in each."""
        told = []
        for word in ("plateau", "flat"):
            rows = [row for row in self.all_rows() if row["verdict"] == word]
            each = (
                f"{r['gauge']} {formatting.rate(r['smallest_detectable'], r['unit'])}" for r in rows
            )
            told += [f"{word}, with no leak above: {', '.join(each)}"] if rows else []
        return told

    def next_steps(self) -> list[str]:
        """Say what to do about it, a sentence for each thing."""
        return list(_advice(self))

    def to_dict(self) -> dict[str, Any]:
        """Return what ``resleak judge --json`` prints, with one variant."""
        held = budgets.check(self.judgement, self.captures, budgets.read(None))
        rows = verdicts.plain(held.to_dict(orient="records"))
        return {**self.judgement.to_dict(), "budgets": rows}

    def __str__(self) -> str:
        told = [f"{self.name}: {self.verdict}"]
        told += [f"{row['gauge']}: {_found(row)}" for row in self.rows()]
        return "\n".join(filter(None, [*told, self.line, *self.quiet(), *self.next_steps()]))

    def _repr_html_(self) -> str:
        first, *others = str(self).splitlines()
        items = "".join(f"<li>{html.escape(one)}</li>" for one in others if one)
        return f"<p><b>{html.escape(first)}</b></p><ul>{items}</ul>"

    def all_rows(self) -> list[dict[str, Any]]:
        """Return all gauges, as `resleak.analysis.growth.judge` gives them."""
        records = self.variant.gauges.to_dict(orient="records")
        return [{str(key): value for key, value in row.items()} for row in records]

    def _called(self) -> str:
        """Name the innermost frame outside the interpreter, where that is not the line itself."""
        sites = self.variant.sites
        if not len(sites) or not sites["low"].iloc[0] > 0 or not sites["file"].iloc[0]:
            return ""
        inner = stacks.package_sites(self.captures)
        inner = inner[(inner["low"] > 0) & (inner["file"] != "")]
        if not len(inner):
            return ""
        first = inner.iloc[0]
        if first["file"].startswith("<stdlib>"):
            return ""
        same = (first["file"], first["line"]) == (sites["file"].iloc[0], sites["line"].iloc[0])
        return "" if same else f"{first['file']}:{first['line']} in {first['function']}"


def investigate(
    workload: str | Workload | Path,
    options: CaptureOptions | None = None,
    *,
    lines: bool | None = None,
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
    lines : bool, optional
        Also run it under the instruments that name lines; True by default.
    **changes
        Fields of `resleak.harness.plan.CaptureOptions`, such as ``steps=500`` or ``python=...``.

    Returns
    -------
    Investigation

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
    if lines is not None:
        options = replace(options, stacks=lines)
    what = workload if isinstance(workload, Workload) else str(workload)
    folders = runner.capture(what, options)
    found = investigated(Captures(Capture(folder) for folder in folders))
    if options.stacks and "memray" not in found.captures[0].manifest.versions.packages:
        which = options.python or sys.executable
        warnings.warn(f"no line: {which} lacks memray; pip install it there", stacklevel=2)
    return found


def investigated(captures: Captures) -> Investigation:
    """Judge stored captures of a workload.

    Raises
    ------
    ScenarioError
        If they are of several variants.
    """
    if len(captures.variants) != 1:
        names = ", ".join(captures.variants)
        raise ScenarioError(f"investigate takes one variant, and these are {names}: use `judge`")
    return Investigation(verdicts.judge(captures), captures)


def _found(row: Mapping[str, Any]) -> str:
    rate = formatting.rate(row["per_step"], row["unit"])
    low, high = (formatting.amount(row[end], row["unit"]) for end in ("low", "high"))
    return f"{row['verdict']}, {rate}, 95 % [{low}, {high}], {row['reason']}"


def _advice(found: Investigation) -> Iterator[str]:
    words = {row["gauge"]: row["verdict"] for row in found.rows()}
    leaks = {gauge for gauge, word in words.items() if word == "leak"}
    if found.verdict == HANGS:
        yield _stopped(found)
    yield from (str(one) for one in found.variant.diagnoses if not one.leak)
    yield from found.variant.because
    origins = {row["gauge"]: row.get("origin") for row in found.all_rows()}
    for gauge in sorted(leaks & set(_HANDLES)):
        where = f"is opened at {origins[gauge]}" if origins[gauge] else "opens them"
        yield f"{_HANDLES[gauge]} stay: find what {where}, and close it on every path."
    if leaks & {"rss", "uss"} and not leaks & {"heap", "native", "blocks"}:
        yield "Resident memory climbs, live blocks do not: fragmentation, or memory mapped outside."
    if "inconclusive" in words.values() and not leaks:
        steps = 2 * found.captures[0].manifest.steps
        yield f"Not decided: run longer, with --steps {steps}, or more often, with --runs 5."
    if found.judgement.ok:
        yield "If it still grows in service, this step does not do what the service does."


def _stopped(found: Investigation) -> str:
    """Say how a run was ended, and where its first thread stood."""
    one = next(one for one in found.variant.exits if one["status"] != "exited")
    why = {
        "deadline": f"in {one['phase']}, a step took longer than its deadline (--deadline)",
        "memory": f"in {one['phase']}, it went over the limit of memory",
        "hung": "it did not end by itself when its steps were done",
    }
    lines = [line.strip() for stack in one["stacks"] for line in stack.splitlines()]
    place = next((f"; it stood at {line}" for line in lines if line.startswith("File ")), "")
    return f"A run was ended: {why.get(one['status'], one['status'])}{place}."
