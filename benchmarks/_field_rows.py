"""Counting of the results of the field benchmark: shares with intervals, flips, misses, times."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _accuracy_rows import share

LEAK, OPEN = "leak", ("inconclusive", "error")
#: Words that say that nothing grows any more; for a leak they are the worst answer.
SETTLED = ("flat", "plateau")
_MEASURES = ("recall", "precision", "inconclusive", "false flat or plateau")


def read(results: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return the last stored results.

    Returns
    -------
    tuple of DataFrame
        One row per workload and tool; one per series and look; one per side of the corpora.
    """
    rows = list(map(json.loads, Path(results).read_text(encoding="utf-8").splitlines()))
    work = {(row["workload"], row["tool"]): row for row in rows if "workload" in row}
    last = {(row["series"], row["seed"]): row for row in rows if "series" in row}
    looks = [{**row, **look} for row in last.values() for look in row["looks"]]
    sides = {row["side"]: {**row, "tool": "resleak"} for row in rows if "side" in row}
    return pd.DataFrame(work.values()), pd.DataFrame(looks), pd.DataFrame(sides.values())


def parts(work: pd.DataFrame, looks: pd.DataFrame, sides: pd.DataFrame) -> pd.DataFrame:
    """Count resleak's verdicts in the field as `_accuracy_rows.parts` does in the laboratory.

    Returns
    -------
    DataFrame
        One row for workloads, one for series at their end, and one for each part of the corpora
        at the default command, with ``false_flats`` besides.
    """
    places = {"workloads": work, "series": looks[looks["look"] == 1]}
    places |= {f"{part}, default": rows for part, rows in sides.groupby("half")}
    found = {}
    for place, rows in places.items():
        mine = rows[rows["tool"] == "resleak"]
        counts = [counted(mine, measure) for measure in _MEASURES]
        (hits, leaks), (right, called), (left_open, verdicts), (false, _) = counts
        found[place] = {
            "leaks": leaks, "found": hits, "called": called, "right": right,
            "verdicts": verdicts, "open": left_open, "false_flats": false,
        }  # fmt: skip
    return pd.DataFrame.from_dict(found, "index")


def decision(verdict: str) -> str:
    """Return what a verdict comes to: ``leak``, ``open`` or ``clean``."""
    if verdict == LEAK:
        return LEAK
    return "open" if verdict in OPEN else "clean"


def table(rows: pd.DataFrame, by: str = "tool") -> pd.DataFrame:
    """Return recall, precision, inconclusive share and false ``flat``, one row per tool.

    Parameters
    ----------
    rows : DataFrame
        With the columns ``leaks`` and ``verdict``.
    by : str
        Column whose values are compared.
    """
    return pd.DataFrame(
        [
            {by: name, "measure": measure, **share(*counted(mine, measure))}
            for name, mine in rows.groupby(by, sort=False)
            for measure in _MEASURES
        ]
    )


def counted(rows: pd.DataFrame, measure: str) -> tuple[int, int]:
    """Return hits and cases of one measure."""
    leaks, called = rows["leaks"].astype(bool), rows["verdict"] == LEAK
    match measure:
        case "recall":
            return int((called & leaks).sum()), int(leaks.sum())
        case "precision":
            return int((called & leaks).sum()), int(called.sum())
        case "inconclusive":
            return int(rows["verdict"].isin(OPEN).sum()), len(rows)
        case "false flat or plateau":
            return int((rows["verdict"].isin(SETTLED) & leaks).sum()), int(leaks.sum())
    raise ValueError(measure)


def flips(verdicts: Iterable[str]) -> tuple[int, int]:
    """Return how often a decision was reversed, and how often one was withdrawn.

    Only decisions are compared: from ``leak`` over ``inconclusive`` to ``flat`` is one reversal and
    one withdrawal.
    """
    reversed_, withdrawn = 0, 0
    last, before = "open", "open"
    for now in map(decision, verdicts):
        withdrawn += now == "open" and before != "open"
        reversed_ += now != "open" and last not in ("open", now)
        last, before = last if now == "open" else now, now
    return reversed_, withdrawn


def looks(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what changes from look to look, one row per tool.

    Returns
    -------
    DataFrame
        ``tool series flips withdrawn`` and of all looks: ``wrong_leaks`` of bounded series,
        ``false_flats`` of leaks, of which ``limits_false`` printed a detection limit below the
        true rate.
    """
    found = []
    for tool, mine in rows.groupby("tool", sort=False):
        ordered = mine.sort_values("look").groupby(["series", "seed"])["verdict"]
        changes = [flips(verdicts) for _, verdicts in ordered]
        leaks = mine["leaks"].astype(bool)
        flats = mine[leaks & mine["verdict"].isin(SETTLED)]
        found.append(
            {
                "tool": tool,
                "series": len(changes),
                "flips": sum(one for one, _ in changes),
                "withdrawn": sum(one for _, one in changes),
                "wrong_leaks": int((~leaks & (mine["verdict"] == LEAK)).sum()),
                "of": int((~leaks).sum()),
                "false_flats": len(flats),
                "of_leaks": int(leaks.sum()),
                "limits_false": int((flats["limit"] < flats["rate"]).sum()),
            }
        )
    return pd.DataFrame(found)


def coverage(rows: pd.DataFrame) -> pd.DataFrame:
    """Return how many intervals cover the true rate, for series that grow at one rate.

    Returns
    -------
    DataFrame
        One row for all looks, the last look, and the last look of leaks that were found.
    """
    mine = rows[rows["is_constant"].astype(bool) & (rows["tool"] == "resleak")]
    mine = mine[mine["low"].notna()]
    covers = (mine["low"] <= mine["rate"]) & (mine["rate"] <= mine["high"])
    last, called = mine["look"] == 1, mine["leaks"].astype(bool) & (mine["verdict"] == LEAK)
    parts = {
        "all looks": covers.notna(), "last look": last,
        "last look, no growth": last & ~mine["leaks"].astype(bool),
        "last look, leaks found": last & called,
    }  # fmt: skip
    return pd.DataFrame(
        [{"intervals": n, **share(int(covers[p].sum()), int(p.sum()))} for n, p in parts.items()]
    )


def limits(rows: pd.DataFrame) -> pd.DataFrame:
    """Return how often a leak of the printed detection limit was found in the same series.

    Bounded series that were called a leak, or of which no limit is known, are left out.
    """
    mine = rows[(rows["tool"] == "resleak") & (rows["look"] == 1) & (rows["verdict"] != LEAK)]
    planted = mine["planted"].dropna()
    planted = planted[planted != ""]
    return pd.DataFrame([share(int((planted == LEAK).sum()), len(planted))])


def rates_covered(rows: pd.DataFrame) -> tuple[int, int]:
    """Return how many measured rates of leaky workloads lie in the interval of their gauge."""
    found = [
        numbers["low"] - slack <= rate <= numbers["high"] + slack
        for one in _records(rows[rows["tool"] == "resleak"])
        for name, rate in one["rates"].items()
        if (numbers := (one["gauges"] or {}).get(name, {})).get("verdict") == LEAK
        for slack in (0.01 * rate,)
    ]
    return sum(found), len(found)


def families(rows: pd.DataFrame) -> pd.DataFrame:
    """Return resleak's decisions at the last look, one row per family of series."""
    mine = rows[(rows["tool"] == "resleak") & (rows["look"] == 1)]
    told = mine.assign(decision=mine["verdict"].map(decision))
    counts = told.pivot_table(
        index="family", columns="decision", values="seed", aggfunc="count", fill_value=0, sort=False
    )
    return counts.reindex(columns=[LEAK, "open", "clean"], fill_value=0).reset_index()


def times(rows: pd.DataFrame, first: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return quantiles of the time to a verdict, by tool; beside the first measured, if given.

    Returns
    -------
    DataFrame
        ``tool median_s p90_s cpu_median_s steps_median relative``; the last one is the median of
        each workload's CPU time relative to its first measurement.
    """
    found = []
    for tool, mine in rows.groupby("tool", sort=False):
        seconds, cpu = mine["seconds"].to_numpy(float), mine["cpu_s"].to_numpy(float)
        steps = mine["steps"].dropna().to_numpy(float)
        found.append(
            {
                "tool": tool,
                "workloads": len(mine),
                "median_s": float(np.median(seconds)),
                "p90_s": float(np.quantile(seconds, 0.9)),
                "cpu_median_s": float(np.median(cpu)),
                "steps_median": float(np.median(steps)) if len(steps) else np.nan,
                "relative": _relative(mine, first, str(tool)),
            }
        )
    return pd.DataFrame(found)


def _relative(rows: pd.DataFrame, first: pd.DataFrame | None, tool: str) -> float:
    """Return the median of CPU time relative to the first measurement of the same workload."""
    if first is None or first.empty:
        return float("nan")
    before = first[first["tool"] == tool].set_index("workload")["cpu_s"]
    now = rows.set_index("workload")["cpu_s"]
    ratios = (now / before.reindex(now.index)).dropna()
    return float(ratios.median()) if len(ratios) else float("nan")


def missed_work(rows: pd.DataFrame) -> pd.DataFrame:
    """Return resleak's wrong and open verdicts on workloads, with the gauges that decided."""
    return pd.DataFrame(_missed_work(rows), columns=["workload", "truth", "verdict", "gauges"])


def _missed_work(rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for one in _records(rows[rows["tool"] == "resleak"].sort_values(["kind", "workload"])):
        is_right = decision(one["verdict"]) == (LEAK if one["leaks"] else "clean")
        if is_right:
            continue
        full = one["full"]
        truth = f"full after {int(full):,}" if full and full == full else one["kind"]
        yield {"workload": one["workload"], "truth": truth, "verdict": one["verdict"],
               "gauges": told_gauges(one["gauges"] or {}) or one["why"]}  # fmt: skip


def missed_sides(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the wrong and open verdicts on sides of the corpora, with the gauges left open."""
    right = rows["leaks"].map({True: LEAK, False: "clean"})
    missed = rows[rows["verdict"].map(decision) != right].sort_values(["half", "side"])
    return missed.assign(truth=missed["half"], gauges=missed["open"].map(", ".join))[
        ["side", "truth", "verdict", "gauges"]
    ]


def misses(work: pd.DataFrame, looks: pd.DataFrame, sides: pd.DataFrame) -> pd.DataFrame:
    """Return the wrong and open verdicts on workloads, series and corpora below each other."""
    missed = (
        missed_work(work).rename(columns={"workload": "case"}),
        missed_series(looks).rename(columns={"series": "case"}),
        missed_sides(sides).rename(columns={"side": "case"}),
    )
    both = pd.concat(missed, keys=["workload", "series", "corpora"], names=["kind", None])
    return both.reset_index("kind").set_index(["kind", "case"]).fillna("")


def told_gauges(gauges: dict[str, Any]) -> str:
    """Return the gauges that are not flat: name, verdict and rate."""
    return ", ".join(
        f"{name} {numbers['verdict']} {numbers.get('per_step') or 0:.3g}"
        for name, numbers in gauges.items()
        if numbers["verdict"] != "flat"
    )


def missed_series(rows: pd.DataFrame) -> pd.DataFrame:
    """Return resleak's wrong verdicts on series, one row per kind with its verdicts by look."""
    mine = rows[rows["tool"] == "resleak"]
    found = []
    for name, part in mine.groupby("series", sort=False):
        leaks = bool(part["leaks"].iloc[0])
        wrong = [decision(v) == ("clean" if leaks else LEAK) for v in part["verdict"]]
        last = part[part["look"] == 1]
        open_last = int(last["verdict"].isin(OPEN).sum())
        if not any(wrong) and not open_last:
            continue
        by_look = part.assign(wrong=wrong).groupby("look")["wrong"].sum()
        told = {"series": name, "true MiB/h": float(part["rate"].iloc[0]), "seeds": len(last)}
        wrongs = {f"wrong at {look:g}": int(count) for look, count in by_look.items()}
        found.append({**told, **wrongs, "open at the end": open_last})
    return pd.DataFrame(found)


def _records(rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    yield from rows.to_dict(orient="records")
