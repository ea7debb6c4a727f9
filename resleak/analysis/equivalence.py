"""Certify that a fix holds, from the rates of replicated runs before and after; or refuse to.

"Not significantly different" is not "fixed". A certificate needs two answers: the rate is lower
than before, and what is left lies within a margin that is stated.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from resleak import formatting

Answer = Literal["fixed", "lower", "not fixed", "refused"]
#: Chance that a rate which is the same as before is called lower.
ALPHA = 0.01
#: The certificate's confidence.
CONFIDENCE = 0.95
#: Fewest rates on each side: of three runs that read the gauge, or of two in halves.
FEWEST_RUNS = 3
#: No more runs are proposed than this.
_MOST_RUNS = 100


@dataclass(frozen=True)
class Certificate:
    """What the runs support.

    Attributes
    ----------
    answer : {"fixed", "lower", "not fixed", "refused"}
        ``fixed``: lower than before, and within the margin. ``lower``: lower, but more than the
        margin is left, or may be. ``refused``: there are too few runs to say anything.
    p : float
        One-sided probability of so much lower a rate if there were no difference.
    bound : float
        With 95 % confidence what is left is below this, in units per step.
    margin : float
        What counts as nothing, in units per step.
    needs : int
        Runs a side that would decide if they scatter like these; 0 where no number would, or none
        is needed.
    """

    answer: Answer
    p: float
    bound: float
    margin: float
    needs: int = 0

    def sentence(self, unit: str) -> str:
        """Say it in one sentence."""
        margin, bound = formatting.rate(self.margin, unit), formatting.rate(self.bound, unit)
        if self.answer == "fixed":
            return f"fixed: under {margin} with {CONFIDENCE:.0%} confidence (p = {self.p:.2g})"
        more = f"; about {self.needs} runs a side would decide" if self.needs else ""
        if self.answer == "lower":
            return f"lower (p = {self.p:.2g}), not certified: up to {bound} may be left{more}"
        if self.answer == "not fixed":
            return f"not shown to be lower (p = {self.p:.2g}){more}"
        return "refused: too few runs read it; 3 a side are enough, and 4 for native and blocks"


def certify(
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    margin: float,
    changes: NDArray[np.float64] | None = None,
) -> Certificate:
    """Compare the runs' rates before and after a change.

    Parameters
    ----------
    before, after : array, shape (runs,)
        The rate of each run, or of each half of a run, in units per step.
    margin : float
        What counts as nothing, in units per step.
    changes : array, shape (runs,), optional
        The rate of the difference of each run and its twin of the same seed. Noise that they share
        is not in it; what they do not share is judged better without. So both are asked, and the
        smaller probability counts, doubled.

    Returns
    -------
    Certificate

    References
    ----------
    Welch: The generalization of "Student's" problem when several different population variances
    are involved (1947). Schuirmann: A comparison of the two one-sided tests procedure (1987).
    """
    if min(len(before), len(after)) < FEWEST_RUNS:
        return Certificate("refused", math.nan, math.nan, margin, FEWEST_RUNS)
    p, bound = lower_p(before, after), abs_bound(after)
    if changes is not None and len(changes) >= FEWEST_RUNS:
        p = min(1.0, 2 * min(p, falls_p(changes)))
    if p >= ALPHA:
        return Certificate("not fixed", p, bound, margin, _runs_to_tell(before, after))
    if bound >= margin:
        return Certificate("lower", p, bound, margin, _runs_to_bound(after, margin))
    return Certificate("fixed", p, bound, margin)


def lower_p(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """Return the one-sided probability of Welch's test; exact rates need no test."""
    from scipy import stats

    if _exact(before) and _exact(after):
        return 0.0 if after[0] < before[0] and not np.isclose(after[0], before[0]) else 1.0
    return float(stats.ttest_ind(after, before, equal_var=False, alternative="less").pvalue)


def falls_p(changes: NDArray[np.float64]) -> float:
    """Return the one-sided probability of Student's test that the change is downwards."""
    from scipy import stats

    if _exact(changes):
        return 0.0 if changes[0] < 0 and not np.isclose(changes[0], 0) else 1.0
    return float(stats.ttest_1samp(changes, 0.0, alternative="less").pvalue)


def _exact(rates: NDArray[np.float64]) -> bool:
    return bool(np.allclose(rates, rates[0], rtol=1e-9, atol=0))


def abs_bound(after: NDArray[np.float64]) -> float:
    """Return what the size of the mean rate is below with 95 % confidence: two one-sided tests."""
    return float(abs(np.mean(after)) + _quantile(len(after)) * _standard_error(after))


def _standard_error(rates: NDArray[np.float64]) -> float:
    return float(np.std(rates, ddof=1) / math.sqrt(len(rates)))


def _quantile(runs: Any, confidence: float = CONFIDENCE) -> Any:
    from scipy import stats

    return stats.t.ppf(confidence, runs - 1)


def _runs_to_bound(after: NDArray[np.float64], margin: float) -> int:
    """Return how many runs would bring the bound below the margin; 0 if more is left than that."""
    room, deviation = margin - abs(np.mean(after)), np.std(after, ddof=1)
    return _first(lambda runs: _quantile(runs) * deviation / np.sqrt(runs) < room, len(after))


def _runs_to_tell(before: NDArray[np.float64], after: NDArray[np.float64]) -> int:
    """Return how many runs a side would show the difference there is; 0 if there is none."""
    lower = np.mean(before) - np.mean(after)
    deviation = math.hypot(np.std(before, ddof=1), np.std(after, ddof=1))

    def told(runs: NDArray[np.int64]) -> NDArray[np.bool_]:
        return np.asarray(_quantile(runs, 1 - ALPHA) * deviation / np.sqrt(runs) < lower)

    return _first(told, max(len(before), len(after)))


def _first(enough: Callable[[NDArray[np.int64]], NDArray[np.bool_]], have: int) -> int:
    counts = np.arange(have + 1, _MOST_RUNS + 1)
    return int(next(iter(counts[enough(counts)]), 0))
