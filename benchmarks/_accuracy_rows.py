"""Results of the accuracy benchmark: shares with their intervals, steps, misses."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from resleak.errors import StoreError

#: Steady steps at which accuracy is scored: with the warm-up, 300 steps.
SCORED = 240
#: Looks for counts that leak at every step.
_COUNTS = {"fds", "threads", "sockets", "children", "tasks", "active", "taken"}
_OPEN = "inconclusive"
#: Part of the names of workloads that leak 16 bytes per step.
_SMALLEST = r"-rate=16(?:-|$)"
_MEASURES = ("precision", "recall", _OPEN)


def read(path: Path | str) -> pd.DataFrame:
    """Read the rows of ``benchmarks/accuracy.py``: of each workload, those judged last.

    What peers said of it stands beside, in ``…_peers.jsonl``.

    Returns
    -------
    DataFrame
        One row a workload, variant, tool and look: ``workload half variant leaks beyond tool look
        verdict expect truth gauges`` and, of the peers, ``calls``.

    Raises
    ------
    StoreError
        If there is no such file.
    """
    rows = [row for found in _latest(path) for row in found["rows"]]
    known = {(row["workload"], row.get("code")) for row in rows}
    peers = [row for row in _peers(Path(path)) if (row["workload"], row["code"]) in known]
    return frame([*rows, *peers])


def rules(path: Path | str) -> pd.DataFrame:
    """Return which rule judged the rows of `read`.

    Returns
    -------
    DataFrame
        One row per part and rule: ``part rule workloads``. `rule` is the digest of the code that
        judged, which is part of each key (``_verdicts.judge_code``).
    """
    found = [
        {"part": one["rows"][0]["half"], "rule": one["key"].rpartition(" (")[0].split()[-1]}
        for one in _latest(path)
        if one["rows"]
    ]
    return pd.DataFrame(found).groupby(["part", "rule"]).size().rename("workloads").reset_index()


def _latest(path: Path | str) -> Iterable[dict[str, Any]]:
    """Return the last stored line of each workload."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise StoreError(f"there is no {path}: run `python benchmarks/accuracy.py`") from None
    return {found["workload"]: found for found in map(json.loads, lines)}.values()


def _peers(path: Path) -> list[dict[str, Any]]:
    beside = path.with_name(f"{path.stem}_peers.jsonl")
    lines = beside.read_text(encoding="utf-8").splitlines() if beside.exists() else []
    return [json.loads(line) for line in lines]


def frame(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Return rows as a table, with what a row may lack filled in."""
    found = pd.DataFrame(list(rows))
    columns = ("look", "beyond", "expect", "truth", "gauges", "window", "answer", "gauge", "calls",
               "lower", "bound", "margin", "needs")  # fmt: skip
    found = found.reindex(columns=[*dict.fromkeys([*found.columns, *columns])])
    return found.assign(beyond=found["beyond"].eq(True))


def share(hits: int, of: int) -> dict[str, Any]:
    """Return a share with the 95 % interval of Clopper and Pearson.

    References
    ----------
    Clopper, Pearson: The use of confidence or fiducial limits illustrated in the case of the
    binomial (1934).
    """
    from scipy import stats

    if not of:
        return {"hits": 0, "of": 0, "share": np.nan, "low": np.nan, "high": np.nan}
    bounds = stats.binomtest(hits, of).proportion_ci(method="exact")
    return {"hits": hits, "of": of, "share": hits / of, "low": bounds.low, "high": bounds.high}


def tools(rows: pd.DataFrame, half: str = "published", look: int = SCORED) -> pd.DataFrame:
    """Return precision, recall and inconclusive share, one row per tool and measure.

    Only for decidable workloads: the others are in `beyond`.
    """
    chosen = rows[(rows["half"] == half) & (rows["look"] == look) & ~rows["beyond"]]
    chosen = chosen[chosen["tool"] != "certificate"]
    return pd.DataFrame(
        [
            {"tool": tool, "measure": measure, **share(*_counted(mine, measure))}
            for tool, mine in chosen.groupby("tool", sort=False)
            for measure in _MEASURES
        ]
    )


def parts(rows: pd.DataFrame, look: int = SCORED) -> pd.DataFrame:
    """Count resleak's verdicts on each part of the corpus.

    Returns
    -------
    DataFrame
        One row a part: how many ``leaks`` there were and were ``found``, how many were ``called``
        one and were ``right``, and of how many ``verdicts`` how many stayed ``open``.
    """
    mine = rows[(rows["tool"] == "resleak") & (rows["look"] == look) & ~rows["beyond"]]
    halves = mine.groupby("half")
    return pd.DataFrame.from_dict({str(half): _summed_up(part) for half, part in halves}, "index")


def _summed_up(rows: pd.DataFrame) -> dict[str, int]:
    found, leaks = _counted(rows, "recall")
    right, called = _counted(rows, "precision")
    left_open, verdicts = _counted(rows, _OPEN)
    return {
        "leaks": leaks, "found": found, "called": called, "right": right,
        "verdicts": verdicts, "open": left_open,
    }  # fmt: skip


def against_steps(rows: pd.DataFrame, half: str = "published") -> pd.DataFrame:
    """Return the measures of `tools` for resleak, one row per number of steps and measure."""
    mine = rows[(rows["half"] == half) & (rows["tool"] == "resleak") & ~rows["beyond"]]
    mine = mine[mine["look"] <= SCORED].astype({"look": int})
    return pd.DataFrame(
        [
            {"steps": look, "measure": measure, **share(*_counted(part, measure))}
            for look, part in mine.groupby("look")
            for measure in _MEASURES
        ]
    )


def goals(rows: pd.DataFrame, half: str = "published") -> pd.DataFrame:
    """Return goals and measured values, one row per goal.

    Returns
    -------
    DataFrame
        ``measure goal measured low high of holds``. Steps are quantiles; all else are shares.
        `holds` is None where there are no cases.
    """
    return pd.DataFrame([_goal(*one) for one in _goals(rows, half)])


def misses(rows: pd.DataFrame, *halves: str) -> pd.DataFrame:
    """Return wrong and inconclusive verdicts at 300 steps: ``workload variant verdict why``."""
    mine = rows[rows["half"].isin(halves or ("published",))]
    mine = mine[(mine["tool"] == "resleak") & (mine["look"] == SCORED) & ~mine["beyond"]]
    return _explained(mine[_wrong(mine) | (mine["verdict"] == _OPEN)])


def beyond(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the verdicts on workloads that 300 steps cannot decide, both halves."""
    mine = rows[(rows["tool"] == "resleak") & (rows["look"] == SCORED) & rows["beyond"]]
    return _explained(mine[mine["variant"] != "leaky"])


def certificates(rows: pd.DataFrame, half: str = "published") -> pd.DataFrame:
    """Return each fix that is not certified: ``workload gauge answer bound margin needs``.

    `bound` is what may be left of the leak, `margin` what would count as nothing, in the gauge's
    unit per step, and `needs` the runs a side that would decide.
    """
    mine = _certified(rows)
    mine = mine[(mine["half"] == half) & (mine["answer"] != "fixed")]
    columns = ["workload", "gauge", "answer", "bound", "margin", "needs"]
    return mine[columns].reset_index(drop=True)


def _certified(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the before/after comparisons of leaks that show within 120 steps."""
    return rows[(rows["tool"] == "certificate") & rows["workload"].map(_begun)]


def _goals(rows: pd.DataFrame, half: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    mine = rows[rows["half"] == half]
    told = mine[(mine["tool"] == "resleak") & (mine["look"] == SCORED) & ~mine["beyond"]]
    for measure, goal in (("precision", ">= 0.99"), ("recall", ">= 0.98"), (_OPEN, "<= 0.05")):
        yield measure, goal, share(*_counted(told, measure))
    nulls = rows[(rows["half"] == "null") & (rows["tool"] == "resleak")]
    yield "false alarms on null runs", "<= 0", share(int(_wrong(nulls).sum()), len(nulls))
    memory, counts = (steps_to_verdict(mine, counts) for counts in (False, True))
    yield "steps, memory: median", "<= 100", _quantile(memory, 0.5)
    yield "steps, memory: 95th percentile", "<= 300", _quantile(memory, 0.95)
    yield "steps, counts at every step: 95th percentile", "<= 3", _quantile(counts, 0.95)
    hits = covered(mine)
    yield "intervals that cover the true rate", ">= 0.93", share(sum(hits), len(hits))
    certified = _certified(rows)
    fixes, nothing = (certified[certified["half"] == side] for side in (half, "null"))
    for measure, goal, found in (("power", ">= 0.99", fixes), ("size", "<= 0.01", nothing)):
        lower = share(int(found["lower"].eq(True).sum()), len(found))
        yield f"before/after, 5 + 5 runs of 120 steps: {measure}", goal, lower
    small = told[told["leaks"].astype(bool) & told["workload"].str.contains(_SMALLEST)]
    yield "leaks of 16 B/step found", ">= 1", share(*_counted(small, "recall"))
    yield "detection limit in heap, B/step: median", "<= 16", _quantile(smallest(mine), 0.5)


def steps_to_verdict(rows: pd.DataFrame, counts: bool) -> np.ndarray:
    """Return the steps after which each leak is called one for good; infinity if never.

    Parameters
    ----------
    rows : DataFrame
        Of one half.
    counts : bool
        Of what is counted and leaks at every step from the first on, or of memory.
    """
    leaky = rows[(rows["tool"] == "resleak") & rows["leaks"] & (rows["look"] <= SCORED)]
    found = [
        _first_for_good(mine)
        for name, mine in leaky.groupby("workload")
        if _is_count(mine) == counts and (not counts or _every_step(str(name), mine))
    ]
    return np.array(found, dtype=float)


def covered(rows: pd.DataFrame) -> list[bool]:
    """Return, per detected leak of known rate, True if its interval covers the rate."""
    mine = rows[(rows["tool"] == "resleak") & (rows["look"] == SCORED) & rows["leaks"]]
    return [
        bool(numbers["low"] - 1e-9 <= truth <= numbers["high"] + 1e-9)
        for truths, gauges in zip(mine["truth"], mine["gauges"], strict=True)
        for gauge, truth in truths.items()
        if (numbers := gauges.get(gauge, {})).get("verdict") == "leak"
    ]


def smallest(rows: pd.DataFrame, gauge: str = "heap") -> np.ndarray:
    """Return the detection limit of each clean variant in a gauge, in its unit."""
    mine = rows[(rows["tool"] == "resleak") & (rows["look"] == SCORED) & ~rows["leaks"]]
    found = [one[gauge]["detection_limit"] for one in mine["gauges"] if gauge in one]
    return np.array(found, dtype=float)


def _counted(rows: pd.DataFrame, measure: str) -> tuple[int, int]:
    called, leaks = rows["verdict"] == "leak", rows["leaks"].astype(bool)
    if measure == "precision":
        return int((called & leaks).sum()), int(called.sum())
    if measure == "recall":
        return int((called & leaks).sum()), int(leaks.sum())
    return int((rows["verdict"] == _OPEN).sum()), len(rows)


def _wrong(rows: pd.DataFrame) -> pd.Series:
    leaks, called = rows["leaks"].astype(bool), rows["verdict"] == "leak"
    return called & ~leaks | leaks & rows["verdict"].isin(["flat", "plateau", "deferred"])


def _explained(rows: pd.DataFrame) -> pd.DataFrame:
    told = [
        "; ".join(f"{name}: {one['reason']}" for name, one in gauges.items() if "reason" in one)
        for gauges in rows["gauges"]
    ]
    return rows[["workload", "variant", "verdict"]].assign(why=told).reset_index(drop=True)


def _goal(measure: str, goal: str, found: dict[str, Any]) -> dict[str, Any]:
    bound, measured = float(goal.split()[1]), float(found["share"])
    holds = measured >= bound if goal.startswith(">") else measured <= bound
    numbers = {key: found[key] for key in ("low", "high", "of")}
    known = holds if found["of"] else None  # nothing was measured
    return {"measure": measure, "goal": goal, "measured": measured, **numbers, "holds": known}


def _quantile(values: np.ndarray, share_of: float) -> dict[str, Any]:
    value = np.quantile(values, share_of, method="higher") if len(values) else np.nan
    return {"share": value, "low": np.nan, "high": np.nan, "of": len(values)}


def _is_count(rows: pd.DataFrame) -> bool:
    return bool(set(rows["expect"].iloc[0]) & _COUNTS)


def _every_step(workload: str, rows: pd.DataFrame) -> bool:
    """Return True for a leak of one or more at every step, from the first on."""
    return "pattern" not in workload and min(rows["truth"].iloc[0].values(), default=0) >= 1


def _begun(workload: str) -> bool:
    """Return True if a leak shows within 120 steps: neither late nor once in a hundred."""
    return "late" not in workload and "100th" not in workload


def _first_for_good(rows: pd.DataFrame) -> float:
    first = np.inf
    looks = rows.sort_values("look", ascending=False)
    for look, verdict in zip(looks["look"], looks["verdict"], strict=True):
        if verdict != "leak":
            break
        first = float(look)
    return first
