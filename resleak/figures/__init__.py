"""Frames in, figures out: what people look at in a notebook or a report."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

#: Names by module, loaded when first used: a page without plotly's figures needs no plotly.
_NAMES = {
    "cards": "cause_cards",
    "claim_tables": "claims_markdown claims_table",
    "charts": "evidence limits_chart outcomes_chart scaling",
    "flame": "Flame flamegraph",
    "html_table": "Table sites_table verdict_table",
    "judgement_tables": (
        "budget_table culprits_table difference end_timeline holders_table limits_table "
        "openings_table outcome_table"
    ),
    "matrix": "sweep_cell sweep_matrix sweep_text",
    "plotly_theme": "quiet",
    "sentences": "Prose about answer ends expectation guilty kinds opened titled worst",
    "timeline_figure": "timeline",
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}
__all__ = sorted(_HOMES)


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
