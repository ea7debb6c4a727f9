"""Budgets and allowances, checked in made-up runs with known rates."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import captures
from helpers import traces as made

from resleak.analysis import budgets, verdicts
from resleak.analysis.verdicts import VariantVerdict
from resleak.captures import load
from resleak.errors import BudgetError
from resleak.workload import catalog
from resleak.workload.gauges import BUILTIN

OURS = budgets.read()


def held(
    root: Path,
    trace: pd.DataFrame,
    limits: budgets.Budgets = OURS,
    system: str = "embedder",
    **end: float,
) -> pd.DataFrame:
    captures.write(root, captures.scenario(system), "leaky", trace, **end)
    found = load.load(root)
    rows = budgets.check(verdicts.judge(found), found, limits)
    return rows.frame.set_index(["budget", "gauge"])


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


def test_every_budget_has_a_gauge() -> None:
    """No budget names a gauge that nothing reads: built in, derived, or a scenario's own."""
    own = {name for one in catalog.scan() for name in one.own_gauges}
    readable = {*BUILTIN, "cleanup_s", "exit_s", "cpu_share", *own}
    assert {gauge for budget in OURS.budgets for gauge in budget.gauges} <= readable


@pytest.mark.parametrize(("per_step", "holds"), [(2000.0, True), (4000.0, False)])
def test_a_proven_rate_is_held_against_the_budget(
    tmp_path: Path, per_step: float, holds: bool
) -> None:
    """At 3 600 steps an hour 2 000 B/step are within 10 MB/h, and 4 000 are not."""
    row = held(tmp_path, heap(per_step)).loc[("memory-growth", "heap")]
    assert row["holds"] == holds
    assert row["measured"] == pytest.approx(3600 * per_step)
    assert row["note"] == f"limit reached at {10e6 / per_step:,.0f} steps per hour"


def test_what_is_not_proven_costs_nothing(tmp_path: Path) -> None:
    """A curve that rises far and then is flat spends no budget, but has a detection limit."""
    rows = held(tmp_path, made.trace(made.filling(5e6, 20), gauge="heap"))
    row = rows.loc[("memory-growth", "heap")]
    assert (row["measured"], row["holds"]) == (0, True)
    assert "detection limit" in row["note"]


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


def test_a_users_workload_is_checked_against_the_users_budgets_alone(tmp_path: Path) -> None:
    """No threshold of a source document concerns code that is not of its system."""
    assert not len(held(tmp_path, heap(1e6), system=""))
    mine = budgets.read(own(tmp_path, "[budget.mine]\ngauges = 'heap'\nper_step = 10"))
    rows = held(tmp_path / "again", heap(1e6), mine, system="")
    assert list(rows.index) == [("mine", "heap")]


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
        ("budget = 3", "must be a table"),
        ("[budget]\na = 3", "must be a table"),
        ("[budget.a]\ngauges = 3\nper_hour = 1", "list of names"),
        ("[budget.a]\ngauges = [3]\nper_hour = 1", "short text"),
        ("[budget.a]\ngauges = ['heap']\nper_hour = nan", "must be a number"),
        ("[budget.a]\ngauges = ['heap']\nper_hour = inf", "must be a number"),
        ("[budget.a]\ngauges = ['heap']\nper_hour = true", "must be a number"),
        ("[budget.a]\ngauges = ['heap']\nper_hour = 1\nlasting_s = 'x'", "must be a number"),
        ("[budget.a]\ngauges = ['heap']\nper_hour = 1\nsource = 7", "short text"),
        ("[budget.a]\ngauges = ['heap']\nper_hour = 1\nsystems = ['a\u202eb']", "short text"),
        ("steps_per_hour = nan", "must be a number"),
        (f"steps_per_hour = 0x{'f' * 5000}", "must be a number"),
        (f"steps_per_hour = {'9' * 5000}", "is no TOML"),
        (f"x = {'[' * 5000}", "is no TOML"),
        (f"[{'a.' * 20_000}b]", "it may have steps_per_hour, budget|nested too deeply"),
        (f"[budget.{'a' * 5000}]\nper_day = 1", "has per_day"),
        (f"budget.a = {'{b = ' * 5000}", "is no TOML"),
        ("[budget.a]\n" * 2, "is no TOML"),
        ("x = '" + "y" * 70_000, "larger than 64 KiB"),
    ],
)
def test_an_invalid_file_is_refused(tmp_path: Path, text: str, told: str) -> None:
    """Each mistake in a file of budgets is one short line."""
    with pytest.raises(BudgetError, match=told) as error:
        budgets.read(own(tmp_path, text))
    assert len(str(error.value)) < 500
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    "content", [b"x = '\xff'", b"\x00", b"\xef\xbb\xbf\xff", b"[budget.a\x1b]"]
)
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    """Bytes that are no UTF-8, or hold control characters, are one printable line."""
    file = tmp_path / "my.toml"
    file.write_bytes(content)
    with pytest.raises(BudgetError, match=r"my\.toml is no TOML") as error:
        budgets.read(file)
    assert str(error.value).isprintable()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes with names")
def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    """A pipe without a writer, an endless device and a folder are refused without reading."""
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(BudgetError, match="not a regular file"):
            budgets.read(place)


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b", "", "\ud800"])
def test_what_is_no_name_of_a_file_is_refused(name: str) -> None:
    """A name that no file can have is an error as any other."""
    with pytest.raises(BudgetError):
        budgets.read(name)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(BudgetError, match=r"nowhere\.toml: No such file"):
        budgets.read(tmp_path / "nowhere.toml")


Judge = Callable[..., VariantVerdict]


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    def judge(curve: made.Curve, **options: object) -> VariantVerdict:
        trace = made.trace(curve, gauge="fds", **options)  # type: ignore[arg-type]
        captures.write(tmp_path, captures.scenario(), "leaky", trace)
        return verdicts.judge(load.load(tmp_path)).variants["leaky"]

    return judge


@pytest.mark.parametrize(
    ("curve", "allowed", "outcome"),
    [
        (made.flat, 0, "holds"),
        (made.ramp(1.0), 0, "broken"),
        (made.plateau(200, 80), 0, "holds"),
        (made.from_step(280), 0, "inconclusive"),
        (made.ramp(1.0), 2, "holds"),
        (made.ramp(1.0, noise=20), 1.0, "inconclusive"),
        (made.ramp(1.0), 0.5, "broken"),
    ],
)
def test_an_allowance_has_three_answers(
    judge: Judge, curve: made.Curve, allowed: float, outcome: str
) -> None:
    """A leak above the allowance is broken, one certainly below holds, else it is undecided."""
    checked = budgets.check_allowances(judge(curve), [budgets.allowance("fds", allowed)])
    assert checked.outcome == outcome


def test_a_leak_in_rare_jumps_breaks_an_allowance_of_none(judge: Judge) -> None:
    """Its interval can have 0 in it: growth is certain, its rate is not."""
    ats = [73, 99, 177, 195, 253, 309, 577]
    variant = judge(lambda at, _: 100.0 + np.searchsorted(ats, at - made.WARMUP), steps=600)
    (leak,) = (one for one in variant.gauges if one.is_leak)
    assert leak.low <= 0
    checked = budgets.check_allowances(variant, [budgets.allowance("fds", 0)])
    assert checked.outcome == "broken"


def test_deferred_release_is_not_allowed(judge: Judge) -> None:
    """Descriptors that only the garbage collector closes are broken, with their number."""
    variant = judge(made.flat, waiting=1.0)
    checked = budgets.check_allowances(variant, [budgets.allowance("fds", 0)])
    assert checked.outcome == "broken"
    assert checked.broken[0].endswith("10 descriptors freed only by the garbage collector")


def test_without_allowances_every_gauge_counts(judge: Judge) -> None:
    """No allowance allows no growth; a gauge that was not read is undecided."""
    leaky = judge(made.ramp(1.0))
    assert budgets.check_allowances(leaky, []).outcome == "broken"
    checked = budgets.check_allowances(leaky, [budgets.allowance("sockets", 0)])
    assert checked.undecided == ("sockets was not read",)


@pytest.mark.parametrize(
    ("gauge", "text", "rate"),
    [("fds", 0, 0), ("heap", "16 B/step", 16), ("heap", "1.5 KiB", 1536), ("fds", "0.5", 0.5),
     ("heap", "2MB/step", 2e6), ("fds", "1 descriptors/step", 1), ("fds", 1e-5, 1e-5),
     ("tempfiles", "16 temporary files/step", 16)],
)  # fmt: skip
def test_an_allowance_is_written_as_people_write_rates(
    gauge: str, text: str | float, rate: float
) -> None:
    """A rate is a number, with the gauge's unit or a multiple of bytes if wanted, per step."""
    assert budgets.allowance(gauge, text).per_step == rate


@pytest.mark.parametrize(
    ("gauge", "text"),
    [("fds", "1 KiB"), ("heap", "much"), ("heap", "1.2.3 B"), ("files", 0), ("heap", "9" * 5000),
     ("heap", "nan"), ("heap", "."), ("heap", "٣ B"), ("x" * 5000, 0)],
)  # fmt: skip
def test_what_is_no_rate_is_refused(gauge: str, text: str | float) -> None:
    """A unit of another gauge, a word, and an unknown gauge are one short line."""
    with pytest.raises(BudgetError, match=r"no rate|no gauge") as error:
        budgets.allowance(gauge, text)
    assert len(str(error.value)) < 300
