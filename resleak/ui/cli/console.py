"""Print tables to standard output, and progress and messages to standard error."""

from __future__ import annotations

import io
import json
import os
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from resleak import formatting as fmt
from resleak.analysis import wording
from resleak.analysis.causes import text as causes_text
from resleak.errors import OutputError
from resleak.figures.style import with_glyph, word_style
from resleak.formatting import plain_text
from resleak.workload.verdict_words import CLEAN

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    from resleak.analysis.budgets import BudgetCheck
    from resleak.analysis.comparison import Comparison
    from resleak.analysis.gauge_verdict import GaugeVerdict
    from resleak.analysis.memray_file import Recording
    from resleak.analysis.verdicts import ScenarioVerdict, VariantVerdict
    from resleak.experiments.investigation import Investigation
    from resleak.harness.plan import Progress as OnProgress

#: Characters per line where there is no terminal.
_WIDTH = 200
#: Longest line that is printed as it is, and longest message, in characters.
_LONG, _LONGEST_MESSAGE = 400, 1000
_HEAD = ("verdict", "growth rate", "95 % CI", "detection limit")


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
    text = " ".join(plain_text(message).split())
    if len(text) > _LONGEST_MESSAGE:  # both ends say what is wrong
        text = f"{text[: _LONGEST_MESSAGE - 300]} … {text[-300:]}"
    with suppress(OSError):  # there is nowhere else to say it
        print("resleak:", text, file=sys.stderr, flush=True)


def out(*lines: str | fmt.Table | Text) -> None:
    """Write lines and tables to standard output."""
    for line in lines:
        if isinstance(line, str):
            print(_folded(plain_text(line)), flush=True)
        else:
            paper().print(rich_table(line) if isinstance(line, fmt.Table) else line)


def _folded(text: str) -> str:
    """Return a text with long lines folded between words, unless a terminal does that."""
    fold = partial(textwrap.fill, width=_WIDTH, break_long_words=False, break_on_hyphens=False)
    return "\n".join(line if len(line) <= _LONG else fold(line) for line in text.split("\n"))


def out_json(value: Any, indent: int | None = 1) -> None:
    """Write JSON to standard output."""
    is_unicode = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().startswith("utf")
    text = json.dumps(value, indent=indent, ensure_ascii=not is_unicode, allow_nan=False)
    print(fmt.json_text(text), flush=True)


@contextmanager
def progress(unit: str = "steps", budget_s: float = 0.0) -> Iterator[OnProgress]:
    """Show a progress bar on a terminal; yield a function of a label, the steps done and in all.

    Where nobody knows how many there are in all, 0, it shows the time and the budget instead.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[count]}", markup=False),
        TimeRemainingColumn(),
    )
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        number = bar.add_task("starting", total=1, count="")
        (task,) = bar.tasks

        def show(label: str, done: int, total: int) -> None:
            most = f" of at most {fmt.duration(budget_s)}" if budget_s else ""
            elapsed = fmt.duration(round(task.elapsed or 0))
            count = f"{done}/{total} {unit}" if total else f"{done} {unit}, {elapsed}{most}"
            task.total = total or None
            bar.update(number, description=plain_text(label), completed=done, count=count)

        yield show


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


def show_claims(findings: pd.DataFrame) -> None:
    """Print a few lines per claim, and the number of claims by outcome."""
    from resleak.analysis.claims_table import summary

    for row in findings.to_dict(orient="records"):
        out(*_claim_lines(row), "")
    out(summary(findings))


def _claim_lines(row: Mapping[Any, Any]) -> Iterator[str]:
    """Yield a row of the register: the claim, what was measured, the fix, the condition."""
    from resleak.figures.claim_tables import in_node, languages, other_readings, whose

    about = " · ".join(filter(None, (row["seed"], row["scenario"], languages(row))))
    yield f"{about}: {row['claim'] or row['title']}"
    for what, word, code, figure in (
        ("", row["outcome"], whose(row), row["figure"]),
        ("its fix ", row["fix"], row["fix_origin"], row["fix_figure"]),
    ):
        if word:
            parts = (with_glyph(word), code and f"[{code}]", figure and figure["text"])
            yield f"  {what}{' '.join(filter(None, parts))}"
    if row["condition"]:
        yield f"  condition: {row['condition']}"
    if row["readings"]:
        yield f"  other readings: {other_readings(row)}"
    if row["node"]:
        yield f"  {in_node(row)}"


def show_judgement(judgement: ScenarioVerdict, checks: Iterable[BudgetCheck]) -> None:
    """Print the verdicts with their numbers, the causes, claim and fix, and overspending."""
    from rich.text import Text

    head = ("variant", "gauge", *_HEAD, "peak", "end")
    rows: list[Sequence[object]] = []
    for variant in judgement.variants.values():
        shown = variant.evidence | set(variant.symptoms)
        for one in (one.readable for one in variant.gauges if one.gauge in shown):
            levels = (wording.bare(value, one.unit) for value in (one.peak, one.at_end))
            rows.append((variant.name, one.gauge, *_verdict_cells(one), *levels))
        rows.append(())
    out(f"{judgement.scenario['name']}: {judgement.scenario['title']}", fmt.Table(head, rows))
    for variant in judgement.variants.values():
        out(*(f"  {variant.name}: {line}" for line in _remarks(variant)))
        if variant.found.causes:
            out(Text(plain_text(f"\ncauses of {variant.name}"), style="bold"))
            out(*causes_text.numbered(variant.found), *causes_text.accounts(variant.found), "")
    claim, fix = judgement.claim, judgement.claim["fix"]
    if claim["declared"]:
        out(f"claim: {claim['measured']} (declared: {claim['declared']})")
    if fix["declared"]:
        out(f"fix ({fix['variant']}): {fix['measured']} (declared: {fix['declared']})")
    for variant in judgement.variants.values():
        is_other = judgement.declares and not variant.as_declared
        declared = ", not as declared" if is_other else ""
        out(f"{variant.name}: {variant.verdict}{declared}")
    for row in (row for row in checks if not row.holds):
        out(f"{row.variant}: over budget, {row.budget}: {row.text} ({row.source})")


def show_investigation(investigation: Investigation, verbose: bool = False) -> None:
    """Print the verdict, a card for each cause, the undecided gauges, and what to do next."""
    from rich.text import Text

    out(Text(plain_text(investigation.headline), style="bold"), "")
    out(*investigation.cards())
    rows = investigation.rows() if verbose or not investigation.variant.found.causes else []
    if rows:
        cells = [(one.gauge, *_verdict_cells(one), one.reason) for one in rows]
        out(fmt.Table(("gauge", *_HEAD, "reason"), cells))
    out(*investigation.accounts(verbose), *investigation.next_steps())


def show_comparison(comparison: Comparison) -> None:
    """Print both rates, their difference and the verdicts, one line a gauge, and certificates."""
    head = ("gauge", comparison.before, comparison.after, "difference, 95 % CI", "verdicts")
    rows, sentences = [], []
    for row in (one.readable for one in comparison.rows):
        difference = f"{row.rate(row.difference)} {wording.bounds(row.low, row.high, row.unit)}"
        words = f"{row.words} ({row.certificate})" if row.certificate else row.words
        rows.append((row.gauge, row.rate(row.before), row.rate(row.after), difference, words))
        sentences += [row.sentence] if row.certificate else []
    out(fmt.Table(head, rows), *sentences)


def show_recording(recording: Recording, top: int) -> None:
    """Print a capture's limitations, the line that retains most, and the first lines that grew.

    The first by their rank are those whose growth is certain; their table is sorted by share.
    """
    per = recording.per
    out(*(f"! {sentence}" for sentence in recording.warnings), recording.summary)
    rows = []
    for site in sorted(recording.grown[:top], key=lambda site: -site.share):
        rate, share = fmt.rate(site.bytes_per_step, "B", per), fmt.share(site.share)
        interval = wording.bounds(site.low, site.high, "B")
        rows.append((rate, share, interval, site.function, site.place))
    if rows:
        out(fmt.Table((f"per {per}", "share", "95 % CI", "function", "file"), rows))


def _remarks(variant: VariantVerdict) -> Iterator[str]:
    for limit in variant.broken_limits:
        yield f"broken limit: {limit.limit}, measured {fmt.number(limit.worst)}"
    for cost in variant.scaling:
        if cost.verdict not in CLEAN:
            power = wording.exponent(cost)
            yield f"{cost.gauge} {cost.verdict} with {cost.over}: exponent {power}"
    hung = [one for one in variant.exits if one["status"] not in ("exited", "running")]
    if hung:
        yield f"{len(hung)} of {len(variant.exits)} runs did not end by themselves"
    has_cards = bool(variant.found.causes)
    yield from (str(one) for one in variant.diagnoses if not (one.leak and has_cards))
    yield from variant.obstacles if has_cards else variant.because


def _verdict_cells(one: GaugeVerdict) -> tuple[object, ...]:
    """Return the cells below `_HEAD`."""
    rate, limit = wording.rate(one), wording.detection_limit(one)
    return verdict_cell(one.verdict), rate, wording.interval(one), limit


def verdict_cell(verdict: str) -> fmt.Cell:
    """Return a verdict in the colour of its severity."""
    return fmt.Cell(verdict, tone=word_style(verdict).terminal)


def rich_table(table: fmt.Table) -> RichTable:
    """Return a table as rich draws it; an empty row ends a section."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    head = (fmt.cell(name).line for name in table.head)
    grid = Table(*head, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in table.rows:
        if row:
            grid.add_row(*(Text(one.line, style=one.tone) for one in map(fmt.cell, row)))
        else:
            grid.add_section()
    return grid


def paper() -> Console:
    """Return standard output for rich, as wide as the terminal, or else wide."""
    from rich.console import Console

    screen = Console(highlight=False, markup=False)
    if not screen.is_terminal:
        screen.width = _WIDTH
    return screen
