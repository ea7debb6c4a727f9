"""Print tables to standard output, and progress and messages to standard error."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn

from resleak import formatting as fmt
from resleak.errors import OutputError
from resleak.formatting import plain_text

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from resleak.analysis.comparison import Comparison
    from resleak.analysis.memray_file import Recording
    from resleak.analysis.verdicts import ScenarioVerdict, VariantVerdict
    from resleak.experiments.investigate import Investigation

#: Characters per line where there is no terminal.
_WIDTH = 200
_SITES = 3
_COLOURS = {
    "leak": "bold red",
    "hangs": "bold red",
    "broken": "bold red",
    "scales": "bold red",
    "deferred": "magenta",
}


class OutputClosedError(OutputError):
    """Nobody reads standard output any more, as after ``| head``."""


class _Output(io.TextIOWrapper):
    """Standard output whose errors are told apart from those of other files."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._fail(error)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> NoReturn:
        # The interpreter flushes once more at its end; that must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
        if isinstance(error, BrokenPipeError):
            raise OutputClosedError from None
        raise OutputError(f"cannot write the output: {error.strerror}") from None


def guard_output() -> None:
    """Make printing safe: in any encoding, on a full disk, into a closed pipe."""
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="backslashreplace")
    if isinstance(sys.stdout, io.TextIOWrapper):
        encoding = sys.stdout.encoding
        sys.stdout = _Output(
            sys.stdout.buffer, encoding, "backslashreplace", line_buffering=sys.stdout.isatty()
        )


def say(message: str) -> None:
    """Write one line to standard error."""
    with suppress(OSError):  # there is nowhere else to say it
        print("resleak:", " ".join(plain_text(message).split()), file=sys.stderr, flush=True)


def out(*lines: str | Table | Text) -> None:
    """Write lines and tables to standard output."""
    for line in lines:
        if isinstance(line, str):
            print(plain_text(line), flush=True)
        else:
            paper().print(line)


def out_json(value: Any, indent: int | None = 1) -> None:
    """Write JSON to standard output."""
    is_unicode = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().startswith("utf")
    text = json.dumps(value, indent=indent, ensure_ascii=not is_unicode, allow_nan=False)
    print(fmt.json_text(text), flush=True)


@contextmanager
def progress(unit: str = "steps") -> Iterator[Callable[[str, int, int], None]]:
    """Show a progress bar on a terminal; yield a function of a label, the steps done and in all."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn(f"{{task.completed:.0f}}/{{task.total:.0f}} {unit}"),
        TimeRemainingColumn(),
    )
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("starting", total=1)
        yield lambda label, done, total: bar.update(
            task, description=plain_text(label), completed=done, total=total
        )


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show a message on a terminal while the block runs."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status(Text(plain_text(what))):
        yield


def show_scenarios(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print one line per scenario."""
    table = table_of("scenario", "variants", "title")
    for row in rows:
        table.add_row(row["name"], ", ".join(row["variants"]), row["title"])
    out(table)


def show_claims(findings: pd.DataFrame) -> None:
    """Print one line per claim, and the number of claims by outcome."""
    from resleak.analysis.claims_table import GLYPHS, summary

    table = table_of("seed", "scenario", "outcome", "key figure", "fix", "its figure")
    for row in findings.to_dict(orient="records"):
        outcome, fix = row["outcome"], row["fix"]
        table.add_row(
            row["seed"],
            row["scenario"],
            f"{GLYPHS.get(outcome, '?')} {outcome}",
            row["figure"]["text"],
            f"{GLYPHS.get(fix, '?')} {fix}" if fix else "",
            row["fix_figure"]["text"] if row["fix_figure"] else "",
        )
    out(table, summary(findings))


def show_judgement(judgement: ScenarioVerdict) -> None:
    """Print the verdicts with their numbers, the growing lines, and claim and fix."""
    out(f"{judgement.scenario['name']}: {judgement.scenario['title']}", _verdicts(judgement))
    for variant in judgement.variants.values():
        out(*(f"  {variant.name}: {line}" for line in _remarks(variant)))
    out(*_outcomes(judgement))


def show_investigation(investigation: Investigation) -> None:
    """Print the verdict, the gauges that show something, the line, and what to do next."""
    from rich.text import Text

    manifests = [one.manifest for one in investigation.captures.select(instrument="gauges")]
    runs = f"{len(manifests)} runs of {manifests[0].steps} steps"
    headline = f"{investigation.name}: {investigation.verdict} ({runs})"
    out(Text(plain_text(headline), style="bold"))
    table = table_of("gauge", "verdict", "rate", "95 % CI", "detection limit", "why")
    for row in investigation.rows():
        rate, limit = (
            fmt.rate(row[key], row["unit"]) for key in ("per_step", "smallest_detectable")
        )
        word = coloured(row["verdict"])
        table.add_row(row["gauge"], word, rate, interval(row), limit, row["reason"])
    if table.row_count:
        out(table)
    lines = (investigation.line, *investigation.quiet(), *investigation.next_steps())
    out(*filter(None, lines))


def show_budgets(budgets: pd.DataFrame) -> None:
    """Print one line per exceeded budget."""
    for row in budgets[~budgets["holds"].astype(bool)].to_dict(orient="records"):
        allowed, measured = (fmt.amount(row[k], row["unit"]) for k in ("allowed", "measured"))
        what = f"{row['budget']}: {row['gauge']} {measured}, allowed {allowed}"
        out(f"{row['variant']}: over budget, {what} ({row['source']})")


def show_comparison(comparison: Comparison) -> None:
    """Print rates, differences and verdicts, one line per gauge, and the certificates."""
    table = table_of("gauge", comparison.before, comparison.after, "difference, 95 %", "verdicts")
    for row in comparison.frame.to_dict(orient="records"):
        unit = row["unit"]
        fixed = f" ({row['certificate']})" if row["certificate"] else ""
        table.add_row(
            row["gauge"],
            fmt.rate(row["before"], unit, row["per"]),
            fmt.rate(row["after"], unit, row["per"]),
            f"{fmt.rate(row['difference'], unit, row['per'])} {interval(row)}",
            f"{row['verdict_before']} → {row['verdict_after']}{fixed}",
        )
    out(table)
    out(*comparison.frame.loc[comparison.frame["certificate"] != "", "sentence"])


def show_recording(recording: Recording, top: int) -> None:
    """Print a recording's limitations, its summary, and the lines that grew."""
    per = recording.per
    out(*(f"! {sentence}" for sentence in recording.warnings), recording.summary)
    table = table_of(f"per {per}", "share", "95 % CI", "function", "file")
    for row in recording.grown[:top]:
        table.add_row(
            fmt.rate(row["bytes_per_step"], "B", per),
            fmt.share(row["share"]),
            interval({**row, "unit": "B"}),
            row["function"],
            f"{row['file']}:{row['line']}" if row["file"] else "",
        )
    if recording.grown:
        out(table)


def _verdicts(judgement: ScenarioVerdict) -> Table:
    table = table_of(
        "variant", "gauge", "verdict", "rate", "95 % CI", "detection limit", "peak", "end"
    )
    for variant in judgement.variants.values():
        for row, per in map(judgement.readable, _shown_rows(variant)):
            unit = row["unit"]
            table.add_row(
                variant.name,
                row["gauge"],
                coloured(row["verdict"]),
                fmt.rate(row["per_step"], unit, per),
                interval(row),
                fmt.rate(row["smallest_detectable"], unit, per),
                fmt.amount(row["peak"], _scaled(unit)),
                fmt.amount(row["at_end"], _scaled(unit)),
            )
        table.add_section()
    return table


def _shown_rows(variant: VariantVerdict) -> list[dict[Any, Any]]:
    """Return the gauges that are evidence, and those with symptoms."""
    shown = variant.evidence | set(variant.symptoms)
    rows = variant.gauges.to_dict(orient="records")
    return [row for row in rows if row["gauge"] in shown]


def _remarks(variant: VariantVerdict) -> Iterator[str]:
    for limit in variant.limits.to_dict(orient="records"):
        if limit["holds"] is False:
            yield f"broken limit: {limit['limit']}, measured {fmt.number(limit['worst'])}"
    for sweep in variant.sweeps[variant.sweeps["verdict"] != "flat"].to_dict(orient="records"):
        power = f"{fmt.number(sweep['exponent'])} {fmt.interval(sweep['low'], sweep['high'])}"
        yield f"{sweep['gauge']} {sweep['verdict']} with {sweep['over']}: exponent {power}"
    hung = [one for one in variant.exits if one["status"] not in ("exited", "running")]
    if hung:
        yield f"{len(hung)} of {len(variant.exits)} runs did not end by themselves"
    yield from map(str, variant.diagnoses)
    yield from variant.because
    for origin in variant.origins.to_dict(orient="records"):
        yield f"{origin['gauge']}: {_opened(origin)}"
    if "leak" not in set(variant.gauges["verdict"]):
        return
    for site in variant.sites.head(_SITES).to_dict(orient="records"):
        if site["low"] > 0:
            grown = f"{fmt.rate(site['bytes_per_step'], 'B')} ({fmt.share(site['share'])})"
            yield f"{grown} from {site['file']}:{site['line']} {site['function']}"


def _opened(origin: Mapping[Hashable, Any]) -> str:
    """Say where a share of the leaked resources was opened."""
    share = f"{fmt.number(origin['per_step'])}/step ({fmt.share(origin['share'])})"
    where = f"{origin['file']}:{origin['line']} {origin['function']}"
    return f"{share} opened at {where}" if origin["file"] else f"{share} opened without Python"


def _outcomes(judgement: ScenarioVerdict) -> Iterator[str]:
    claim, fix = judgement.claim, judgement.claim["fix"]
    if claim["declared"]:
        yield f"claim: {claim['measured']} (declared: {claim['declared']})"
    if fix["declared"]:
        yield f"fix ({fix['variant']}): {fix['measured']} (declared: {fix['declared']})"
    for variant in judgement.variants.values():
        declared = "" if variant.as_declared else ", not as declared"
        yield f"{variant.name}: {variant.verdict}{declared}"


def interval(row: Mapping[Any, Any]) -> str:
    """Return a confidence interval, without a unit that the rate already has."""
    low, high = (fmt.amount(row[end], _scaled(row["unit"])) for end in ("low", "high"))
    return f"[{low}, {high}]"


def _scaled(unit: str) -> str:
    """Return the unit if numbers are scaled by it."""
    return unit if unit == "B" else ""


def coloured(verdict: str) -> Text:
    """Return a verdict in the colour of its severity."""
    from rich.text import Text

    return Text(plain_text(verdict), style=_COLOURS.get(verdict, ""))


def table_of(*columns: str) -> Table:
    """Return an empty table with these columns; its cells are shown as plain text."""
    from rich import box
    from rich.table import Table

    class PlainTable(Table):
        def add_row(self, *cells: Any, **options: Any) -> None:
            plain = (plain_text(cell) if isinstance(cell, str) else cell for cell in cells)
            super().add_row(*plain, **options)

    names = map(plain_text, columns)
    return PlainTable(*names, box=box.SIMPLE_HEAD, pad_edge=False)


def paper() -> Console:
    """Return standard output for rich, as wide as the terminal, or else wide."""
    from rich.console import Console

    screen = Console(highlight=False, markup=False)
    if not screen.is_terminal:
        screen.width = _WIDTH
    return screen
