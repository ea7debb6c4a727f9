"""Exit codes, options and helpers of several commands."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resleak import formatting
from resleak.errors import ScenarioError, ShareError
from resleak.ui.cli import console

if TYPE_CHECKING:
    from resleak.captures.frames import Captures
    from resleak.harness.plan import CaptureOptions
    from resleak.workload.resolve import Workload

OK, NOT_AS_DECLARED, CANNOT = 0, 1, 2

Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the captures.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class Panel(StrEnum):
    """Headings of the help, in their order."""

    OWN = "Your own code"
    SCENARIOS = "Scenarios"
    VERDICTS = "Verdicts"
    STACKS = "Stacks"
    NOTEBOOKS = "Notebooks and reports"


def run_capture(scenario: str, options: CaptureOptions) -> list[Path]:
    """Capture with a progress bar on standard error."""
    from resleak.harness import runner

    with console.progress() as progress:
        return runner.capture(scenario, options, progress=progress)


def captures_of(what: str, out: Path) -> Captures:
    """Load captures from a folder, a log or a scenario; capture that if needed."""
    from resleak.captures import storage

    path = Path(what)
    is_log = path.is_file() and path.suffix != ".py"
    if is_log or (path.is_dir() and storage.folders(path)):
        return load(what)
    name = locate(what).name
    if not is_stored(name, out):
        capture_first(what, out)
    return load(out / name)


def capture_first(what: str, out: Path) -> None:
    """Capture, and say so."""
    console.say(f"nothing is stored for {what} in {shown(out)}: capturing it first")
    from resleak.harness.plan import CaptureOptions

    run_capture(what, CaptureOptions(out=out))


def locate(what: str) -> Workload:
    """Find a scenario by its name, or any other workload, without importing it."""
    from resleak.workload import resolve

    return resolve.find(what)


def is_stored(name: str, out: Path) -> bool:
    """Return True if a scenario has a complete capture."""
    from resleak.captures import storage
    from resleak.captures.names import inside

    manifests = map(storage.read_manifest, storage.folders(inside(out, name)))
    return any(manifest.is_complete for manifest in manifests)


def load(folder: Path | str) -> Captures:
    """Load all captures at or below a folder."""
    from resleak.captures import (
        load,
    )

    return load.load(folder)


def key_values(given: Iterable[str] | None) -> dict[str, str]:
    """Read ``KEY=VALUE`` options."""
    found = [text.partition("=") for text in given or ()]
    for key, equals, _ in found:
        if not key or not equals:
            raise ScenarioError(f"{key!r} sets nothing; write KEY=VALUE")
    return {key: value for key, _, value in found}


def seconds(text: str) -> float:
    """Read a duration such as ``90``, ``90s``, ``15m`` or ``2h``."""
    try:
        return formatting.seconds(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a duration; write 90, 90s, 15m or 2h") from None


def find_notebook(name: str) -> Path:
    """Return the path of a notebook of the repository."""
    return project(Path("notebooks", name)) / "notebooks" / name


def kept_captures() -> Path:
    """Return the folder of the repository's captures."""
    return project(Path("data", "captures")) / "data" / "captures"


def project(part: Path) -> Path:
    """Return the folder that contains a part of the repository."""
    # A folder of someone else's that is called notebooks comes last: its code would be run.
    for root in (Path(__file__).parents[3], Path(__file__).parents[2], Path()):
        if (root / part).exists():
            return root
    raise ShareError(f"there is no {part} here; run this in a clone of the repository")


def shown(path: Path) -> str:
    """Return a path relative to the working folder, if it lies below."""
    absolute = path.resolve()
    return str(absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else path)
