"""The verdict words, worst first, and everything that follows from a word except its colour."""

from __future__ import annotations

from typing import Literal, get_args

#: What a gauge can be judged to be, worst first.
Verdict = Literal["leak", "deferred", "inconclusive", "plateau", "flat"]
#: What a claim and a fix can turn out to be.
Outcome = Literal["reproduced", "partly", "not reproduced"]
FixOutcome = Literal["holds", "insufficient", "harmful"]
#: Where a variant's code comes from, and whose claim a row of the register is. In a `constructed`
#: one the fault needs a part of ours that the document neither prints nor describes.
Origin = Literal["document code", "document words", "constructed", "ours"]
Claimant = Literal["document", "ours"]

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
OUTCOMES: tuple[str, ...] = get_args(Outcome)
FIX_OUTCOMES: tuple[str, ...] = get_args(FixOutcome)
CLAIMANTS: tuple[str, ...] = get_args(Claimant)
LEAK: Verdict = "leak"
DEFERRED: Verdict = "deferred"
FLAT: Verdict = "flat"
UNDECIDED: Verdict = "inconclusive"
CONSTRUCTED: Origin = "constructed"
NOT_REPRODUCED: Outcome = "not reproduced"
HOLDS: FixOutcome = "holds"
#: Symptoms besides a gauge's verdict: a broken limit, a process that does not end by itself, a
#: cost that grows with the size of its work.
BROKEN, HANGS, SCALES = "broken", "hangs", "scales"
#: Besides `LEAK` an event that can end a watch.
BUDGET = "budget"
#: Verdicts on a variant, worst first; the first that applies is its verdict.
ORDER = (LEAK, HANGS, BROKEN, SCALES, *VERDICTS[1:])
#: Verdicts on a gauge with which nothing is wrong.
CLEAN: frozenset[str] = frozenset({"plateau", FLAT})
#: Verdicts on a gauge that are a symptom of its variant.
SYMPTOMS: frozenset[str] = frozenset({LEAK, DEFERRED})
#: Verdicts that a watch reports whenever a gauge enters or leaves them.
NOTABLE: frozenset[str] = frozenset(VERDICTS) - {UNDECIDED, FLAT}
#: Words in a summary that ask for nothing.
GOOD = CLEAN | {HOLDS, NOT_REPRODUCED, "fixed"}
#: One glyph per word, so that a column can be read at a glance and without colour.
GLYPHS = {
    **dict(zip(OUTCOMES, "●◐○", strict=True)),
    **dict(zip(FIX_OUTCOMES, "✓△✗", strict=True)),
    **dict.fromkeys(CLEAN, "✓"),
}
