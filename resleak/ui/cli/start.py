"""Write a first workload file, and teach the loop."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from resleak.errors import ScenarioError
from resleak.ui.cli import _common as common
from resleak.ui.cli import console

PANEL = common.Panel.OWN
app = typer.Typer()

_UI = Path(__file__).parents[1]


class Kind(StrEnum):
    """Kinds of work that there is a file for, in `resleak/ui/starters`."""

    WEB = "web"
    QUEUE = "queue"
    PIPELINE = "pipeline"
    TEST = "test"


@app.command()
def init(
    kind: Annotated[
        Kind, typer.Argument(metavar="[web|queue|pipeline|test]", help="What a step is like.")
    ] = Kind.WEB,
) -> None:
    """Write a commented workload file that runs as it is: put your code into it."""
    file = Path("test_leak.py" if kind is Kind.TEST else f"leak_{kind}.py")
    text = (_UI / "starters" / f"{kind}.py").read_text(encoding="utf-8")
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise ScenarioError(f"{file} exists, and is left alone; rename it first") from None
    console.out(str(file))
    workload = f"{file}::test_it" if kind is Kind.TEST else file
    console.say(f"written; next: resleak investigate {workload}")


@app.command()
def skill() -> None:
    """Print one page that teaches scripts and coding assistants to find and fix a leak."""
    console.out((_UI / "skill.md").read_text(encoding="utf-8").rstrip())
