"""Frames in, figures out: what people look at in a notebook or a report."""

from __future__ import annotations

import sys

from resleak.figures._style import quiet, use
from resleak.figures.difference import difference
from resleak.figures.evidence import evidence, limits_chart, scaling
from resleak.figures.flame import Flame, flamegraph
from resleak.figures.icicle import icicle
from resleak.figures.outcome import budget_table, limits_table, outcome_table
from resleak.figures.prose import Prose, about, accused, answer, ends, expectation, guilty, worst
from resleak.figures.register import claims_markdown, claims_table, outcomes_chart
from resleak.figures.table import Table, sites_table, verdict_table
from resleak.figures.timeline import timeline

__all__ = [
    "Flame",
    "Prose",
    "Table",
    "about",
    "accused",
    "answer",
    "budget_table",
    "claims_markdown",
    "claims_table",
    "difference",
    "ends",
    "evidence",
    "expectation",
    "flamegraph",
    "guilty",
    "icicle",
    "limits_chart",
    "limits_table",
    "outcome_table",
    "outcomes_chart",
    "scaling",
    "sites_table",
    "timeline",
    "use",
    "verdict_table",
    "worst",
]

# Renderers load what notebooks need, which takes seconds; elsewhere nothing is shown by them.
if "IPython" in sys.modules:
    quiet()
