"""Show a running watch: a live table, a line per change, or JSON lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from resleak import formatting
from resleak.analysis import verdicts
from resleak.formatting import plain_text
from resleak.harness.throttle import Ration
from resleak.ui.cli import console

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live
    from rich.table import Table

    from resleak.experiments.watch import Look

#: Verdicts whose changes are printed.
_NOTABLE = ("leak", "deferred", "plateau")
#: Share of a core for drawing on a terminal.
_DRAWING_SHARE = 0.001


class Ticker(Protocol):
    """A display of a running watch."""

    def look(self, look: Look) -> None:
        """Show the latest verdicts."""

    def tick(self, elapsed_s: float, readings: int) -> None:
        """Show the elapsed time."""

    def end(self, look: Look | None, told: str) -> None:
        """Show the last verdicts, and why the watch ended."""


@contextmanager
def ticker(title: str, *, as_json: bool) -> Iterator[Ticker]:
    """Yield a display: JSON lines, a live table on a terminal, or plain lines."""
    from rich.live import Live

    screen = console.paper()
    if as_json:
        yield Lines()
    elif not screen.is_terminal:
        yield Changes(title)
    else:
        with Live(console=screen, auto_refresh=False) as live:
            yield Screen(title, live)


class Lines:
    """One JSON object per look; the last one says why the watch ended."""

    def look(self, look: Look) -> None:
        """Print the look as one line."""
        console.out_json(look.to_dict(), indent=None)

    def tick(self, elapsed_s: float, readings: int) -> None:
        """Do nothing."""

    def end(self, look: Look | None, told: str) -> None:
        """Print the last line."""
        known = look.to_dict() if look else {}
        console.out_json({**known, "ended": told}, indent=None)


class Changes:
    """One line per changed verdict, limit to be reached, and exceeded budget."""

    def __init__(self, title: str) -> None:
        self._verdicts: dict[tuple[str, str], str] = {}
        self._told: set[str] = set()
        console.out(title)

    def look(self, look: Look) -> None:
        """Print what changed."""
        for line in [*self._changed(look), *self._new(look)]:
            console.out(f"{formatting.duration(look.t_s):>8}  {line}")

    def _changed(self, look: Look) -> Iterator[str]:
        for who, row in _rows(look):
            key, verdict = (who, row["gauge"]), row["verdict"]
            before = self._verdicts.get(key, "")
            self._verdicts[key] = verdict
            if verdict != before and {verdict, before} & set(_NOTABLE):
                yield _verdict(who, row, look.judgement.per)

    def _new(self, look: Look) -> Iterator[str]:
        for key, line in _consequences(look):
            if key not in self._told:
                self._told.add(key)
                yield line

    def tick(self, elapsed_s: float, readings: int) -> None:
        """Do nothing."""

    def end(self, look: Look | None, told: str) -> None:
        """Print the table and why it ended."""
        if look is not None:
            console.out(_table(look), *(line for _, line in _consequences(look)))
        console.out(told)


class Screen:
    """A live table."""

    def __init__(self, title: str, live: Live) -> None:
        self._title, self._live, self._drawing = title, live, Ration(_DRAWING_SHARE)
        self._last: Look | None = None

    def look(self, look: Look) -> None:
        """Draw the table."""
        self._last = look
        self._draw(look.t_s, look.readings)

    def tick(self, elapsed_s: float, readings: int) -> None:
        """Draw the clock, if the share of a core allows it."""
        if self._drawing.due:
            self._draw(elapsed_s, readings)

    def end(self, look: Look | None, told: str) -> None:
        """Leave the last table on the screen."""
        self._live.update(page(self._title, look, told), refresh=True)

    def _draw(self, elapsed_s: float, readings: int) -> None:
        with self._drawing.spending():
            status = (
                f"{formatting.duration(elapsed_s)}, {readings} readings; Ctrl-C ends and keeps it"
            )
            self._live.update(page(self._title, self._last, status), refresh=True)


def page(title: str, look: Look | None, status: str) -> Group:
    """Return the table, its consequences and the status line."""
    from rich.console import Group

    lines = [line for _, line in _consequences(look)] if look else []
    table = [_table(look)] if look else []
    return Group(plain_text(title), *table, *map(plain_text, lines), plain_text(status))


def _consequences(look: Look) -> Iterator[tuple[str, str]]:
    """Yield limits to be reached and exceeded budgets, each with a key."""
    for who, found in look.forecasts.items():
        for one in found:
            yield f"{who} {one.gauge} {one.ceiling}", f"{who}: {one}"
    for row in verdicts.records(look.budgets[~look.budgets["holds"].astype(bool)]):
        allowed, measured = (
            formatting.amount(row[k], row["unit"]) for k in ("allowed", "measured")
        )
        what = f"{row['gauge']} {measured}, allowed {allowed} ({row['budget']})"
        yield f"{row['variant']} {row['budget']} {row['gauge']}", f"{row['variant']}: over {what}"


def _rows(look: Look) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the gauges of the first process, and the notable ones of the others."""
    for number, (who, variant) in enumerate(look.judgement.variants.items()):
        for row in verdicts.records(variant.gauges):
            if number == 0 or row["verdict"] in _NOTABLE:
                yield who, row


def _verdict(who: str, row: Mapping[str, Any], per: str) -> str:
    now = formatting.amount(row["at_end"], row["unit"])
    if row["verdict"] != "leak":
        return f"{who}: {row['gauge']} {row['verdict']} at {now} ({row['reason']})"
    first, *more = _rates(row, per)
    also = f" ({', '.join(more)})" if more else ""
    return f"{who}: {row['gauge']} leak {first} {_interval(row, per)}{also}, now {now}"


def _rates(row: Mapping[str, Any], per: str) -> list[str]:
    return [
        formatting.rate(factor * row["per_step"], row["unit"], what) for factor, what in _per(per)
    ]


def _interval(row: Mapping[str, Any], per: str) -> str:
    return f"[{_scaled(row, 'low', per)}, {_scaled(row, 'high', per)}]"


def _scaled(row: Mapping[str, Any], key: str, per: str) -> str:
    return _bare(_per(per)[0][0] * row[key], row)


def _bare(value: float, row: Mapping[str, Any]) -> str:
    """Return a number; only bytes, which are scaled, with their unit."""
    return formatting.amount(value, row["unit"] if row["unit"] == "B" else "")


def _per(per: str) -> list[tuple[float, str]]:
    """Return factors of a rate and the units of time or work they lead to."""
    return [(3600.0, "h"), (1.0, "s")] if per == "s" else [(1.0, per)]


def _table(look: Look) -> Table:
    per = look.judgement.per
    rates = [f"per {name}" for _, name in _per(per)]
    table = console.table_of(
        "process", "gauge", "verdict", "now", *rates, "95 % CI", "detection limit"
    )
    for who, row in _rows(look):
        table.add_row(
            who,
            row["gauge"],
            console.coloured(row["verdict"]),
            formatting.amount(row["at_end"], row["unit"]),
            *(_bare(factor * row["per_step"], row) for factor, _ in _per(per)),
            _interval(row, per),
            _scaled(row, "smallest_detectable", per),
        )
    return table
