"""List scenarios, capture them, and check every claim."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resleak.errors import ScenarioError
from resleak.ui.cli import console
from resleak.ui.cli._common import (
    NOT_AS_DECLARED,
    OK,
    AsJson,
    Out,
    Panel,
    kept_captures,
    key_values,
    project,
    run_capture,
    seconds,
    shown,
)

if TYPE_CHECKING:
    from resleak.harness.plan import CaptureOptions

PANEL = Panel.SCENARIOS
app = typer.Typer()
#: Time limit of --until-sure, in seconds.
_BUDGET_S = 300.0


@app.command("list")
def list_scenarios(as_json: AsJson = False) -> None:
    """List the scenarios that come with the package."""
    from resleak.workload import catalog

    rows = [
        {"name": s.name, "title": s.title, "system": s.system, "variants": list(s.variants)}
        for s in catalog.scan()
    ]
    console.out_json(rows) if as_json else console.show_scenarios(rows)


@app.command()
def capture(
    scenario: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A scenario or a file.")],
    variant: Annotated[
        list[str] | None, typer.Option(metavar="V", help="Only this variant; repeatable.")
    ] = None,
    runs: Annotated[int | None, typer.Option(metavar="R", min=1, help="Runs a variant.")] = None,
    steps: Annotated[int | None, typer.Option(metavar="N", min=1, help="Steps a run.")] = None,
    seed: Annotated[int, typer.Option(metavar="S", help="Seed of the first run.")] = 0,
    profile: Annotated[str, typer.Option(metavar="quick|full|soak", help="How much.")] = "quick",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a parameter; repeatable."),
    ] = None,
    python: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Measure with another interpreter.")
    ] = None,
    out: Out = Path("captures"),
    until_sure: Annotated[
        bool,
        typer.Option("--until-sure", help="Gauges alone, with more steps until it is decided."),
    ] = False,
    budget: Annotated[
        float | None,
        typer.Option(metavar="5m", parser=seconds, help="Time limit of --until-sure (5m)."),
    ] = None,
) -> None:
    """Run a scenario's variants in fresh processes and store the captures."""
    from resleak.harness.plan import CaptureOptions

    options = CaptureOptions(
        variants=variant, runs=runs, steps=steps, seed=seed, profile=profile,
        params=key_values(settings), python=str(python) if python else None, out=out,
    )  # fmt: skip
    if until_sure:
        if runs or steps:
            raise ScenarioError("--until-sure chooses runs and steps itself: leave them out")
        _until_sure(scenario, options, budget or _BUDGET_S)
        return
    folders = run_capture(scenario, options)
    for folder in sorted({folder.parent for folder in folders}):
        console.out(shown(folder))


def _until_sure(scenario: str, options: CaptureOptions, budget_s: float) -> None:
    from resleak.experiments import until_sure as sequential

    def on_look(steps: int, runs: int, names: list[str]) -> None:
        console.say(f"{runs} runs of {steps} steps: {', '.join(names)}")

    found = sequential.capture_until_sure(scenario, options, budget_s=budget_s, on_look=on_look)
    for name, steps in found.steps.items():
        decided = f"{found.verdicts[name]}, decided in {steps} steps"
        told = found.undecided.get(name)
        console.out(f"{name}: {f'inconclusive: {told}' if told else decided}")


@app.command()
def claims(
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="Captures; the repository's by default.")
    ] = None,
    as_json: AsJson = False,
    markdown: Annotated[bool, typer.Option(help="Print Markdown.")] = False,
    node: Annotated[
        bool, typer.Option("--node", help="Run the checks in Node first, and store their results.")
    ] = False,
) -> None:
    """Judge every claim from stored captures; print whose code ran, and under which condition."""
    if node:
        from resleak.experiments import node_checks

        with console.progress("checks") as progress:
            node_checks.run_all(folder or kept_captures(), progress=progress)
    from resleak.analysis import claims_table

    with console.progress("scenarios") as progress:
        table = claims_table.stored(folder or kept_captures(), progress)
    if as_json:
        console.out_json(claims_table.plain(table))
    elif markdown:
        from resleak.figures import claims_markdown

        folder = project(Path("notebooks")) / "notebooks"
        links = {system: f"notebooks/{name}" for system, name in claims_table.cases(folder).items()}
        console.out(claims_markdown(table, links))
    else:
        console.show_claims(table)
    raise typer.Exit(OK if table["ok"].all() else NOT_AS_DECLARED)
