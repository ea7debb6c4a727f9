"""List and capture scenarios, judge captures, check every claim, compare two sides."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resleak.analysis.rows import SCHEMA_VERSION, plain
from resleak.captures.store import is_store
from resleak.errors import ScenarioError, StoreError
from resleak.formatting import Table
from resleak.harness.plan import CaptureOptions
from resleak.ui.cli import common, console, sweep
from resleak.ui.cli.common import argument, command, flag, option, seconds
from resleak.workload.verdict_words import LEAK, UNDECIDED

if TYPE_CHECKING:
    from resleak.analysis.verdicts import ScenarioVerdict
    from resleak.captures.frames import Captures

#: Time limit of --until-sure, in seconds.
_BUDGET_S = 300.0
#: The scenario whose runs calibrate the noise floors of a machine.
CONTROL = "control/do_nothing"


@command("list")
def list_scenarios(as_json: common.AsJson = False) -> None:
    """List the scenarios that come with the package."""
    from resleak.workload import catalog

    entries = [
        {"name": s.name, "title": s.title, "system": s.system, "variants": list(s.variants)}
        for s in catalog.scan()
    ]
    if as_json:
        console.out_json(entries)
    else:
        rows = [(one["name"], ", ".join(one["variants"]), one["title"]) for one in entries]
        console.out(Table(("scenario", "variants", "title"), rows))


@command("capture")
def capture(
    scenario: Annotated[
        str, argument("NAME|FILE", "A scenario or a file.", autocompletion=common.scenario_names)
    ],
    variant: Annotated[list[str] | None, option("V", "Only this variant; repeatable.")] = None,
    runs: common.Runs = None,
    steps: common.Steps = None,
    seed: common.Seed = 0,
    profile: Annotated[str, option("quick|full|soak", "How much.")] = "quick",
    settings: Annotated[
        list[str] | None, option("KEY=VALUE", "Override a parameter; repeatable.", "--set")
    ] = None,
    python: common.Python = None,
    out: common.Out = Path("captures"),
    until_sure: Annotated[
        bool, flag("--until-sure", "Gauges alone, with more steps until it is decided.")
    ] = False,
    budget: Annotated[
        float | None, option("5m", "Time limit of --until-sure (5m).", parser=seconds)
    ] = None,
) -> None:
    """Run a scenario's variants in fresh processes and store the captures."""
    options = CaptureOptions(
        variants=variant, runs=runs, steps=steps, seed=seed, profile=profile,
        params=common.key_values(settings), python=python, out=out,
    )  # fmt: skip
    if until_sure:
        if runs or steps:
            raise ScenarioError("--until-sure chooses runs and steps itself: leave them out")
        _until_sure(scenario, options, budget or _BUDGET_S)
        return
    folders = common.run_capture(scenario, options)
    console.out(*(common.shown(folder) for folder in sorted({folder.parent for folder in folders})))


def _until_sure(scenario: str, options: CaptureOptions, budget_s: float) -> None:
    from resleak.experiments.certainty import capture_until_sure

    def on_look(steps: int, runs: int, names: list[str]) -> None:
        console.say(f"{runs} runs of {steps} steps: {', '.join(names)}")

    outcomes = capture_until_sure(scenario, options, budget_s=budget_s, on_look=on_look)
    for name, one in outcomes.items():
        if one.undecided:
            console.out(f"{name}: {UNDECIDED}: {one.undecided}")
        else:
            console.out(f"{name}: {one.verdict}, decided in {one.steps} steps")


@command("claims")
def claims(
    folder: Annotated[
        Path | None, argument("DIR", "Captures; the repository's by default.")
    ] = None,
    as_json: common.AsJson = False,
    markdown: Annotated[bool, flag("--markdown", "Print Markdown.")] = False,
    node: Annotated[
        bool, flag("--node", "Run the checks in Node first, and store their results.")
    ] = False,
) -> None:
    """Judge every claim from stored captures; print whose code ran, and under which condition."""
    folder = folder or common.project("data", "captures")
    if node:
        from resleak.experiments import node_checks

        with console.progress("checks") as progress:
            node_checks.run_all(folder, progress=progress)
    from resleak.analysis import claims_table

    with console.progress("scenarios") as progress:
        findings = claims_table.stored(folder, progress)
    if as_json:
        console.out_json(claims_table.plain(findings))
    elif markdown:
        from resleak.figures import claims_markdown

        cases = claims_table.cases(common.project("notebooks"))
        console.out(claims_markdown(findings, {k: f"notebooks/{v}" for k, v in cases.items()}))
    else:
        console.show_claims(findings)
    raise typer.Exit(common.OK if findings["ok"].all() else common.NOT_AS_DECLARED)


@command("judge")
def judge(
    what: Annotated[
        str,
        argument(
            "NAME|FILE|DIR|URL",
            "A scenario, a file, captures, a store.",
            autocompletion=common.scenario_names,
        ),
    ],
    out: common.Out = Path("captures"),
    as_json: common.AsJson = False,
    budget_file: common.BudgetFile = None,
    positive_control: Annotated[
        bool, flag("--positive-control", "Plant the smallest leak, and look for it.")
    ] = False,
) -> None:
    """Judge stored captures; of a scenario without any, capture first."""
    if is_store(what):
        sweep.show_store(what, as_json)
    from resleak.analysis import budgets

    limits = common.budgets_of(budget_file)
    captures = common.captures_of(what, out)
    from resleak.analysis import verdicts

    control = common.load(out / CONTROL) if common.is_stored(CONTROL, out) else None
    judgement = verdicts.judge(captures, control)
    checks = budgets.check(judgement, captures, limits)
    if as_json:
        console.out_json({**judgement.to_dict(), "budgets": plain(checks)})
    else:
        console.show_judgement(judgement, checks)
    is_sensitive = not positive_control or _detects_planted(what, captures, judgement)
    missing = set(judgement.scenario["variants"]) - set(judgement.variants)
    if missing:
        console.say(f"judged without {', '.join(sorted(missing))}: not captured")
    raise typer.Exit(common.OK if judgement.ok and is_sensitive else common.NOT_AS_DECLARED)


def _detects_planted(what: str, captures: Captures, judgement: ScenarioVerdict) -> bool:
    """Run the positive control; return True if every planted leak was detected."""
    from resleak.experiments.certainty import positive_controls

    name = what if not Path(what).is_dir() else str(judgement.scenario["name"])
    detected = []
    for control in positive_controls(name, captures, judgement):
        console.say(str(control))
        detected.append(control.is_detected)
    if not detected:
        console.say("positive control: no variant has a flat heap to plant a leak into")
    return all(detected)


@command("compare")
def compare(
    what: Annotated[
        list[str],
        argument(
            "CAPTURE CAPTURE | NAME VARIANT VARIANT | WORKLOAD",
            "Two folders of captures, a scenario and two of its variants, or a workload to be "
            "measured in two environments.",
        ),
    ],
    python: Annotated[
        list[str] | None, option("PATH", "The interpreter before, and again the one after.")
    ] = None,
    packages: Annotated[
        list[str] | None, option("REQUIREMENT", "What to install before, and after.", "--with")
    ] = None,
    steps: common.Steps = None,
    runs: common.Runs = None,
    seed: common.Seed = 0,
    out: common.Out = Path("captures"),
    margin: Annotated[
        list[str] | None,
        option("GAUGE=RATE", "What counts as nothing per step, or second; repeatable."),
    ] = None,
    as_json: common.AsJson = False,
) -> None:
    """Compare two variants, captures before and after a change, or two environments.

    Exits with 1 if the later side leaks.
    """
    if python or packages:
        options = CaptureOptions(steps=steps, runs=runs, seed=seed, out=out)
        _environments(what, python or [], packages or [], as_json, options)
    margins = _margins(common.key_values(margin))
    before, after = _two_sides(what, out)
    from resleak.analysis import comparison, verdicts
    from resleak.analysis.causes import changes

    compared = comparison.compare(before, after, margins)
    judged = [verdicts.judge(side).variants.values() for side in (before, after)]
    found = changes.changes(*([c for one in side for c in one.found.causes] for side in judged))
    if as_json:
        version = {"schema_version": SCHEMA_VERSION}
        console.out_json({**version, **compared.to_dict(), "causes": plain(found)})
    else:
        console.show_comparison(compared)
        console.out(*filter(None, [str(found)]))
    leaks = any(row.verdict_after == LEAK for row in compared.rows)
    raise typer.Exit(common.NOT_AS_DECLARED if leaks else common.OK)


def _margins(texts: Mapping[str, str]) -> dict[str, float]:
    try:
        margins = {name: float(text) for name, text in texts.items()}
    except ValueError as error:
        raise StoreError(f"a margin is a number of units per step: {error}") from None
    if any(not 0 < value < math.inf for value in margins.values()):
        raise StoreError("a margin is a number of units per step above 0, such as heap=4")
    return margins


def _two_sides(what: list[str], out: Path) -> tuple[Captures, Captures]:
    if len(what) == 2:
        return common.load(what[0]), common.load(what[1])
    if len(what) != 3:
        raise StoreError("compare takes two folders of captures, or a scenario and two variants")
    captures = common.captures_of(what[0], out, what[1:])
    for name in what[1:]:
        if name not in captures.variants:
            names = ", ".join(captures.variants)
            raise ScenarioError(f"{what[0]} has no captures of {name!r}; it has: {names}")
    return captures.select(variant=what[1]), captures.select(variant=what[2])


def _environments(
    what: list[str], pythons: list[str], packages: list[str], as_json: bool, options: CaptureOptions
) -> None:
    """Measure before and after, say whether the leak is new, gone or in both, and exit."""
    from resleak.experiments import compare as environments

    if len(what) != 1:
        raise ScenarioError("name one workload to compare two environments")
    with console.working("making the environments"):
        both = environments.interpreters(pythons, packages)
    with console.progress() as progress:
        options = replace(options, progress=progress)
        compared = environments.compare_environments(what[0], both, options)
    if as_json:
        console.out_json(compared.to_dict())
    else:
        console.show_comparison(compared.comparison)
        for name, side in (("before", compared.before), ("after", compared.after)):
            console.out(f"{name}: {side.verdict}. {side.blamed()}".rstrip())
        console.out(compared.sentence)
    raise typer.Exit(common.NOT_AS_DECLARED if compared.after.leaking() else common.OK)
