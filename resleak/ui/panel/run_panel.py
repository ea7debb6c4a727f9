"""The panel that runs a scenario: choose, run, follow, stop, read the verdict."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pandas as pd

from resleak import figures
from resleak.analysis import handle_origins, stacks
from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.analysis.rows import Rows
from resleak.analysis.verdicts import ScenarioVerdict
from resleak.captures import frames
from resleak.errors import ResleakError
from resleak.figures.live_svg import sketch
from resleak.ui.panel.choices import Choice
from resleak.ui.panel.form import Form
from resleak.ui.panel.results import RUNS, Make, Results, line, style
from resleak.ui.panel.session import Session, Status

#: Seconds between two verdicts while it runs; a curve is drawn more often.
_JUDGE_S = 1.0
_FIRST = "arc/auth_cache"


class Panel(widgets.VBox):  # type: ignore[misc]
    """Choose a scenario, run it, watch it grow, and read what was found.

    Nothing runs until **Run** is pressed, and then in processes of its own. In a page that has no
    kernel the panel is a table of what was chosen.

    Parameters
    ----------
    scenario : str
        The first choice: a scenario's name, or a path to a Python file with ``step(i)``.
    out : Path
        Folder for the captures; each run gets its own in it, so that none replaces another.

    Raises
    ------
    ScenarioError
        If there is no such scenario.
    """

    def __init__(self, scenario: str = _FIRST, out: Path | str = RUNS) -> None:
        self.out = Path(out)
        self.session: Session | None = None
        self._follower: threading.Thread | None = None
        self._bar = widgets.IntProgress(0, 0, 1, layout={"width": "260px"})
        self._run = widgets.Button(description="Run", button_style="primary", icon="play")
        self._stop = widgets.Button(description="Stop", icon="stop", disabled=True)
        self._run.tooltip = "Run the chosen variants in fresh processes"
        self._stop.tooltip = "End all processes and keep what was captured"
        self._told, self._curves = widgets.HTML(layout={"flex": "1 1 20em"}), widgets.HTML()
        self._curves.layout.width = "auto"
        self.results = Results()
        self.form = Form(Choice.of(scenario), self._another)
        self._run.on_click(lambda _: self.start())
        self._stop.on_click(lambda _: self.stop())
        row = {"align_items": "center", "flex_flow": "row wrap", "grid_gap": "4px 12px"}
        buttons = widgets.HBox([self._run, self._stop, self._bar, self._told], layout=row)
        super().__init__([style(), self.form, buttons, self._curves, self.results])
        self.add_class("resleak-panel")
        self._another()

    @property
    def status(self) -> Status:
        """The progress of the last run."""
        return self.session.status if self.session else Status()

    @property
    def captures(self) -> frames.Captures:
        """The captures of the last run."""
        return self.session.captures() if self.session else frames.Captures([])

    def start(self) -> None:
        """Run the choice, as the button does."""
        if self.status.busy:
            return
        try:
            choice = self.form.chosen()
            _ = choice.variants  # at least one
        except ResleakError as error:
            self._told.value = line(str(error), alert=True)
            return
        self.session = Session(choice, self.out)
        self.results.clear()
        self._busy(True)
        self._told.value = line("Starting …")
        self.session.start()
        self._follower = threading.Thread(target=self._follow, args=(self.session,), daemon=True)
        self._follower.start()

    def stop(self) -> None:
        """Stop the run, as the button does; its captures stay."""
        if self.session:
            self.session.stop()

    def wait(self, timeout_s: float | None = None) -> Status:
        """Wait until the last run has ended and its results are shown."""
        if self._follower:
            self._follower.join(timeout_s)
        return self.status

    def _follow(self, session: Session) -> None:
        try:
            with ThreadPoolExecutor(1) as judge:
                verdicts = self._watch(session, judge)
            self._told.value = line(f"{session.status} Judging …")
            self._end(session, verdicts)
        except Exception as error:  # said in the panel: nobody sees what a thread prints
            self._told.value = line(f"{type(error).__name__}: {error}", alert=True)
        finally:
            self._busy(False)

    def _watch(self, session: Session, judge: Executor) -> Rows[GaugeVerdict]:
        """Draw the readings, and judge them in another thread, which takes longer."""
        judging = judge.submit(Rows, GaugeVerdict)
        verdicts, due = Rows(GaugeVerdict), 0.0
        for status in session.readings():
            rows = session.live.read()
            if judging.done() and time.monotonic() > due:
                verdicts, due = judging.result(), time.monotonic() + _JUDGE_S
                judging = judge.submit(session.live.judge, rows)
            self._show(session, status, rows, verdicts)
        return session.live.judge(rows)

    def _show(
        self, session: Session, status: Status, rows: pd.DataFrame, verdicts: Rows[GaugeVerdict]
    ) -> None:
        self._bar.max, self._bar.value = max(status.total, 1), status.done
        self._told.value = line(str(status))
        choice = session.choice
        warmup = choice.options.warmup_steps(choice.declared)
        steps = warmup + choice.options.measured_steps(choice.declared)
        drawn = sketch(rows, session.live.shown, verdicts, steps=steps, warmup=warmup)
        self._curves.value = drawn.html

    def _end(self, session: Session, verdicts: Rows[GaugeVerdict]) -> None:
        self.results.offer(_views(session, verdicts))
        self._told.value = line(str(session.status), alert=session.status.state == "failed")
        self._curves.value = ""  # the same curves stand in the results, to be looked at closely

    def _another(self) -> None:
        self._told.value = line("Choose what to run, then press Run. It runs in fresh processes.")
        self._curves.value = ""
        self.results.clear()

    def _busy(self, busy: bool) -> None:
        self._run.disabled, self._stop.disabled = busy, not busy
        self.form.lock(busy)

    def __repr__(self) -> str:
        return f"Panel: {self._in_words()}"

    def _in_words(self) -> str:
        choice = self.form.chosen()
        return f"{choice.source}, {', '.join(choice.options.variants or ())}. {self.status}"

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """Return the widget and, for pages without a kernel, the choice."""
        live: dict[str, Any] = super()._repr_mimebundle_(**options) or {}
        command = f"<code>{escape(self.form.chosen().command)}</code>"
        told = f"<p>In JupyterLab a panel stands here. {escape(self._in_words())}</p>"
        return {**live, "text/plain": repr(self), "text/html": f"{told}<p>{command}</p>"}


def _views(session: Session, verdicts: Rows[GaugeVerdict]) -> Mapping[str, Make]:
    """Return the views of a session that has ended."""
    if not verdicts:
        return {}
    judged = session.judgement()
    whole, rows = session.captures(), session.live.read()

    def growth() -> Iterable[object]:
        if judged:
            yield figures.answer(judged)
        yield figures.timeline(rows, session.live.gauges, verdicts)

    views: dict[str, Make] = {"Growth": growth, "Verdicts": lambda: _verdicts(judged, verdicts)}
    if judged and len(whole.select(instrument="memray")):
        views["Memory"] = lambda: _memory(judged, whole)
    if judged and len(whole.select(instrument="handles")):
        views["Handles"] = lambda: _handles(judged, whole)
    if judged and len(whole.select(instrument="forensics")):
        views["Culprits"] = lambda: [figures.culprits_table(judged), figures.end_timeline(judged)]
    if judged:
        views["Claim and limits"] = lambda: _claim(judged, whole)
    return {**views, "Captures": lambda: [whole]}


def _verdicts(judged: ScenarioVerdict | None, verdicts: Rows[GaugeVerdict]) -> Iterable[object]:
    yield figures.verdict_table(judged.gauges if judged else verdicts)


def _memory(judged: ScenarioVerdict, whole: frames.Captures) -> Iterable[object]:
    profiled = [n for n in judged.variants if whole.select(variant=n, instrument="memray")]
    first = min(profiled, key=lambda name: name != figures.worst(judged))
    yield figures.guilty(judged.variants[first])
    stays = stacks.profile(whole.select(variant=first))
    title = f"{judged.scenario['name']}, {first}: what stays, per step"
    yield figures.flamegraph(stays, title=title)


def _handles(judged: ScenarioVerdict, whole: frames.Captures) -> Iterable[object]:
    first = figures.worst(judged)
    found = judged.variants[first]
    counted = handle_origins.leading(found.gauges)
    held = handle_origins.growth(whole.select(variant=first), counted)
    title = f"{judged.scenario['name']}, {first}: who opened what stays"
    yield figures.opened(found)
    yield figures.flamegraph(held, unit=counted, title=title)
    yield figures.openings_table(found)


def _claim(judged: ScenarioVerdict, whole: frames.Captures) -> Iterable[object]:
    yield figures.outcome_table(judged)
    yield from figures.evidence(whole)
    yield figures.limits_table(judged)
