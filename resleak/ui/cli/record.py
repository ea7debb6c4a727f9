"""Record a command with its children, under load."""

from __future__ import annotations

import math
import shlex
import signal
import time
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from resleak.captures import storage
from resleak.captures.names import inside
from resleak.ui.cli import common, console
from resleak.ui.cli.common import argument, command, option, seconds
from resleak.ui.cli.watch import Every, For, Name, Requests, StopOn, counter_of, follow, show_lines

if TYPE_CHECKING:
    from resleak.experiments.watch import Watch
    from resleak.harness.request_counts import UrlLoad, WorkCounter
    from resleak.harness.sampler import Observer
    from resleak.harness.spawn import Guarded

#: How long a load waits for the command to listen.
_LISTENING_S, _POLL_S = 10.0, 0.1
#: Untraced processes that are named, at most.
_MOST_NAMED = 4
#: Where a command names what it runs.
_FIRST_WORDS = 4


@dataclass
class _Course:
    """The phases of a recording, warm-up, steady, settling once the load has stopped; the load."""

    observer: Observer
    warmup_s: float | None
    settle_s: float
    beside: Guarded | None
    url_load: UrlLoad | None
    counter: WorkCounter | None
    ends_s: float = math.inf

    def over(self) -> bool:
        """Go on to the next phase when its time has come; return whether the last one is over."""
        now = self.observer.elapsed_s
        if self.warmup_s is not None and now >= self.warmup_s:
            self.observer.begin("steady")
        is_over = self.beside is not None and self.beside.poll() is not None
        if is_over and self.observer.phase != "settle":
            self.observer.begin("settle")
            self.ends_s = now + self.settle_s
        return now >= self.ends_s

    @property
    def code(self) -> int:
        """Exit code of the load; a command that still runs is not judged."""
        return (self.beside.poll() or 0) if self.beside else 0

    @property
    def is_useless(self) -> bool:
        """True if the load got no answer but errors, or ended with an error."""
        return bool(self.code or (self.url_load and self.url_load.is_useless))

    def lines(self) -> list[str]:
        """Return a sentence about the load, if there is one."""
        ended = [f"load: ended with code {self.code}"] if self.code else []
        return [*(str(one) for one in (self.url_load, self.counter) if one), *ended]


Load = Annotated[
    str | None, option("CMD", "Run this load generator alongside; stop everything when it exits.")
]
LoadUrl = Annotated[str | None, option("URL", "Request this repeatedly; rates are per request.")]
Settle = Annotated[
    float | None, option("S", "Cool-down: continue sampling after the load.", parser=seconds)
]


@command("record")
def record(
    command: Annotated[list[str], argument("-- COMMAND ...", "What to start and to watch.")],
    load: Load = None,
    load_url: LoadUrl = None,
    warmup: Annotated[str, option("S|signal", "Ignore the first S, or all until SIGUSR1.")] = "",
    settle: Settle = None,
    memray: Annotated[bool, typer.Option(help="Also find the allocating lines.")] = False,
    name: Name = "",
    every: Every = 1.0,
    duration: For = None,
    out: common.Out = Path("captures"),
    budget_file: common.BudgetFile = None,
    stop_on: StopOn = None,
    requests: Requests = "",
    as_json: common.AsJson = False,
) -> None:
    """Start a command, watch it and its child processes, and stop it cleanly.

    Ends with the command, with its load, after --for, at a breach, or with Ctrl-C. SIGUSR1 to
    resleak ends the warm-up. Exit code 1: by all readings something leaks or is deferred, a budget
    is exceeded, or the command or its load failed.
    """
    # Slow imports come before the command starts: it does not wait.
    from resleak.captures.decode.memray_file import refuse_foreign
    from resleak.experiments.watch import Watch
    from resleak.harness import memray_attach, process_gauges, request_counts, spawn
    from resleak.harness.sampler import Observer

    place = inside(out, name or _name(command), what="--name")
    file = place / "memray.bin"
    limits = common.budgets_of(budget_file)
    load_command = _split(load)
    url_load = request_counts.UrlLoad(load_url) if load_url is not None else None
    counter = counter_of(requests, every)
    first = None if warmup in ("", "signal") else seconds(warmup, "--warmup")
    if memray:
        refuse_foreign(file)
        command = memray_attach.under_memray(command, file)
        console.say("under memray the gauges read more than without: it has a few MiB and a thread")
    with ExitStack() as stack:
        stack.enter_context(storage.claimed(place))
        process = stack.enter_context(spawn.running(command))
        how: dict[str, Any] = {"phase": "warmup" if warmup else "steady"}
        if url_load is not None:
            count = stack.enter_context(url_load).count
            how |= {"requests": count} | ({} if counter else {"steps": count, "per": "request"})
        if counter is not None:
            how["requests"] = stack.enter_context(counter).count
        beside = _start_load(stack, load_command, process) if load_command else None
        view, title = process_gauges.Outside.of(process.pid), f"{place.name}, process {process.pid}"
        observer = Observer(view, place.name, title, every, **how)
        course = _Course(observer, first, settle or 0.0, beside, url_load, counter)
        watching = Watch(observer, duration, tuple(stop_on or ()), limits, enough=course.over)
        before = signal.signal(signal.SIGUSR1, lambda *_: observer.begin("steady"))
        stack.callback(signal.signal, signal.SIGUSR1, before)
        code = follow(watching, out, as_json=as_json, command=process, more=course.lines)
    if memray:
        show_lines(lambda: file, as_json, _untraced(watching, file))
    is_wrong = observer.exit.code or course.is_useless
    raise typer.Exit(code or (common.NOT_AS_DECLARED if is_wrong else code))


def _untraced(watching: Watch, file: Path) -> list[str]:
    """Return a sentence on the child processes that memray did not trace, if there are any."""
    from resleak.harness.sampler import ALL, ONE

    leaks = watching.last.leaks if watching.last else set()
    leaking = {variant for variant, gauge in leaks if gauge in ("rss", "uss")} - {ALL, ONE}
    untraced, names = 0, []
    for variant, runs in watching.observer.curves().items():
        pids = [one.view.pid for one in runs if one.view] if variant not in (ALL, ONE) else []
        # The name that memray gives to the file of a forked child.
        missing = [pid for pid in pids if not file.with_name(f"{file.name}.{pid}").exists()]
        untraced += len(missing)
        if missing and variant in leaking:
            names.append(f"{variant} ({runs[0].what})")
    if not untraced:
        return []
    leaks_memory = f"; memory leaks in {', '.join(names[:_MOST_NAMED])}" if names else ""
    are = "1 child process was" if untraced == 1 else f"{untraced} child processes were"
    return [
        f"{are} not traced{leaks_memory}: memray follows forks, not programs that the command "
        "starts, as multiprocessing's spawn does; the lines are of the other processes"
    ]


def _name(command: list[str]) -> str:
    """Return the name of a command's program, module or first file: other words may be secrets."""
    modules = [after for word, after in pairwise(command[:_FIRST_WORDS]) if word == "-m"]
    files = [Path(word).stem for word in command[:_FIRST_WORDS] if word.endswith(".py")]
    return [*modules, *files, Path(command[0]).name][0]


def _split(load: str | None) -> list[str]:
    try:
        words = shlex.split(load or "")
    except ValueError as error:
        raise typer.BadParameter(f"--load {load!r} is not a command: {error}") from None
    if load is not None and not words:
        raise typer.BadParameter("--load is empty; write a command")
    return words


def _start_load(stack: ExitStack, load: list[str], process: Guarded) -> Guarded:
    """Start the load once the command listens, or soon after if it never does."""
    from resleak.harness import process_gauges, spawn

    until = time.monotonic() + _LISTENING_S
    view = process_gauges.Outside(process.pid)
    while time.monotonic() < until and process.poll() is None:
        if view.sockets().get("sockets_listen"):
            break
        time.sleep(_POLL_S)
    return stack.enter_context(spawn.running(load))
