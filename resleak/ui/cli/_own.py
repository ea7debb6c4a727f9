"""How the investigation of one's own code is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resleak import formatting
from resleak.ui.cli import console

if TYPE_CHECKING:
    from rich.table import Table

    from resleak.experiments.investigate import Investigation


def show_investigation(found: Investigation) -> None:
    """Print the verdict, the gauges that show something, the line, and what to do next."""
    screen = console.paper()
    manifests = [one.manifest for one in found.captures.select(instrument="gauges")]
    runs, steps = len(manifests), manifests[0].steps
    screen.print(f"{found.name}: {found.verdict} ({runs} runs of {steps} steps)", style="bold")
    if found.rows():
        screen.print(_gauges(found))
    for line in filter(None, (found.line, *found.quiet(), *found.next_steps())):
        screen.print(line)


def _gauges(found: Investigation) -> Table:
    table = console.table_of("gauge", "verdict", "rate", "95 % interval", "smallest seen", "why")
    for row in found.rows():
        rate, smallest = (
            formatting.rate(row[key], row["unit"]) for key in ("per_step", "smallest_detectable")
        )
        word, interval = console.coloured(row["verdict"]), console.interval(row)
        table.add_row(row["gauge"], word, rate, interval, smallest, row["reason"])
    return table
