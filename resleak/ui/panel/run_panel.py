"""The panel that runs a scenario: choose, run, follow, stop, read the verdict."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

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
from resleak.ui.panel.results import RUNS, Page, View, in_words
from resleak.ui.panel.session import Session, Status

#: Seconds between two verdicts while it runs; a curve is drawn more often.
_JUDGE_S = 1.0


class Panel(Page):
    """Choose a scenario by name or file, run it, watch it grow, and read the verdict.

    Nothing runs until **Run** is pressed, and then in processes of its own; `out` is the folder for
    the captures. In a page that has no kernel the panel is a table of what was chosen.
    """

    def __init__(self, scenario: str = "arc/auth_cache", out: Path | str = RUNS) -> None:
        super().__init__()
        self.out = Path(out)
        self.session: Session | None = None
        self._follower: threading.Thread | None = None
        self._bar = widgets.IntProgress(0, 0, 1, layout={"width": "260px"})
        self._run = widgets.Button(
            description="Run", button_style="primary", icon="play",
            tooltip="Run the chosen variants in fresh processes",
        )  # fmt: skip
        self._stop = widgets.Button(
            description="Stop", icon="stop", disabled=True,
            tooltip="End all processes and keep what was captured",
        )  # fmt: skip
        self._curves = widgets.HTML(layout={"width": "auto"})
        self.form = Form(Choice.of(scenario), self._reset)
        self._run.on_click(lambda _: self.start())
        self._stop.on_click(lambda _: self.stop())
        row = {"align_items": "center", "flex_flow": "row wrap", "grid_gap": "4px 12px"}
        self._message.layout.flex = "1 1 20em"
        buttons = widgets.HBox([self._run, self._stop, self._bar, self._message], layout=row)
        self._lay_out(self.form, buttons, self._curves, self.results)
        self._reset()

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
            self._say(in_words(error), alert=True)
            return
        self.session = Session(choice, self.out)
        self.results.offer({})
        self._lock(True)
        self._say("Starting …")
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
            self._say(f"{session.status} Judging …")
            self.results.offer(_views(session, verdicts))
            self._say(str(session.status), alert=session.status.state == "failed")
            self._curves.value = ""  # the results have the same curves, to be looked at closely
        except Exception as error:  # said in the panel: nobody sees what a thread prints
            self._say(in_words(error), alert=True)
        finally:
            self._lock(False)

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
        declared, options = session.choice.declared, session.choice.options
        warmup = options.warmup_steps(declared)
        steps = warmup + options.measured_steps(declared)
        variants = len(session.choice.variants)
        runs, rest = divmod(status.total, variants * steps)
        amount = f" {variants} variants × {runs} runs × {steps} steps." if runs and not rest else ""
        self._say(f"{status}{amount}")
        curves = sketch(rows, session.live.shown, verdicts, steps=steps, warmup=warmup)
        self._curves.value = curves.html

    def _reset(self) -> None:
        self._say("Choose what to run, then press Run. It runs in fresh processes.")
        self._curves.value = ""
        self.results.offer({})

    def _lock(self, busy: bool) -> None:
        self._run.disabled, self._stop.disabled = busy, not busy
        self.form.lock(busy)

    def __repr__(self) -> str:
        try:
            choice = self.form.chosen()
            return f"Panel: {choice.source}, {', '.join(choice.variants)}. {self.status}"
        except ResleakError as error:
            return f"Panel: {in_words(error)}. {self.status}"

    def _command(self) -> str:
        with suppress(ResleakError):  # the text says why
            return self.form.chosen().command
        return ""


def _views(session: Session, verdicts: Rows[GaugeVerdict]) -> dict[str, View]:
    """Return the views of a session that has ended."""
    if not verdicts:
        return {}
    captures, rows, judgement = session.captures(), session.live.read(), session.judgement()
    timeline = partial(figures.timeline, rows, session.live.gauges, verdicts)
    if judgement is None:  # stopped before a run was whole
        return {
            "Growth": lambda: [timeline()],
            "Verdicts": lambda: [figures.verdict_table(verdicts)],
            "Captures": lambda: [captures],
        }
    worst = judgement.variants[figures.worst(judgement)]
    causes = [figures.cause_cards(worst, captures=captures)] if worst.found.causes else []
    views: dict[str, View] = {
        "Growth": lambda: [figures.answer(judgement), *causes, timeline()],
        "Verdicts": lambda: [figures.verdict_table(judgement.gauges)],
    }
    by_instrument: dict[str, tuple[str, View]] = {
        "memray": ("Memory", lambda: _memory(judgement, captures)),
        "handles": ("Resources", lambda: _resources(judgement, captures)),
        "forensics": (
            "Culprits",
            lambda: [figures.culprits_table(judgement), figures.end_timeline(judgement)],
        ),
    }
    views |= {n: v for one, (n, v) in by_instrument.items() if captures.select(instrument=one)}
    views["Claim and limits"] = lambda: [
        figures.outcome_table(judgement),
        *figures.evidence(captures),
        figures.limits_table(judgement),
    ]
    return {**views, "Captures": lambda: [captures]}


def _memory(judgement: ScenarioVerdict, captures: frames.Captures) -> Iterable[object]:
    profiled = [n for n in judgement.variants if captures.select(variant=n, instrument="memray")]
    first = min(profiled, key=lambda name: name != figures.worst(judgement))
    yield figures.guilty(judgement.variants[first])
    title = f"{figures.titled(judgement, first)}: retained per step"
    yield figures.flamegraph(stacks.profile(captures.select(variant=first)), title=title)


def _resources(judgement: ScenarioVerdict, captures: frames.Captures) -> Iterable[object]:
    variant = judgement.variants[figures.worst(judgement)]
    gauge = handle_origins.leading(variant.gauges)
    profile = handle_origins.growth(captures.select(variant=variant.name), gauge)
    title = f"{figures.titled(judgement, variant.name)}: left open"
    yield figures.opened(variant)
    yield figures.flamegraph(profile, unit=gauge, title=title)
    yield figures.openings_table(variant)
