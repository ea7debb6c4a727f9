"""Watch a process that runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resleak import formatting
from resleak.captures import storage
from resleak.captures.names import inside
from resleak.errors import ProcessError, ResleakError
from resleak.ui.cli import common, console
from resleak.ui.cli.common import argument, command, flag, option, seconds
from resleak.workload import verdict_words

if TYPE_CHECKING:
    from resleak.experiments.watch import Watch
    from resleak.harness.request_counts import WorkCounter
    from resleak.harness.spawn import Guarded

#: Exit code of a watch that --stop-on ended.
BREACH = 3
#: Processor time of processes that were not read from which on they are named: systems count
#: hundredths of a second.
_UNREAD_S = 0.1
#: Share of a core for storing the readings so far.
_STORING_SHARE = 0.001
#: Events that can end a watch.
Breach = StrEnum("Breach", {"LEAK": verdict_words.LEAK, "BUDGET": verdict_words.BUDGET})

Every = Annotated[float, option("S", "Seconds between two readings.", min=0.05, max=86_400)]
For = Annotated[
    float | None, option("DURATION", "End after 90s, 15m, 2h ...", "--for", parser=seconds)
]
Requests = Annotated[
    str,
    option(
        "URL#NAME",
        "Judge growth by requests, too: a counter on the service's Prometheus page, such as "
        "http://127.0.0.1:8000/metrics#http_requests_total.",
    ),
]
Name = Annotated[str, option("NAME", "What the captures are called.")]
StopOn = Annotated[
    list[Breach] | None,
    option(
        "leak|budget",
        "End with exit code 3 at a proven leak, or at a budget that does not hold; repeatable.",
    ),
]


@command("watch")
def watch(
    pid: Annotated[int, argument("PID", "The number of a process.")],
    every: Every = 1.0,
    duration: For = None,
    warmup: Annotated[
        float | None, option("DURATION", "Do not judge what comes before.", parser=seconds)
    ] = None,
    name: Name = "",
    out: common.Out = Path("captures"),
    budget_file: common.BudgetFile = None,
    stop_on: StopOn = None,
    requests: Requests = "",
    attach: Annotated[
        int | None,
        option(
            "S", "At the end track its allocations with memray for S seconds.", min=1, max=86_400
        ),
    ] = None,
    yes: Annotated[bool, flag("--yes", "Attach without asking.")] = False,
    as_json: common.AsJson = False,
) -> None:
    """Watch a running process from outside: verdicts, and when its limits will be reached.

    Ends with the process, after --for, at a breach (exit code 3), or with Ctrl-C. What was read is
    kept as captures in any case, also while it runs; `resleak judge DIR` judges them again. Exit
    code 1: by all readings something leaks or is deferred, or a budget is exceeded.
    """
    from resleak.captures.decode.memray_file import refuse_foreign
    from resleak.harness import memray_attach as attaching
    from resleak.harness import process_gauges

    limits = common.budgets_of(budget_file)
    process = process_gauges.Outside.of(pid)
    if attach is not None:
        attaching.check(process)
        _agreed(attaching.consequences(attach), yes)
    from resleak.experiments.watch import Watch
    from resleak.harness.sampler import Observer

    counter = counter_of(requests, every)
    name = name or f"{process.name}-{pid}"
    title = f"{process.name}, process {pid}, watched from outside"
    place = inside(out, name, what="--name")
    if attach is not None:
        refuse_foreign(place / "memray.bin")
    observer = Observer(process, name, title, every, phase="warmup" if warmup else "steady")
    watching = Watch(observer, duration, tuple(stop_on or ()), limits, warmup_s=warmup or 0.0)
    with storage.claimed(place), counter or nullcontext():
        if counter:
            observer.requests = counter.count
            if counter.fault:
                raise ProcessError(f"{counter}")
        counted = [counter] if counter else []
        code = follow(watching, out, as_json=as_json, more=lambda: [*map(str, counted)])
    if attach is not None:
        show_lines(partial(attaching.attach, process, place / "memray.bin", attach), as_json)
    raise typer.Exit(code)


def counter_of(address: str, every_s: float) -> WorkCounter | None:
    """Return the counter of requests at an address, if one is given."""
    from resleak.harness.request_counts import WorkCounter

    return WorkCounter(address, every_s) if address else None


def follow(
    watching: Watch,
    out: Path,
    *,
    as_json: bool,
    command: Guarded | None = None,
    more: Callable[[], list[str]] = list,
) -> int:
    """Show a watch until it ends, store what was read even then, and return the exit code.

    `command` is what resleak started, and will stop; `more` returns what else to report at the end.
    """
    from resleak.harness.sampler import Ration
    from resleak.ui.cli._watch_display import display

    observer, storing = watching.observer, Ration(_STORING_SHARE)
    with display(observer.title, as_json=as_json) as show:

        def on_reading() -> None:
            show.tick(observer.elapsed_s, observer.readings)
            if storing.due and observer.readings:
                # A kill leaves what is stored. A disk that fills may have room again at the end.
                passing = (ResleakError, OSError) if watching.last else ()
                with storing.spending(), suppress(*passing):
                    observer.write(out)

        try:
            watching.run(show.look, on_reading)
        finally:
            code = command.poll() if command else None
            observer.exit = replace(observer.exit, code=code)
            folder = observer.write(out) if observer.readings else out
            last = watching.look() if observer.readings else None
            running = "resleak stopped the command" if command else "the process still runs"
            ending = _ending(watching, folder, running)
            show.end(last, "\n".join([*watching.withdrawn, ending, *more()]))
    if not observer.readings:
        raise ProcessError(f"process {observer.root.pid} ended, or refused, before any reading")
    if watching.breach:
        return BREACH
    return common.OK if last is None or last.is_clean else common.NOT_AS_DECLARED


def _ending(watching: Watch, folder: Path, running: str) -> str:
    observer = watching.observer
    lasted = f"{formatting.duration(observer.elapsed_s)} and {observer.readings} readings"
    if watching.breach:
        why = f"ended by a breach ({watching.breach})"
    elif observer.exit.status == "exited":
        code = observer.exit.code
        why = f"the process has ended{'' if code is None else f' with code {code}'}"
    else:
        why = running
    stored = f"; kept in {common.shown(folder)}" if observer.readings else ""
    life_s, cpu_s = observer.unread
    unread = (
        f"\nworkers that live less than {life_s:g} s are not read on their own: they took "
        f"{cpu_s:.2g} s of processor time"
    )
    return f"{why}, after {lasted}{stored}{unread if cpu_s >= _UNREAD_S else ''}"


def _agreed(consequences: str, yes: bool) -> None:
    if yes:
        console.say(consequences)
    elif not sys.stdin.isatty():
        raise ProcessError(f"{consequences}; add --yes if you want that")
    elif not typer.confirm(f"{consequences}. Go on?", err=True):
        raise typer.Exit(common.OK)


def show_lines(profile: Callable[[], Path], as_json: bool, notes: Sequence[str] = ()) -> None:
    """Print the lines that a memory profile names, below notes on it.

    The captures are there also if it has none.
    """
    from resleak.analysis import memray_file

    try:
        with console.working("tracking allocations with memray"):
            file = profile()
        if file.is_file():  # a large one takes minutes
            size = formatting.amount(file.stat().st_size, "B")
            console.say(f"reading the memray file ({size}) …")
        recording = memray_file.open_memray(file, fresh=True)
    except ResleakError as error:
        console.say(str(error))
        return
    if as_json:
        content = recording.to_dict()
        content["warnings"] = [*notes, *content["warnings"]]
        console.out_json({"memray": content}, indent=None)
    else:
        console.out(*(f"! {sentence}" for sentence in notes))
        console.show_recording(recording, 10)
