"""List scenarios, capture them, and check every claim."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from resleak.errors import ScenarioError
from resleak.formatting import Table
from resleak.harness.plan import CaptureOptions
from resleak.ui.cli import _common as common
from resleak.ui.cli import console
from resleak.ui.cli._common import argument, command, flag, option, seconds
from resleak.workload.verdict_words import UNDECIDED

#: Time limit of --until-sure, in seconds.
_BUDGET_S = 300.0


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
    from resleak.experiments.until_sure import capture_until_sure

    def on_look(steps: int, runs: int, names: list[str]) -> None:
        console.say(f"{runs} runs of {steps} steps: {', '.join(names)}")

    outcome = capture_until_sure(scenario, options, budget_s=budget_s, on_look=on_look)
    for name, steps in outcome.steps.items():
        if reason := outcome.undecided.get(name):
            console.out(f"{name}: {UNDECIDED}: {reason}")
        else:
            console.out(f"{name}: {outcome.verdicts[name]}, decided in {steps} steps")


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
