"""Verdicts of resleak, and of rules that need only a trace, on stored captures."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _corpus import KEPT, WARMUP, Workload, folder
from scipy import stats

from resleak.analysis import (
    comparison,
    growth,
    over_time,
    series,
    statistics,
    stopped,
)
from resleak.analysis.comparison import ALPHA
from resleak.captures import frames, load
from resleak.errors import StoreError
from resleak.harness import process_gauges
from resleak.workload import gauges
from resleak.workload.gauges import Gauge

#: Steady steps after which the run is judged.
LOOKS = (3, 60, 120, 240, 540)
#: The look at which accuracy is scored: 300 steps, the warm-up among them.
SCORED = 240
_WORST_FIRST = ("leak", "deferred", "inconclusive", "plateau", "flat")
_MB_PER_H = 10e6 / 3600
_JUDGE = (
    *(growth, over_time, series, statistics, stopped),
    *(process_gauges, comparison),
)


def judge_code() -> str:
    """Return a digest of the judge's code."""
    text = "".join(inspect.getsource(module) for module in _JUDGE)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def rows(one: Workload, looks: tuple[int, ...] = LOOKS, kept: Path = KEPT) -> Iterator[Any]:
    """Yield one row per variant of a workload, look and tool.

    Yields
    ------
    dict
        ``workload half variant leaks code judge tool look verdict gauges``; of a variant that could
        not be measured there is none.
    """
    try:
        captures = load.load(folder(one, kept))
    except StoreError:
        return
    named = {"workload": one.name, "half": one.half, "beyond": one.beyond, "code": one.code}
    named |= {"expect": list(one.expect), "truth": one.truth}
    for variant in captures.variants:
        runs = captures.select(variant=variant)
        trace = frames.traces(runs)
        told = {**named, "variant": variant, "leaks": variant == "leaky", "runs": len(runs)}
        done = min(run.manifest.steps for run in runs)
        for look in (look for look in looks if look <= done):
            found = verdict(upto(trace, look), runs)
            kept = found["gauges"] if look in (SCORED, LOOKS[-1]) else _leaks(found["gauges"])
            yield {**told, "look": look, "tool": "resleak", **found, "gauges": kept}
        yield from _certificate(captures, variant, told)
        for tool, rule in TRACE_RULES.items():
            yield {**told, "look": SCORED, "tool": tool, **rule(upto(trace, SCORED))}


def _certificate(captures: frames.Captures, variant: str, told: dict[str, Any]) -> Iterator[Any]:
    """Yield the certificates of 5 + 5 runs of 120 steps for the variant `fixed`."""
    if variant != "fixed":
        return
    sides = [upto(frames.traces(captures.select(variant=v)), 120) for v in ("leaky", "fixed")]
    for name in told["expect"]:
        gauge = gauges.BUILTIN.get(name) or frames.gauges_of(captures)[name]
        yield {**told, "look": 120, "tool": "certificate", **certified(gauge, *sides)}


def certified(gauge: Gauge, before: pd.DataFrame, after: pd.DataFrame) -> dict[str, Any]:
    """Return the certificate of paired replicates for one gauge."""
    found = comparison.certificate(gauge, before, after, paired=True)
    numbers = {"p": found.p, "bound": found.bound, "margin": found.margin, "needs": found.needs}
    told = {key: float(f"{number:.4g}") for key, number in numbers.items()}
    return {"lower": bool(found.p < ALPHA), "answer": found.answer, "gauge": gauge.name, **told}


def upto(trace: pd.DataFrame, steps: int) -> pd.DataFrame:
    """Return the trace truncated to a number of steady steps."""
    steady = trace["phase"] == "steady"
    return trace[~steady | (trace["step"] <= WARMUP + steps)]


def verdict(trace: pd.DataFrame, runs: frames.Captures) -> dict[str, Any]:
    """Judge one variant like a file that names no gauges: all of them count."""
    judged = growth.judge(trace, frames.gauges_of(runs))
    words = {one.verdict for one in judged}
    word = next((word for word in _WORST_FIRST if word in words), "inconclusive")
    numbers = ["verdict", "per_step", "low", "high", "detection_limit", "reason"]
    found = {one.gauge: {name: getattr(one, name) for name in numbers} for one in judged}
    return {"verdict": word, "gauges": {name: _short(row) for name, row in found.items()}}


def _short(numbers: dict[Any, Any]) -> dict[str, Any]:
    """Round the stored numbers; for clean gauges store only the detection limit."""
    clean = numbers["verdict"] in ("flat", "plateau")
    kept = ("verdict", "detection_limit") if clean else tuple(numbers)
    return {
        key: float(f"{numbers[key]:.4g}") if isinstance(numbers[key], float) else numbers[key]
        for key in kept
    }


def _leaks(found: dict[str, Any]) -> dict[str, Any]:
    return {name: numbers for name, numbers in found.items() if numbers["verdict"] == "leak"}


def mann_kendall(trace: pd.DataFrame) -> dict[str, Any]:
    """Return ``leak`` if resident memory has a trend (p < .05) in most runs."""
    found = []
    for run in _steady_steps(trace):
        p = stats.kendalltau(run["step"], run["rss"], alternative="greater").pvalue
        found.append(bool(p < 0.05))
    return _by_majority(found)


def ten_megabytes_an_hour(trace: pd.DataFrame) -> dict[str, Any]:
    """Return ``leak`` if resident memory grows by more than 10 MB per hour after the warm-up."""
    found = []
    for run in _steady_steps(trace):
        ends = run.iloc[[0, -1]]
        found.append(bool(np.diff(ends["rss"])[0] > _MB_PER_H * np.diff(ends["t_s"])[0]))
    return _by_majority(found)


def three_and_three(trace: pd.DataFrame) -> dict[str, Any]:
    """Apply CPython's rule: after 3 repetitions, every one of 3 adds blocks, or any adds a file.

    One repetition is one block of ten steps and the collection after it. Runs without Python's own
    allocator, which counts the blocks, are left out.
    """
    found = []
    after = trace[(trace["moment"] == "after_collect") & trace["blocks"].notna()]
    for _, run in after[after["phase"].isin(["warmup", "steady"])].groupby("run"):
        rises = {name: np.diff(run[name].to_numpy()[3:7]) for name in ("blocks", "fds")}
        found.append(bool((rises["blocks"] >= 1).all() or (rises["fds"] != 0).any()))
    return _by_majority(found)


def _steady_steps(trace: pd.DataFrame) -> list[pd.DataFrame]:
    steps = trace[(trace["phase"] == "steady") & (trace["moment"] == "step")]
    return [run for _, run in steps.groupby("run")]


def _by_majority(found: list[bool]) -> dict[str, Any]:
    return {"verdict": "leak" if 2 * sum(found) > len(found) else "flat", "gauges": {}}


TRACE_RULES = {
    "Mann-Kendall on RSS": mann_kendall,
    "> 10 MB/h": ten_megabytes_an_hour,
    "CPython's 3:3 rule": three_and_three,
}
