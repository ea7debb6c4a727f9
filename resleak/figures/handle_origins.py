"""Origins of leaking resources: a sentence and a table of the lines that opened them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resleak import formatting
from resleak.figures.html_table import Table, numbers, table
from resleak.figures.sentences import Prose, code, told_of
from resleak.formatting import note, right

if TYPE_CHECKING:
    from resleak.analysis.handle_origins import Origin
    from resleak.analysis.verdicts import VariantVerdict

_NOTHING = "No followed resource leaks or is deferred here."


def opened(variant: VariantVerdict) -> Prose:
    """Name the lines that opened what leaks, for each gauge of resources."""
    parts = []
    for name in dict.fromkeys(origin.gauge for origin in variant.origins):
        origins = [origin for origin in variant.origins if origin.gauge == name]
        verdict = variant.gauge(name)
        rate = formatting.number(sum(origin.per_step for origin in origins))
        places = " and ".join(_place(origin, len(origins) > 1) for origin in origins)
        word = verdict.verdict if verdict else ""
        parts.append(f"{code(name)} {word}, {rate} per step, opened at {places}")
    told = told_of(variant)
    nothing = f"{_NOTHING[0].lower()}{_NOTHING[1:]}" if told else _NOTHING
    return Prose(told + (f"{'; '.join(parts)}." if parts else nothing))


def openings_table(variant: VariantVerdict) -> Table:
    """Show which lines opened what leaks, the largest share of each gauge first."""
    origins = variant.origins
    if not origins:
        return Table(note(_NOTHING), origins.frame)
    head = ("gauge", "opened in", "file and line", *numbers("per step", "share"))
    body = [
        (
            *(one.gauge, one.function, f"{one.file}:{one.line}" if one.file else "unknown"),
            right(formatting.number(one.per_step)),
            right(formatting.share(one.share)),
        )
        for one in origins
    ]
    return Table(table(head, body), origins.frame)


def _place(origin: Origin, is_shared: bool) -> str:
    place = code(f"{origin.file}:{origin.line}")
    where = f"{place} in {code(origin.function)}" if origin.file else "an unknown place"
    return f"{where} ({formatting.share(origin.share)})" if is_shared else where
