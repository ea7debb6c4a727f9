"""Judge captures, and compare two sides."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resleak.errors import ScenarioError, StoreError
from resleak.ui.cli import console
from resleak.ui.cli._common import (
    NOT_AS_DECLARED,
    OK,
    AsJson,
    Out,
    Panel,
    captures_of,
    is_stored,
    key_values,
    load,
)
from resleak.ui.cli.investigate import Runs, Seed, Steps, compare_environments

if TYPE_CHECKING:
    from resleak.analysis.verdicts import ScenarioVerdict
    from resleak.captures.frames import Captures

PANEL = Panel.VERDICTS
#: The scenario whose runs calibrate the floors of a machine.
CONTROL = "control/do_nothing"
app = typer.Typer()


@app.command()
def judge(
    what: Annotated[
        str, typer.Argument(metavar="NAME|FILE|DIR", help="A scenario, a file, or captures.")
    ],
    out: Out = Path("captures"),
    as_json: AsJson = False,
    budget_file: Annotated[
        Path | None,
        typer.Option("--budgets", metavar="FILE", help="Your own budgets, a TOML file."),
    ] = None,
    positive_control: Annotated[
        bool,
        typer.Option("--positive-control", help="Plant the smallest leak, and look for it."),
    ] = False,
) -> None:
    """Judge stored captures; of a scenario without any, capture first."""
    from resleak.analysis import budgets
    from resleak.analysis.rows import plain

    limits = budgets.read(budget_file)
    captures = captures_of(what, out)
    from resleak.analysis import verdicts

    judgement = verdicts.judge(captures, _control(out))
    held = budgets.check(judgement, captures, limits)
    if as_json:
        console.out_json({**judgement.to_dict(), "budgets": plain(held)})
    else:
        console.show_judgement(judgement)
        console.show_budgets(held)
    missed = positive_control and not _all_found(what, captures, judgement)
    missing = set(judgement.scenario["variants"]) - set(judgement.variants)
    if missing:
        console.say(f"judged without {', '.join(sorted(missing))}: not captured")
    raise typer.Exit(OK if judgement.ok and not missed else NOT_AS_DECLARED)


def _control(out: Path) -> Captures | None:
    """Return the captures of the do-nothing control, which calibrate the noise floors."""
    return load(out / CONTROL) if is_stored(CONTROL, out) else None


def _all_found(what: str, captures: Captures, judgement: ScenarioVerdict) -> bool:
    """Run the positive control; return True if every planted leak was detected."""
    from resleak.experiments import positive_control as positive

    name = what if not Path(what).is_dir() else str(judgement.scenario["name"])
    controls = []
    for control in positive.check(name, captures, judgement):
        console.say(str(control))
        controls.append(control)
    if not controls:
        console.say("positive control: no variant has a flat heap to plant a leak into")
    return all(control.found for control in controls)


@app.command()
def compare(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="CAPTURE CAPTURE | NAME VARIANT VARIANT | WORKLOAD",
            help="Two folders of captures, a scenario and two of its variants, or a workload to be "
            "measured in two environments.",
        ),
    ],
    python: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="The interpreter before, and again the one after."),
    ] = None,
    packages: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="REQUIREMENT", help="What to install before, and after."),
    ] = None,
    steps: Steps = None,
    runs: Runs = None,
    seed: Seed = 0,
    out: Out = Path("captures"),
    margin: Annotated[
        list[str] | None,
        typer.Option(metavar="GAUGE=RATE", help="What counts as nothing a step; repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two variants, captures before and after a change, or two environments."""
    if python or packages:
        from resleak.harness.plan import CaptureOptions

        options = CaptureOptions(steps=steps, runs=runs, seed=seed, out=out)
        compare_environments(what, python or [], packages or [], as_json, options)
        return
    margins = _numbers(key_values(margin))
    sides = _two_sides(what, out)
    from resleak.analysis import comparison

    compared = comparison.compare(*sides, margins)
    console.out_json(compared.to_dict()) if as_json else console.show_comparison(compared)


def _numbers(given: Mapping[str, str]) -> dict[str, float]:
    try:
        found = {name: float(text) for name, text in given.items()}
    except ValueError as error:
        raise StoreError(f"a margin is a number of units per step: {error}") from None
    if any(not 0 < value < math.inf for value in found.values()):
        raise StoreError("a margin is a number of units per step above 0, such as heap=4")
    return found


def _two_sides(what: list[str], out: Path) -> tuple[Captures, Captures]:
    if len(what) == 2:
        return load(what[0]), load(what[1])
    if len(what) != 3:
        raise StoreError("compare takes two folders of captures, or a scenario and two variants")
    found = captures_of(what[0], out)
    for name in what[1:]:
        if name not in found.variants:
            known = ", ".join(found.variants)
            raise ScenarioError(f"{what[0]} has no captures of {name!r}; it has: {known}")
    before, after = (found.select(variant=name) for name in what[1:])
    return before, after
