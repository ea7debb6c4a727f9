"""Exit codes, options, settings of a project and helpers of several commands."""

from __future__ import annotations

import threading
import tomllib
import webbrowser
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from resleak import formatting
from resleak.captures import storage
from resleak.captures.names import inside
from resleak.errors import BudgetError, ScenarioError, ShareError, StoreError
from resleak.harness.plan import CaptureOptions, Progress
from resleak.ui.cli import console
from resleak.workload import resolve

if TYPE_CHECKING:
    from resleak.analysis.budgets import Budgets
    from resleak.captures.frames import Captures

OK, NOT_AS_DECLARED, CANNOT = 0, 1, 2
#: Options that may have a default. None of them names a program: the file may be a stranger's.
OPTIONS = ("budget", "deadline", "every", "margin", "out", "profile", "runs", "seed", "steps")
#: `known` is kept for the fingerprints of leaks that a project lives with.
_KEYS = ("defaults", "budget", "steps_per_hour", "known")
_MAX_BYTES = 1 << 20
#: Seconds of an import after which it is mentioned.
_PATIENCE_S = 5.0
#: What a wheel has of the repository: notebooks, and the captures that they show.
SHIPPED = Path(__file__).parents[2] / "shipped"
ROOT = SHIPPED if SHIPPED.is_dir() else Path(__file__).parents[3]


class _WithoutTypes:
    """Shows a placeholder and no type beside arguments, and neither beside flags."""

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters, without the names of Python types."""
        parameters: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for one in parameters:
            if one.param_type_name == "argument" or getattr(one, "is_flag", False):
                one.display_type_rich = lambda ctx: None
        return parameters


class Command(_WithoutTypes, TyperCommand):
    """A command."""


class _Group(_WithoutTypes, TyperGroup):
    """All commands."""


app = typer.Typer(
    cls=_Group,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Reproduce a leak, judge it with numbers, find the line, share one file.",
    epilog="Exit codes: 0 done, and all is as declared; 1 judged, and something is not as declared "
    "(where nothing is declared: something leaks, is deferred, hangs or stays inconclusive; in "
    "watch and record: something leaks or is deferred, or a budget is exceeded); 2 the request "
    "cannot be carried out, and one line says why; 3 watch or record was ended by --stop-on; 70 "
    "unexpected error, and one line names the file with its traceback; 130 interrupted, and "
    "nothing is left running.",
)
command = partial(app.command, cls=Command)


def argument(metavar: str, text: str, **more: Any) -> Any:
    """Return an argument of a command, with the text of its help."""
    return typer.Argument(metavar=metavar, help=text, **more)


def option(metavar: str, text: str, *names: str, **more: Any) -> Any:
    """Return an option with a value; without `names` it is called as its parameter."""
    return typer.Option(*names, metavar=metavar, help=text, **more)


def flag(name: str, text: str, **more: Any) -> Any:
    """Return an option without a value."""
    return typer.Option(name, help=text, **more)


def seconds(text: str, name: str | None = None) -> float:
    """Read a duration such as ``90``, ``90s``, ``15m`` or ``2h``, of the option with this name."""
    try:
        return formatting.seconds(text)
    except ValueError:
        message = f"{text!r} is not a duration; write 90, 90s, 15m or 2h"
        raise typer.BadParameter(message, param_hint=name and f"'{name}'") from None


def store_url(text: str) -> str:
    """Return the URL of a store; raise StoreError if it names no bucket."""
    if text.endswith("://"):
        raise StoreError(f"{text} names no bucket; give {text}BUCKET/FOLDER")
    return text


Out = Annotated[Path, option("DIR", "Folder of the captures.")]
AsJson = Annotated[bool, flag("--json", "Print JSON.")]
Steps = Annotated[int | None, option("N", "Steps per run.", min=1)]
Runs = Annotated[int | None, option("R", "Runs per variant.", min=1)]
Seed = Annotated[int, option("S", "Seed of the first run.")]
Python = Annotated[str | None, option("PATH", "Measure with another interpreter.")]
BudgetFile = Annotated[Path | None, option("FILE", "Your own budgets, a TOML file.", "--budgets")]
Work = Annotated[
    str,
    argument(
        "WORKLOAD",
        "A file with step(i), a test such as tests/test_api.py::test_upload, or "
        "package.module:function.",
    ),
]
StoreUrl = Annotated[
    str, option("URL", "A folder, s3://BUCKET/…, gs://… or abfs://….", callback=store_url)
]
Open = Annotated[bool, flag("--open", "Show the written file in a browser.")]


def run_capture(scenario: str, options: CaptureOptions) -> list[Path]:
    """Capture with a progress bar on standard error."""
    from resleak.harness import runner

    with measuring(scenario) as progress:
        return runner.capture(scenario, options, progress=progress)


def captures_of(what: str, out: Path, variants: Iterable[str] = ()) -> Captures:
    """Load captures from a folder, a log or a scenario; capture that if it has these variants."""
    path = Path(what)
    is_log = path.is_file() and path.suffix != ".py"
    if is_log or (path.is_dir() and storage.folders(path)):
        return load(what)
    workload = resolve.find(what)
    if not is_stored(workload.name, out):
        if variants:
            from resleak.harness import spawn

            declared = spawn.describe(workload)["scenario"]["variants"]
            if unknown := [name for name in variants if name not in declared]:
                names = ", ".join(declared)
                raise ScenarioError(f"{what} has no variant {unknown[0]!r}; it has: {names}")
        capture_first(what, out)
    return load(out / workload.name)


def capture_first(what: str, out: Path) -> None:
    """Capture, and say so."""
    from resleak.experiments.investigate import BUDGET_S, UntilDecided

    console.say(f"nothing is stored for {what} in {shown(out)}: capturing it first")
    options = CaptureOptions(out=out)
    if "/" not in resolve.find(what).name:  # a scenario of ours knows how long to look
        options = replace(options, decide=UntilDecided(), budget_s=BUDGET_S)
    run_capture(what, options)


def is_stored(name: str, out: Path) -> bool:
    """Return True if a scenario has a complete capture."""
    manifests = map(storage.read_manifest, storage.folders(inside(out, name)))
    return any(manifest.is_complete for manifest in manifests)


def load(folder: Path | str) -> Captures:
    """Load all captures at or below a folder."""
    from resleak.captures import load

    return load.load(folder)


def key_values(options: Iterable[str] | None) -> dict[str, str]:
    """Read ``KEY=VALUE`` options."""
    values = {}
    for text in options or ():
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise ScenarioError(f"{key!r} sets nothing; write KEY=VALUE")
        values[key] = value
    return values


def project(*parts: str) -> Path:
    """Return the path of a file or folder of the repository, or of what a wheel has of it."""
    if (path := ROOT.joinpath(*parts)).exists():
        return path
    raise ShareError(f"there is no {'/'.join(parts)} here; run this in a clone of the repository")


def check_reports(file: Path) -> None:
    """Raise an error if something is missing that writes this report, before it is measured."""
    from resleak.report import writers

    for name in ("nbconvert", "plotly", "nh3"):
        if find_spec(name) is None:
            raise ModuleNotFoundError(name=name)
    check_file(file)
    writers.writer(file)


def check_file(file: Path, source: Path | None = None) -> None:
    """Raise ShareError if the file to write is a folder, or the file that is read."""
    if source and file.exists() and source.exists() and file.samefile(source):
        raise ShareError(f"{file} would be overwritten by its own report; name another file")
    if file.is_dir():
        raise ShareError(f"{file} is a folder; name a file, such as {file / 'report.html'}")


def shown(path: Path) -> str:
    """Return a path relative to the working folder, if it lies below."""
    absolute = path.resolve()
    return str(absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else path)


class Settings(NamedTuple):
    """The settings of a project; empty without a file or without the table."""

    file: Path | None = None
    #: Defaults of options, by name.
    defaults: Mapping[str, Any] = {}
    #: Budgets, as in a file for ``--budgets``.
    budgets: Mapping[str, Any] = {}


def settings(folder: Path | None = None) -> Settings:
    """Return the settings of the nearest pyproject.toml at or above a folder, or BudgetError."""
    here = (folder or Path()).absolute()
    files = (one / "pyproject.toml" for one in (here, *here.parents))
    file = next(filter(Path.is_file, files), None)
    if file is None:
        return Settings()
    try:
        with file.open("rb") as stream:
            content = stream.read(_MAX_BYTES)
        table = tomllib.loads(content.decode()).get("tool", {}).get("resleak", {})
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise BudgetError(f"{file} cannot be read: {error}") from None
    where = f"{file}: [tool.resleak]"
    if not isinstance(table, dict) or not isinstance(table.get("defaults", {}), dict):
        raise BudgetError(f"{where} must be a table, and its defaults too")
    defaults = table.get("defaults", {})
    for what, given, known in (("", table, _KEYS), ("defaults ", defaults, OPTIONS)):
        if unknown := sorted(set(given) - set(known)):
            names = ", ".join(unknown)[:200]
            raise BudgetError(f"{where} {what}has {names}; it may have {', '.join(known)}")
    for name, value in defaults.items():
        texts = value if isinstance(value, list) else [value]
        if not all(isinstance(one, (str, int, float)) for one in texts):
            raise BudgetError(f"{where} defaults: {name} must be a text or a number")
    budgets = {key: table[key] for key in ("budget", "steps_per_hour") if key in table}
    return Settings(file, defaults, budgets)


def budgets_of(file: Path | None) -> Budgets:
    """Read the budgets of a file, or else of the project's pyproject.toml."""
    from resleak.analysis import budgets

    return budgets.read(file or settings().budgets)


def written(path: Path, is_opened: bool) -> None:
    """Say where a file was written, and show it in a browser if that was asked for."""
    console.say(f"written: {shown(path)}")
    if is_opened:
        show_file(path)


def show_file(path: Path) -> None:
    """Show a file in a browser."""
    if not webbrowser.open(path.resolve().as_uri()):
        console.say(f"no browser can be started here; open {shown(path)} in one")


def scenario_names(incomplete: str) -> list[str]:
    """Return the scenarios whose names begin so, for completion by the shell."""
    from resleak.workload import catalog

    return [name for name in catalog.paths() if name.startswith(incomplete)]


@contextmanager
def measuring(what: str, budget_s: float = 0.0) -> Iterator[Progress]:
    """Show progress; say after some seconds if the workload is still being imported."""
    text = f"still importing {what}; a step begins when it is done"
    timer = threading.Timer(_PATIENCE_S, console.say, [text])
    timer.daemon = True
    timer.start()

    def show(label: str, done: int, total: int) -> None:
        timer.cancel()
        bar(label, done, total)

    with console.progress(budget_s=budget_s) as bar:
        try:
            yield show
        finally:
            timer.cancel()
