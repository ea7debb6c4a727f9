"""Show a running watch: a live table, a line per change, or JSON lines."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from resleak import formatting
from resleak.analysis import wording
from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.formatting import Table, plain_text
from resleak.harness.sampler import Ration
from resleak.ui.cli import console
from resleak.workload.verdict_words import NOTABLE, UNDECIDED

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live

    from resleak.experiments.watch import Look

#: Share of a core for drawing on a terminal.
_DRAWING_SHARE = 0.001


@contextmanager
def display(title: str, *, as_json: bool) -> Iterator[JsonLines | Changes | Screen]:
    """Yield a display: JSON lines, a live table on a terminal, or plain lines."""
    if as_json:
        yield JsonLines()
    elif not (screen := console.paper()).is_terminal:
        yield Changes(title)
    else:
        from rich.live import Live

        with Live(console=screen, auto_refresh=False) as live:
            yield Screen(title, live)


class _WithoutClock:
    def tick(self, elapsed_s: float, readings: int) -> None:
        pass


class JsonLines(_WithoutClock):
    """One JSON object per look; the last one says why the watch ended."""

    def look(self, look: Look) -> None:
        console.out_json(look.to_dict(), indent=None)

    def end(self, look: Look | None, reason: str) -> None:
        console.out_json({**(look.to_dict() if look else {}), "ended": reason}, indent=None)


class Changes(_WithoutClock):
    """One line per changed verdict, limit to be reached, and exceeded budget."""

    def __init__(self, title: str) -> None:
        self._verdicts: dict[tuple[str, str], str] = {}
        self._printed: set[str] = set()
        console.out(title)

    def look(self, look: Look) -> None:
        lines = []
        for one in _shown(look):
            before = self._verdicts.get((one.variant, one.gauge), "")
            self._verdicts[one.variant, one.gauge] = one.verdict
            if one.verdict != before and {one.verdict, before} & NOTABLE:
                lines.append(_verdict(one))
        new = {k: line for k, line in _consequences(look).items() if k not in self._printed}
        self._printed |= new.keys()
        for line in (*lines, *new.values()):
            console.out(f"{formatting.duration(look.t_s):>8}  {line}")

    def end(self, look: Look | None, reason: str) -> None:
        if look is not None:
            console.out(_table(look), *_consequences(look).values())
        console.out(reason)


class Screen:
    """A live table; its clock is drawn as often as the share of a core allows it."""

    def __init__(self, title: str, live: Live) -> None:
        self._title, self._live, self._drawing = title, live, Ration(_DRAWING_SHARE)
        self._last: Look | None = None

    def look(self, look: Look) -> None:
        self._last = look
        self._draw(look.t_s, look.readings)

    def tick(self, elapsed_s: float, readings: int) -> None:
        if self._drawing.due:
            self._draw(elapsed_s, readings)

    def end(self, look: Look | None, reason: str) -> None:
        self._live.update(page(self._title, look, reason), refresh=True)

    def _draw(self, elapsed_s: float, readings: int) -> None:
        with self._drawing.spending():
            clock = formatting.duration(elapsed_s)
            status = f"{clock}, {readings} readings; Ctrl-C ends and keeps it"
            self._live.update(page(self._title, self._last, status), refresh=True)


def page(title: str, look: Look | None, status: str) -> Group:
    """Return the table, its consequences and the status line."""
    from rich.console import Group

    lines = _consequences(look).values() if look else ()
    table = [console.rich_table(_table(look))] if look else []
    return Group(plain_text(title), *table, *map(plain_text, lines), plain_text(status))


def _consequences(look: Look) -> dict[str, str]:
    """Return limits to be reached, the nearest first, and exceeded budgets, each by a key."""
    reached = [(one, who) for who, forecasts in look.forecasts.items() for one in forecasts]
    lines = {
        f"{who} {one.gauge} {one.ceiling}": f"{who}: {one}"
        for one, who in sorted(reached, key=lambda pair: pair[0].expected_s)
    }
    for who, peers in look.close_wait.items():
        for peer, count in list(peers.items())[:1]:
            text = f"{sum(peers.values())} sockets in CLOSE_WAIT, {count} of them to {peer}"
            lines[f"{who} {peer}"] = f"{who}: {text}: the peer has closed them; close them, too"
    for row in (row for row in look.budgets if not row.holds):
        key = f"{row.variant} {row.budget} {row.gauge}"
        lines[key] = f"{row.variant}: over {row.text} ({row.budget})"
    return lines


def _shown(look: Look) -> list[GaugeVerdict]:
    """Return the gauges of the first process, and those of the others that do something."""
    first, *others = (variant.gauges for variant in look.judgement.variants.values())
    return [*first, *(one for gauges in others for one in gauges if one.verdict in NOTABLE)]


def _verdict(one: GaugeVerdict) -> str:
    now = formatting.amount(one.at_end, one.unit)
    if not one.is_leak:
        return f"{one.variant}: {one.gauge} {one.verdict} at {now} ({one.reason})"
    also = f" ({wording.rate(one)})" if one.per == "s" else ""
    return f"{one.variant}: {wording.short(one.readable)}{also}, now {now}"


def _table(look: Look) -> Table:
    per, shown = look.judgement.per, _shown(look)
    rates = ["per h", "per s"] if per == "s" else [f"per {per}"]
    is_counted = any(map(wording.per_request, shown))
    rows = []
    for one in shown:
        main = one.readable
        if _is_early(one, look.t_s if per == "s" else math.inf):
            numbers = [*[""] * len(rates), "not enough data yet", ""]
        else:
            each = (main, one)[: len(rates)]
            numbers = [wording.bare(rate.per_step, one.unit) for rate in each]
            # Interval and detection limit, or why there are none yet.
            if math.isnan(main.low):
                numbers += [main.reason.partition(":")[0], ""]
            else:
                numbers += [wording.interval(main), wording.bare(main.detection_limit, main.unit)]
        now = formatting.amount(one.at_end, one.unit)
        counted = [wording.per_request(one)] if is_counted else []
        cells = (one.variant, one.gauge, console.verdict_cell(one.verdict), now)
        rows.append((*cells, *numbers, *counted))
    head = ("process", "gauge", "verdict", "now", *rates, "95 % CI", "detection limit")
    return Table((*head, "per 1,000 requests") if is_counted else head, rows)


def _is_early(one: GaugeVerdict, lasted: float) -> bool:
    """Return True if the interval admits that all of a level came, or went, in this time."""
    half = (one.high - one.low) / 2
    return one.verdict == UNDECIDED and bool(half * lasted > abs(one.at_end))
