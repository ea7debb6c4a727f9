"""Frames in, figures out: what people look at in a notebook or a report."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resleak.figures.claim_tables import claims_markdown, claims_table
    from resleak.figures.claims_chart import outcomes_chart
    from resleak.figures.comparison_table import difference
    from resleak.figures.flame import Flame, flamegraph
    from resleak.figures.handle_origins import opened, openings_table
    from resleak.figures.html_table import Table, sites_table, verdict_table
    from resleak.figures.inspection import culprits_table, end_timeline, holders_table, stalls_table
    from resleak.figures.limits_and_scaling import evidence, limits_chart, scaling
    from resleak.figures.outcome_tables import budget_table, limits_table, outcome_table
    from resleak.figures.plotly_theme import quiet, use
    from resleak.figures.sentences import (
        Prose,
        about,
        accused,
        answer,
        ends,
        expectation,
        guilty,
        kinds,
        worst,
    )
    from resleak.figures.timeline_figure import timeline

#: Loaded when it is first used: a page without plotly's figures needs no plotly.
_HOMES = {
    "Flame": "flame",
    "Prose": "sentences",
    "Table": "html_table",
    "about": "sentences",
    "accused": "sentences",
    "answer": "sentences",
    "budget_table": "outcome_tables",
    "claims_markdown": "claim_tables",
    "claims_table": "claim_tables",
    "culprits_table": "inspection",
    "difference": "comparison_table",
    "end_timeline": "inspection",
    "ends": "sentences",
    "evidence": "limits_and_scaling",
    "expectation": "sentences",
    "flamegraph": "flame",
    "guilty": "sentences",
    "holders_table": "inspection",
    "kinds": "sentences",
    "limits_chart": "limits_and_scaling",
    "limits_table": "outcome_tables",
    "opened": "handle_origins",
    "openings_table": "handle_origins",
    "outcome_table": "outcome_tables",
    "outcomes_chart": "claims_chart",
    "quiet": "plotly_theme",
    "scaling": "limits_and_scaling",
    "sites_table": "html_table",
    "stalls_table": "inspection",
    "timeline": "timeline_figure",
    "use": "plotly_theme",
    "verdict_table": "html_table",
    "worst": "sentences",
}
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
    "culprits_table",
    "difference",
    "end_timeline",
    "ends",
    "evidence",
    "expectation",
    "flamegraph",
    "guilty",
    "holders_table",
    "kinds",
    "limits_chart",
    "limits_table",
    "opened",
    "openings_table",
    "outcome_table",
    "outcomes_chart",
    "quiet",
    "scaling",
    "sites_table",
    "stalls_table",
    "timeline",
    "use",
    "verdict_table",
    "worst",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'resleak.figures' has no attribute {name!r}")
    return getattr(import_module(f"resleak.figures.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__


# Renderers load what notebooks need, which takes seconds; elsewhere nothing is shown by them.
if "IPython" in sys.modules:
    from resleak.figures.plotly_theme import quiet

    quiet()
