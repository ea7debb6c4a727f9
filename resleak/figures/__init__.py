"""Frames in, figures out: what people look at in a notebook or a report."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resleak.figures._accuracy import accuracy_curve, accuracy_of_tools
    from resleak.figures._difference import difference
    from resleak.figures._evidence import evidence, limits_chart, scaling
    from resleak.figures._icicle import icicle
    from resleak.figures._opened import opened, openings_table
    from resleak.figures._outcomes import outcomes_chart
    from resleak.figures._plotly import quiet, use
    from resleak.figures._timeline import timeline
    from resleak.figures.culprits import (
        culprits_table,
        end_timeline,
        holders_table,
        stalls_table,
    )
    from resleak.figures.flame import Flame, flamegraph
    from resleak.figures.outcome import budget_table, limits_table, outcome_table
    from resleak.figures.prose import (
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
    from resleak.figures.register import claims_markdown, claims_table
    from resleak.figures.table import Table, sites_table, verdict_table

#: Loaded when it is first used: a page without plotly's figures needs no plotly.
_HOMES = {
    "Flame": "flame",
    "Prose": "prose",
    "Table": "table",
    "about": "prose",
    "accused": "prose",
    "answer": "prose",
    "budget_table": "outcome",
    "claims_markdown": "register",
    "claims_table": "register",
    "culprits_table": "culprits",
    "difference": "_difference",
    "end_timeline": "culprits",
    "ends": "prose",
    "accuracy_curve": "_accuracy",
    "accuracy_of_tools": "_accuracy",
    "evidence": "_evidence",
    "expectation": "prose",
    "flamegraph": "flame",
    "guilty": "prose",
    "holders_table": "culprits",
    "icicle": "_icicle",
    "kinds": "prose",
    "limits_chart": "_evidence",
    "limits_table": "outcome",
    "opened": "_opened",
    "openings_table": "_opened",
    "outcome_table": "outcome",
    "outcomes_chart": "_outcomes",
    "quiet": "_plotly",
    "scaling": "_evidence",
    "sites_table": "table",
    "stalls_table": "culprits",
    "timeline": "_timeline",
    "use": "_plotly",
    "verdict_table": "table",
    "worst": "prose",
}
__all__ = [
    "Flame",
    "Prose",
    "Table",
    "about",
    "accuracy_curve",
    "accuracy_of_tools",
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
    "icicle",
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
    from resleak.figures._plotly import quiet

    quiet()
