"""Results that the page of a memray file needs, computed while its tables are in memory."""

from __future__ import annotations

#: ``NAME.json`` beside the tables, by the function that computes it.
ANSWERS = {"drawing": "resleak.figures.flame.payload:answer"}
