"""The answer for one workload: verdict, causes with their lines, and what to do next."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from resleak import formatting
from resleak.analysis import budgets, verdicts, wording
from resleak.analysis.causes import text
from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.analysis.rows import plain
from resleak.captures.frames import Capture, Captures
from resleak.errors import ScenarioError
from resleak.workload.gauges import LIVE_MEMORY
from resleak.workload.verdict_words import CLEAN, HANGS, LEAK, ORDER, UNDECIDED


@dataclass(frozen=True)
class Investigation:
    """The verdict on one workload, as `resleak.judge` gives it, and the runs that it rests on."""

    judgement: verdicts.ScenarioVerdict
    captures: Captures

    @property
    def variant(self) -> verdicts.VariantVerdict:
        """The only variant."""
        (only,) = self.judgement.variants.values()
        return only

    @property
    def verdict(self) -> str:
        """The worst word that applies: ``leak``, ``hangs``, ``inconclusive``, ``flat`` ..."""
        return self.variant.verdict

    @property
    def headline(self) -> str:
        """The verdict, the number of causes, and how much was measured."""
        manifests = [one.manifest for one in self.captures.select(instrument="gauges")]
        causes = len(self.variant.found.causes)
        parts = [formatting.counted(causes, "cause")] if causes else []
        runs = formatting.counted(len(manifests), "run")
        parts.append(f"{runs} of {manifests[0].steps} steps")
        verdict = self.verdict.upper() if self.variant.symptoms else self.verdict
        return f"{verdict}  {self.name}   {' · '.join(parts)}"

    def cards(self) -> list[str]:
        """Return a card for each cause, in lines of plain text."""
        return text.numbered(self.variant.found)

    def accounts(self, verbose: bool = False) -> list[str]:
        """Return what is explained, and which gauges show nothing; verbose, with their limits."""
        explained, gauges = [*text.accounts(self.variant.found, verbose)], self.variant.gauges
        if not verbose:
            quiet = text.quiet(gauges, with_undecided=bool(self.variant.found.causes))
            shown = [*explained[:1], *([f"{quiet} (-v for detection limits)"] if quiet else [])]
            return [" · ".join(shown), *explained[1:]]
        for word in (word for word in ORDER if word in CLEAN):
            clean = [one for one in gauges if one.verdict == word]
            limits = ", ".join(f"{one.gauge} {wording.detection_limit(one)}" for one in clean)
            explained += [f"{word}, with detection limits: {limits}"] if clean else []
        return explained

    def is_known(self, fingerprints: set[str]) -> bool:
        """Return whether it leaks, and nothing else, by causes that are known."""
        causes = {one.id for one in self.variant.found.causes}
        return self.verdict == LEAK and bool(causes) and causes <= fingerprints

    def blamed(self) -> str:
        """Return the causes in one line, each with its place."""
        return "; ".join(map(text.short, self.variant.found.causes))

    @property
    def name(self) -> str:
        """The workload's name."""
        return str(self.judgement.scenario["name"])

    def leaking(self) -> set[str]:
        """Return the gauges that leak; those of resident memory only if no others do."""
        families = {one.gauge: one.family for one in self.variant.gauges if one.is_leak}
        return {name for name, family in families.items() if family != "resident"} or set(families)

    def undecided(self) -> set[str]:
        """Return the gauges that came out inconclusive."""
        return {one.gauge for one in self.variant.gauges if one.verdict == UNDECIDED}

    def rows(self) -> list[GaugeVerdict]:
        """Return the gauges that show something or are undecided, worst first."""
        silent = CLEAN | {UNDECIDED} if self.verdict == HANGS else CLEAN
        shown = [one for one in self.variant.gauges if one.verdict not in silent]
        return sorted(shown, key=lambda one: ORDER.index(one.verdict))

    def next_steps(self) -> Iterator[str]:
        """Yield what to do about it, a sentence for each thing."""
        if self.verdict == HANGS:
            yield self._interruption()
        yield from (str(one) for one in self.variant.diagnoses if not one.leak)
        found = self.variant.found.causes
        yield from self.variant.obstacles if found else self.variant.because
        about, words = self.captures[0].manifest, {one.verdict for one in self.rows()}
        if UNDECIDED in words and LEAK not in words:
            yield self._how_to_decide()
        # A number of steps that was asked for shortens the warm-up only where it is smaller.
        if about.warmup < min(about.scenario.warmup, about.steps):
            yield (
                f"Steps are slow: the budget allowed {about.steps}, after {about.warmup} to warm "
                "up. A pool or cache that fills later would look like a leak: raise the budget, "
                "for example with --budget 5m."
            )
        elif (
            about.per == "step"
            and self._may_fill()
            and (about.steps < 4 * about.scenario.steps or self.undecided() & {*LIVE_MEMORY})
        ):
            yield (
                f"Followed for {about.steps} steps: a cache that fills later would look like this. "
                f"To be sure, allow more: --budget 5m, or --steps {16 * about.steps}."
            )
        if self.judgement.ok:
            yield from self._what_was_not_seen()

    def to_dict(self, limits: budgets.Budgets | None = None) -> dict[str, Any]:
        """Return what ``resleak judge --json`` prints, with one variant."""
        checks = budgets.check(self.judgement, self.captures, limits or budgets.read())
        return {**self.judgement.to_dict(), "budgets": plain(checks)}

    def __repr__(self) -> str:
        others = [wording.sentence(one) for one in self.rows() if not one.is_leak]
        lines = (self.headline, *self.cards(), *others, *self.accounts(), *self.next_steps())
        return "\n".join(filter(None, lines))

    def _repr_html_(self) -> str:
        first, *others = str(self).splitlines()
        told = html.escape("\n".join(others))
        return f"<p><b>{html.escape(first)}</b></p><pre>{told}</pre>"

    def _may_fill(self) -> bool:
        """Return whether nothing but memory leaks."""
        families = {one.family for one in self.variant.gauges if one.is_leak}
        return bool(families) and families <= {"memory", "objects", "resident"}

    def _how_to_decide(self) -> str:
        """Say what would decide what is undecided."""
        steps = self.captures[0].manifest.steps
        if any(one.get("limit") for one in self.variant.exits):
            return f"Not decided: fewer steps are warmed up for fewer: fix --steps {2 * steps}."
        fixed = f"fix --steps {2 * steps} --runs 5"
        return f"Not decided: allow more time with a larger --budget (default: 30s), or {fixed}."

    def _what_was_not_seen(self) -> Iterator[str]:
        """Yield what such runs cannot show, where nothing grew in them."""
        about, children = self.captures[0].manifest, self.variant.gauge("children")
        grows = "If it still grows in service, this step does not do what the service does"
        if about.per == "step":
            grows += f", or does it less often than once in {about.warmup + about.steps:,} steps"
        yield f"{grows}."
        if children and children.peak > 0:
            yield (
                "Only the process of the step was read, not its child processes: "
                "`resleak record -- COMMAND` reads them, too."
            )

    def _interruption(self) -> str:
        """Say how a run was ended, and where its first thread stood."""
        one = next(one for one in self.variant.exits if one["status"] != "exited")
        why = {
            "deadline": f"in {one['phase']}, a step took longer than its deadline (--deadline)",
            "memory": f"in {one['phase']}, it went over the limit of memory",
            "hung": "it did not end by itself when its steps were done",
        }
        lines = [line.strip() for stack in one["stacks"] for line in stack.splitlines()]
        place = next((f"; it stood at {line}" for line in lines if line.startswith("File ")), "")
        return f"A run was ended: {why.get(one['status'], one['status'])}{place}."


def from_captures(runs: Iterable[Capture]) -> Investigation:
    """Judge stored captures of a workload; ScenarioError if they are of several variants."""
    captures = Captures(runs)
    if len(captures.variants) != 1:
        names = ", ".join(captures.variants)
        raise ScenarioError(f"investigate takes one variant, and these are {names}: use `judge`")
    return Investigation(verdicts.judge(captures), captures)
