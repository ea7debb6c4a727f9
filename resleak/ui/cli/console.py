"""What the command line looks like: tables on standard output, progress on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from resleak import formatting as fmt

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from resleak.analysis.comparison import Comparison
    from resleak.analysis.memray_file import Recording
    from resleak.analysis.verdicts import ScenarioVerdict, VariantVerdict

#: Characters a line has where nobody says how wide the paper is.
_WIDTH = 200
_SITES = 3
_COLOURS = {
    "leak": "bold red",
    "hangs": "bold red",
    "broken": "bold red",
    "scales": "bold red",
    "deferred": "magenta",
}


def say(message: str) -> None:
    """Write one line to standard error."""
    print("resleak:", " ".join(message.split()), file=sys.stderr, flush=True)


def out(line: str) -> None:
    """Write one line to standard output."""
    print(line, flush=True)


@contextmanager
def progress(unit: str = "steps") -> Iterator[Callable[[str, int, int], None]]:
    """Show a progress bar with the time left while the block runs, if anyone can see it.

    Parameters
    ----------
    unit : str
        What is counted.

    Yields
    ------
    callable
        Takes a label, the steps done and the steps there are.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn(f"{{task.completed:.0f}}/{{task.total:.0f}} {unit}"),
        TimeRemainingColumn(),
    )
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("starting", total=1)
        yield lambda label, done, total: bar.update(
            task, description=label, completed=done, total=total
        )


@contextmanager
def working(what: str) -> Iterator[None]:
    """Say what goes on while the block runs, if anyone can see it."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield


def show_scenarios(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print one line a scenario."""
    table = table_of("scenario", "variants", "title")
    for row in rows:
        table.add_row(row["name"], ", ".join(row["variants"]), row["title"])
    paper().print(table)


def show_claims(findings: pd.DataFrame) -> None:
    """Print one line a claim, and how many came out how."""
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
    paper().print(table)
    paper().print(summary(findings))


def show_judgement(judgement: ScenarioVerdict) -> None:
    """Print the verdicts with their numbers, the lines that grow, and claim and fix."""
    screen = paper()
    screen.print(f"{judgement.scenario['name']}: {judgement.scenario['title']}")
    screen.print(_verdicts(judgement))
    for variant in judgement.variants.values():
        for line in _remarks(variant):
            screen.print(f"  {variant.name}: {line}")
    for line in _outcomes(judgement):
        screen.print(line)


def show_budgets(budgets: pd.DataFrame) -> None:
    """Print the budgets that are overspent, one line each."""
    for row in budgets[~budgets["holds"].astype(bool)].to_dict(orient="records"):
        allowed, measured = (fmt.amount(row[k], row["unit"]) for k in ("allowed", "measured"))
        what = f"{row['budget']}: {row['gauge']} {measured}, allowed {allowed}"
        paper().print(f"{row['variant']}: over budget, {what} ({row['source']})")


def show_comparison(comparison: Comparison) -> None:
    """Print both rates, their difference and the verdicts, one line a gauge, and certificates."""
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
    paper().print(table)
    for row in comparison.frame[comparison.frame["certificate"] != ""].to_dict(orient="records"):
        paper().print(row["sentence"])


def show_recording(recording: Recording, top: int) -> None:
    """Print what to know of a capture, the line that holds on to most, and the lines that grew."""
    screen, per = paper(), recording.per
    for sentence in recording.warnings:
        screen.print(f"! {sentence}")
    screen.print(recording.summary)
    table = table_of(f"per {per}", "share", "95 % interval", "function", "file")
    for row in recording.grown[:top]:
        table.add_row(
            fmt.rate(row["bytes_per_step"], "B", per),
            fmt.share(row["share"]),
            interval({**row, "unit": "B"}),
            row["function"],
            f"{row['file']}:{row['line']}" if row["file"] else "",
        )
    if recording.grown:
        screen.print(table)


def _verdicts(judgement: ScenarioVerdict) -> Table:
    table = table_of(
        "variant", "gauge", "verdict", "rate", "95 % interval", "smallest seen", "peak", "end"
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
    """Return the gauges that are evidence here, and those that show something anyway."""
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
    """Say what share of what leaks was opened where."""
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
    """Write the interval of a judged gauge; a unit that does not scale stands elsewhere."""
    low, high = (fmt.amount(row[end], _scaled(row["unit"])) for end in ("low", "high"))
    return f"[{low}, {high}]"


def _scaled(unit: str) -> str:
    """Return the unit if numbers are scaled by it; the others are named once in their row."""
    return unit if unit == "B" else ""


def coloured(verdict: str) -> Text:
    """Return a verdict in the colour of its severity."""
    from rich.text import Text

    return Text(verdict, style=_COLOURS.get(verdict, ""))


def table_of(*columns: str) -> Table:
    """Return an empty table with these columns."""
    from rich import box
    from rich.table import Table

    return Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)


def paper() -> Console:
    """Return standard output as rich writes on it: as wide as the terminal, or as needed."""
    from rich.console import Console

    screen = Console(highlight=False, markup=False)
    if not screen.is_terminal:
        screen.width = _WIDTH
    return screen
