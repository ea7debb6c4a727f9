"""Budgets held against made-up runs with known rates."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from helpers import captures
from helpers import traces as made

from resleak.analysis import budgets, verdicts
from resleak.captures import load
from resleak.errors import BudgetError

OURS = budgets.read()


def held(
    root: Path, trace: pd.DataFrame, limits: budgets.Budgets = OURS, **end: float
) -> pd.DataFrame:
    captures.write(root, captures.scenario(), "leaky", trace, **end)
    found = load.load(root)
    rows = budgets.check(verdicts.judge(found), found, limits)
    return rows.set_index(["budget", "gauge"])


def own(folder: Path, text: str) -> Path:
    file = folder / "my.toml"
    file.write_text(text)
    return file


def heap(per_step: float) -> pd.DataFrame:
    return made.trace(made.ramp(per_step), gauge="heap")


def test_every_budget_of_the_seeds_names_its_source() -> None:
    """Each threshold says in which document it stands."""
    assert len(OURS.budgets) >= 10
    assert all(budget.source[:3] in ("001", "002", "003") for budget in OURS.budgets)


@pytest.mark.parametrize(("per_step", "holds"), [(2000.0, True), (4000.0, False)])
def test_a_proven_rate_is_held_against_the_budget(
    tmp_path: Path, per_step: float, holds: bool
) -> None:
    """At 3 600 steps an hour 2 000 B/step are within 10 MB/h, and 4 000 are not."""
    row = held(tmp_path, heap(per_step)).loc[("memory-growth", "heap")]
    assert row["holds"] == holds
    assert row["measured"] == pytest.approx(3600 * per_step)
    assert row["told"] == f"used up by {10e6 / per_step:,.0f} steps an hour"


def test_what_is_not_proven_costs_nothing(tmp_path: Path) -> None:
    """A curve that rises far and then is flat spends no budget, but says what would be seen."""
    rows = held(tmp_path, made.trace(made.filling(5e6, 20), gauge="heap"))
    row = rows.loc[("memory-growth", "heap")]
    assert (row["measured"], row["holds"]) == (0, True)
    assert "would have been seen" in row["told"]


def test_descriptors_have_a_budget_by_step(tmp_path: Path) -> None:
    """Eleven descriptors an operation are over the budget of ten."""
    rows = held(tmp_path, made.trace(made.ramp(11.0), gauge="fds"))
    assert not rows.loc[("descriptors", "fds"), "holds"]


def test_times_are_held_in_every_run(tmp_path: Path) -> None:
    """The slowest run decides about clean-up and exit."""
    rows = held(tmp_path, made.trace(made.flat, gauge="fds"), exit_s=11.0, cleanup_s=4.9)
    assert not rows.loc[("exit", "exit_s"), "holds"]
    assert rows.loc[("clean-up", "cleanup_s"), "holds"]


@pytest.mark.parametrize(("lasting_s", "told"), [(0.0, True), (300.0, False)])
def test_processor_time_is_a_share_of_a_core(tmp_path: Path, lasting_s: float, told: bool) -> None:
    """A run that used 9 ms of every 10 ms is over 80 %, if it lasts as long as the budget asks."""
    trace = made.trace(made.flat, gauge="fds")
    budget = budgets.Budget("cpu", ("cpu_share",), at_most=0.8, lasting_s=lasting_s)
    limits = budgets.Budgets(3600, (budget,))
    rows = held(tmp_path, trace.assign(cpu_s=0.9 * trace["t_s"]), limits)
    assert list(rows["measured"].round(6)) == [0.9] * told
    assert list(rows["holds"]) == [False] * told


def test_a_budget_concerns_its_systems_only(tmp_path: Path) -> None:
    """The 500 MB/h that one seed allows say nothing about another system."""
    names = {name for name, _ in held(tmp_path, heap(100.0)).index}
    assert "memory-growth" in names
    assert "memory-growth-relaxed" not in names


def test_a_persons_file_overrides_drops_and_adds(tmp_path: Path) -> None:
    """One TOML file changes the steps an hour has, a limit, drops another, and adds a third."""
    text = """
        steps_per_hour = 60
        [budget.memory-growth]
        gauges = "heap"
        per_hour = 1000
        [budget.heap-spread]
        off = true
        [budget.queue]
        gauges = ["heap"]
        at_most = 50
    """
    limits = budgets.read(own(tmp_path, text))
    rows = held(tmp_path / "captures", heap(100.0), limits)
    assert rows.loc[("memory-growth", "heap"), "measured"] == pytest.approx(6000)
    assert not rows.loc[("memory-growth", "heap"), "holds"]
    assert not rows.loc[("queue", "heap"), "holds"]
    assert "heap-spread" not in rows.index.get_level_values("budget")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = [", "is no TOML"),
        ("limit = 3", "it may have steps_per_hour, budget"),
        ("steps_per_hour = 0", "above 0"),
        ("[budget.a]\ngauges = ['heap']", "exactly one of per_hour"),
        ("[budget.a]\nper_hour = 3", "needs gauges"),
        ("[budget.a]\ngauges = ['heap']\nper_hour = '10 MB'", "must be a number"),
        ("[budget.a]\ngauges = ['heap']\nper_day = 3", "has per_day"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(tmp_path: Path, text: str, told: str) -> None:
    """Each mistake in a file of budgets is told in one line."""
    with pytest.raises(BudgetError, match=told):
        budgets.read(own(tmp_path, text))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(BudgetError, match=r"nowhere\.toml: No such file"):
        budgets.read(tmp_path / "nowhere.toml")
