"""Certify a fix from replicated runs before and after it (Welch's test and two one-sided tests).

"Not significantly different" is not "fixed". A certificate needs two answers: the rate is lower
than before, and the remaining rate lies within a stated equivalence margin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from resleak import formatting
from resleak.analysis.intervals import Floats, standard_error, student_quantile

Answer = Literal["fixed", "lower", "not fixed", "refused"]
#: Significance level of a lower rate.
ALPHA = 0.01
#: The certificate's confidence.
CONFIDENCE = 0.95
#: Fewest slopes per side: of three runs that read the gauge, or of two in halves.
FEWEST_RUNS = 3
#: Most runs that are proposed.
_MOST_RUNS = 100


@dataclass(frozen=True)
class Certificate:
    """How certain a fix is.

    ``fixed``: lower, and within the equivalence margin. ``lower``: the rest may exceed the margin.
    `p` is the one-sided p-value of a lower rate, `bound` the upper 95 % confidence bound of the
    remaining rate, `needs` the runs per side that would decide (0 if none would).
    """

    answer: Answer
    p: float
    bound: float
    margin: float
    needs: int = 0

    def sentence(self, unit: str) -> str:
        """Return answer, confidence and what would decide, in one sentence."""
        margin, bound = formatting.rate(self.margin, unit), formatting.rate(self.bound, unit)
        if self.answer == "fixed":
            return f"fixed: under {margin} with {CONFIDENCE:.0%} confidence (p = {self.p:.2g})"
        more = f"; about {self.needs} runs per side would decide" if self.needs else ""
        if self.answer == "lower":
            return f"lower (p = {self.p:.2g}), not certified: up to {bound} may remain{more}"
        if self.answer == "not fixed":
            return f"not shown to be lower (p = {self.p:.2g}){more}"
        return "refused: too few runs read it; 3 per side are enough, 4 for native and blocks"


def certify(
    before: Floats, after: Floats, margin: float, paired: Floats | None = None
) -> Certificate:
    """Compare replicate slopes before and after a change, in units per step.

    Welch: The generalization of "Student's" problem when several different population variances
    are involved (1947). Schuirmann: A comparison of the two one-sided tests procedure (1987).
    """
    if min(len(before), len(after)) < FEWEST_RUNS:
        return Certificate("refused", math.nan, math.nan, margin, FEWEST_RUNS)
    # The upper bound of the absolute mean rate, by two one-sided tests.
    quantile = float(student_quantile(len(after) - 1, CONFIDENCE))
    bound = float(abs(np.mean(after)) + quantile * standard_error(after))
    p = lower_p(before, after)
    # Of runs with the same seed, shared noise cancels out; other noise is judged better without.
    if paired is not None and len(paired) >= FEWEST_RUNS:
        p = min(1.0, 2 * min(p, decrease_p(paired)))
    if p >= ALPHA:
        deviation = math.hypot(np.std(before, ddof=1), np.std(after, ddof=1))
        difference = float(np.mean(before) - np.mean(after))
        present = max(len(before), len(after))
        needs = _fewest_runs(present, 1 - ALPHA, deviation, difference)
        return Certificate("not fixed", p, bound, margin, needs)
    if bound >= margin:
        room = float(margin - abs(np.mean(after)))
        needs = _fewest_runs(len(after), CONFIDENCE, float(np.std(after, ddof=1)), room)
        return Certificate("lower", p, bound, margin, needs)
    return Certificate("fixed", p, bound, margin)


def lower_p(before: Floats, after: Floats) -> float:
    """Return the one-sided p-value of Welch's test; exact rates need no test."""
    from scipy import stats

    if _is_exact(before) and _is_exact(after):
        return 0.0 if after[0] < before[0] and not np.isclose(after[0], before[0]) else 1.0
    return float(stats.ttest_ind(after, before, equal_var=False, alternative="less").pvalue)


def decrease_p(differences: Floats) -> float:
    """Return the one-sided p-value of Student's test for a decrease."""
    from scipy import stats

    if _is_exact(differences):
        return 0.0 if differences[0] < 0 and not np.isclose(differences[0], 0) else 1.0
    return float(stats.ttest_1samp(differences, 0.0, alternative="less").pvalue)


def _is_exact(rates: Floats) -> bool:
    return bool(np.allclose(rates, rates[0], rtol=1e-9, atol=0))


def _fewest_runs(present: int, level: float, deviation: float, width: float) -> int:
    """Return the fewest runs above the present number with half a CI below a width; or 0."""
    counts = np.arange(present + 1, _MOST_RUNS + 1)
    enough = student_quantile(counts - 1, level) * deviation / np.sqrt(counts) < width
    return int(next(iter(counts[enough]), 0))
