"""The command line: each command calls one public function and prints what it returns.

What a person or a program asked for goes to standard output; progress and messages go to
standard error. Heavy imports stand inside the commands, so that ``--help`` is quick.
"""

from __future__ import annotations

import ast
import importlib
import json
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, cast

import typer

from resleak import console
from resleak.errors import ResleakError, ScenarioError, ShareError, StoreError

if TYPE_CHECKING:
    from resleak.frames import Captures
    from resleak.stacks.growth import Tables

OK, NOT_AS_DECLARED, CANNOT, INTERRUPTED = 0, 1, 2, 130

# typer has no public name for what the parser raises, only for this one child of it.
_UsageError = cast(type[Exception], typer.BadParameter.__base__)

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Reproduce a leak, judge it with numbers, find the line, share one file.",
    epilog="Exit codes: 0 done, and all is as declared; 1 judged, and something is not as declared "
    "(in a file that declares nothing: something leaks or hangs); 2 what was asked for cannot be "
    "done, and one line says why; 130 interrupted, and nothing is left running.",
)

Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the captures.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_scenarios(as_json: AsJson = False) -> None:
    """List the scenarios that come with the package."""
    from resleak import catalog

    rows = [
        {"name": s.name, "title": s.title, "system": s.system, "variants": list(s.variants)}
        for s in catalog.scan()
    ]
    _print_json(rows) if as_json else console.show_scenarios(rows)


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
) -> None:
    """Run a scenario's variants in fresh processes and store what they leave behind."""
    folders = _capture(
        scenario,
        out,
        variants=variant,
        runs=runs,
        steps=steps,
        seed=seed,
        profile=profile,
        params=_pairs(settings),
        python=str(python) if python else None,
    )
    for folder in sorted({folder.parent for folder in folders}):
        console.out(_shown(folder))


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
) -> None:
    """Judge stored captures; of a scenario without any, capture first."""
    from resleak import budgets

    limits = budgets.read(budget_file)
    captures = _captures(what, out)
    from resleak import claims

    judgement = claims.judge(captures)
    held = budgets.check(judgement, captures, limits)
    if as_json:
        rows = claims.plain(held.to_dict(orient="records"))
        _print_json({**judgement.to_dict(), "budgets": rows})
    else:
        console.show_judgement(judgement)
        console.show_budgets(held)
    missing = set(judgement.scenario["variants"]) - set(judgement.variants)
    if missing:
        console.say(f"judged without {', '.join(sorted(missing))}: not captured")
    raise typer.Exit(OK if judgement.ok else NOT_AS_DECLARED)


@app.command()
def claims(
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="Captures; the repository's by default.")
    ] = None,
    as_json: AsJson = False,
    markdown: Annotated[bool, typer.Option(help="Print Markdown.")] = False,
) -> None:
    """Judge every claim from stored captures, and print one row for each."""
    captures = _load(folder or _kept_captures())
    from resleak import findings

    with console.progress("scenarios") as progress:
        table = findings.findings(captures, progress)
    if as_json:
        _print_json(findings.plain(table))
    elif markdown:
        from resleak.figures import claims_markdown

        folder = _project(Path("notebooks")) / "notebooks"
        links = {system: f"notebooks/{name}" for system, name in findings.cases(folder).items()}
        console.out(claims_markdown(table, links))
    else:
        console.show_claims(table)
    raise typer.Exit(OK if table["ok"].all() else NOT_AS_DECLARED)


@app.command()
def compare(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="CAPTURE CAPTURE | NAME VARIANT VARIANT",
            help="Two folders of captures, or a scenario and two of its variants.",
        ),
    ],
    out: Out = Path("captures"),
    as_json: AsJson = False,
) -> None:
    """Compare two variants, or the same one before and after a change."""
    sides = _two_sides(what, out)
    from resleak import comparison

    compared = comparison.compare(*sides)
    _print_json(compared.to_dict()) if as_json else console.show_comparison(compared)


@app.command()
def share(
    what: Annotated[
        str, typer.Argument(metavar="NOTEBOOK|NAME", help="A notebook, or a scenario.")
    ],
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", metavar="KEY=VALUE", help="Set a notebook's parameter; repeatable."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("-o", metavar="FILE", help="The HTML file to write.")
    ] = None,
) -> None:
    """Execute a notebook and write it as one HTML file that opens offline."""
    from resleak import share as sharing

    parameters = {key: _literal(value) for key, value in _pairs(parameter).items()}
    notebook, name = Path(what), Path(what).stem
    if notebook.suffix != ".ipynb":
        notebook, scenario = _notebook("10_investigate.ipynb"), _name(_locate(what))
        name = scenario.replace("/", "-")
        if "CAPTURES" not in parameters:
            parameters["CAPTURES"] = _where_captured(what, notebook.parent.parent)
        parameters = {"SCENARIO": scenario, **parameters}
    with console.working(f"executing {notebook.name}"):
        written = sharing.share(notebook, file or Path(f"{name}.html"), parameters)
    console.out(_shown(written))


@app.command("open")
def open_file(
    what: Annotated[Path, typer.Argument(metavar="FILE", help="A file that memray wrote.")],
    file: Annotated[
        Path | None, typer.Option("-o", metavar="OUT", help="Write an HTML report, too.")
    ] = None,
    as_json: AsJson = False,
    top: Annotated[int, typer.Option(metavar="N", min=1, help="How many lines to show.")] = 10,
    fresh: Annotated[bool, typer.Option(help="Read it again, whatever is kept.")] = False,
) -> None:
    """Open a memray capture of any program: what grew, where, and how far to trust it."""
    from resleak import recording

    if file is not None:  # what writes the report is loaded while another process reads
        threading.Thread(target=importlib.import_module, args=("resleak.opened",)).start()
    with console.working(f"reading {what.name}"):
        opened = recording.open_memray(what, fresh=fresh)
    _print_json(opened.to_dict(top)) if as_json else console.show_recording(opened, top)
    if file is not None:
        from resleak import opened as pages

        console.say(f"written: {_shown(pages.write(opened, file, top=top))}")


@app.command()
def export(
    what: Annotated[
        str, typer.Argument(metavar="DIR|FILE", help="Captures of one variant, or a capture file.")
    ],
    kind: Annotated[
        str, typer.Option("--format", metavar="speedscope|collapsed|pprof", help="The format.")
    ] = "speedscope",
    file: Annotated[Path | None, typer.Option("-o", metavar="FILE", help="Where to write.")] = None,
) -> None:
    """Write the stacks that grew for another viewer: speedscope, flamegraph.pl, pprof."""
    from resleak.stacks import exports, profile

    captures, name = _to_export(what)
    found = profile(captures)
    if not found.captures:
        raise StoreError(f"{what} has no stacks of two steady marks: capture it with memray")
    console.out(_shown(exports.write(found, kind, file, name)))


@app.command()
def lab() -> None:
    """Open JupyterLab on the first notebook."""
    notebook = _notebook("00_start_here.ipynb").resolve()
    command = [sys.executable, "-m", "jupyterlab", "--ServerApp.ip=127.0.0.1"]
    command += [f"--ServerApp.root_dir={notebook.parent.parent}"]
    command += [f"--LabApp.default_url=/lab/tree/notebooks/{notebook.name}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # a container: there is no other user
        command += ["--allow-root"]
    sys.stdout.flush()
    os.execv(command[0], command)


def _end_as_after_ctrl_c(*names: str) -> None:
    """Let these signals end a run in good order, unless the shell has it ignore them (nohup)."""
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def main() -> NoReturn:
    """Run the command line and exit with the code that the help documents."""
    _end_as_after_ctrl_c("SIGTERM", "SIGHUP")
    warnings.showwarning = lambda message, *_args, **_more: console.say(str(message))
    try:
        sys.exit(app(sys.argv[1:] or ["--help"], prog_name="resleak", standalone_mode=False) or OK)
    except ResleakError as error:
        console.say(str(error))
    except _UsageError as error:
        told = cast(Any, error).format_message().rstrip(".")
        console.say(f"{told}; `resleak COMMAND --help` says more")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    sys.exit(CANNOT)


def _capture(scenario: str, out: Path, **options: Any) -> list[Path]:
    from resleak import runner

    with console.progress() as progress:
        return runner.capture(scenario, out=out, progress=progress, **options)


def _captures(what: str, out: Path) -> Captures:
    """Load the captures of a folder, or of a scenario, which is captured if it never was."""
    from resleak import store

    if Path(what).is_dir() and store.folders(Path(what)):
        return _load(what)
    name = _name(_locate(what))
    if not _is_stored(name, out):
        _capture_first(what, out)
    return _load(out / name)


def _where_captured(what: str, project: Path) -> str:
    """Return the folder that holds captures of a scenario: here, the repository's, or new ones."""
    here, kept = Path("captures"), project / "data" / "captures"
    name = _name(_locate(what))
    found = next((folder for folder in (here, kept) if _is_stored(name, folder)), None)
    if found is None:
        _capture_first(what, here)
    return str((found or here).resolve())


def _capture_first(what: str, out: Path) -> None:
    console.say(f"nothing is stored for {what} in {_shown(out)}: capturing it first")
    _capture(what, out)


def _locate(what: str) -> Path:
    from resleak import catalog

    return catalog.locate(what)


def _name(file: Path) -> str:
    """Return a scenario's name by its file's place: importing it is left to a measured process."""
    in_a_system = file.parent.parent.name == "scenarios"
    return f"{file.parent.name}/{file.stem}" if in_a_system else file.stem


def _is_stored(name: str, out: Path) -> bool:
    from resleak import store

    manifests = map(store.read_manifest, store.folders(out / name))
    return any(manifest["status"] == "complete" for manifest in manifests)


def _load(folder: Path | str) -> Captures:
    from resleak import frames  # pandas: a name that does not exist is told without it

    return frames.load(folder)


def _to_export(what: str) -> tuple[Sequence[Tables], str]:
    """Return the captures of one variant, or one of any program, and a name for them."""
    if Path(what).is_file():
        from resleak import recording

        return [recording.open_memray(what)], Path(what).stem
    found = _load(what)
    names = list(dict.fromkeys(f"{c.scenario} {c.variant}" for c in found))
    if len(names) > 1:
        raise StoreError(f"{what} has {', '.join(names)}: name the folder of one of them")
    return found, names[0].replace("/", "-").replace(" ", "-")


def _two_sides(what: list[str], out: Path) -> tuple[Captures, Captures]:
    if len(what) == 2:
        return _load(what[0]), _load(what[1])
    if len(what) != 3:
        raise StoreError("compare takes two folders of captures, or a scenario and two variants")
    found = _captures(what[0], out)
    for name in what[1:]:
        if name not in found.variants:
            known = ", ".join(found.variants)
            raise ScenarioError(f"{what[0]} has no captures of {name!r}; it has: {known}")
    before, after = (found.select(variant=name) for name in what[1:])
    return before, after


def _pairs(given: Iterable[str] | None) -> dict[str, str]:
    pairs = [text.partition("=") for text in given or ()]
    for key, equals, _ in pairs:
        if not key or not equals:
            raise ScenarioError(f"{key!r} sets nothing; write KEY=VALUE")
    return {key: value for key, _, value in pairs}


def _literal(text: str) -> Any:
    """Read a notebook's parameter as a Python literal, and as text if it is none."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _notebook(name: str) -> Path:
    return _project(Path("notebooks", name)) / "notebooks" / name


def _kept_captures() -> Path:
    return _project(Path("data", "captures")) / "data" / "captures"


def _project(part: Path) -> Path:
    """Return the clone of the repository that has a certain part: this folder, or the package's."""
    for root in (Path(), Path(__file__).parent.parent):
        if (root / part).exists():
            return root
    raise ShareError(f"there is no {part} here; run this in a clone of the repository")


def _shown(path: Path) -> str:
    """Write a path as short as it can be understood from here."""
    absolute = path.resolve()
    return str(absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else path)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))
