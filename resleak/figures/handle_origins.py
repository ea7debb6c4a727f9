"""Who opened what leaks: a sentence and a table for descriptors, threads and the like."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

from resleak import formatting
from resleak.figures.html_table import Table, note, right, table, text
from resleak.figures.sentences import Prose, code

if TYPE_CHECKING:
    from resleak.analysis.verdicts import VariantVerdict

_NOTHING = "No handles leak or wait here that were followed to where they were opened."


def opened(variant: VariantVerdict) -> Prose:
    """Name the line that opened what leaks, for each gauge that counts handles.

    Parameters
    ----------
    variant : VariantVerdict
        Of ``resleak.judge(…).variants``.
    """
    origins = variant.origins
    if origins.empty:
        return Prose(f"{code(variant.name)}: {_NOTHING.lower()}")
    verdicts = variant.gauges.set_index("gauge")["verdict"]
    told = [
        f"{code(gauge)} {verdicts[gauge]}, {_lines(rows.to_dict(orient='records'))}"
        for gauge, rows in origins.groupby("gauge", sort=False)
    ]
    return Prose(f"{code(variant.name)}: {'; '.join(told)}.")


def openings_table(variant: VariantVerdict) -> Table:
    """Show which lines opened what leaks, the largest share of each gauge first.

    Parameters
    ----------
    variant : VariantVerdict
        Of ``resleak.judge(…).variants``.
    """
    if variant.origins.empty:
        return Table(note(_NOTHING), variant.origins)
    heads = [text(head) for head in ("gauge", "opened in", "file and line")]
    heads += [text(head, "text-align:right;") for head in ("per step", "share")]
    rows = variant.origins.to_dict(orient="records")
    return Table(table(heads, map(_cells, rows)), variant.origins)


def _lines(rows: list[dict[Hashable, Any]]) -> str:
    rate = formatting.number(sum(row["per_step"] for row in rows))
    places = [_line(row, len(rows) > 1) for row in rows]
    return f"{rate} per step, opened at {' and '.join(places)}"


def _line(row: Mapping[Hashable, Any], shared: bool) -> str:
    place = code(f"{row['file']}:{row['line']}")
    known = f"{place} in {code(row['function'])}" if row["file"] else "a place that is not known"
    return f"{known} ({formatting.share(row['share'])})" if shared else known


def _cells(row: dict[Hashable, Any]) -> list[Any]:
    where = f"{row['file']}:{row['line']}" if row["file"] else "not known"
    numbers = [right(formatting.number(row["per_step"])), right(formatting.share(row["share"]))]
    return [text(row["gauge"]), text(row["function"]), text(where), *numbers]
