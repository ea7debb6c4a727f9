"""Measure resource tracing: share of right stacks, cost of an open, memory of the observer.

    python benchmarks/provenance.py [--json FILE]

A corpus is generated: each kind of resource is created in each way of calling, in its own function
with a known line. A stack is right if its innermost line in the corpus is that one, unknown if it
is empty, wrong otherwise. What no wrapper can see, such as a library's own open, is scored
separately: there unknown is right, and wrong is the failure. Costs are paired: the original and the
wrapped call alternate in one process.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from _provenance_corpus import Case, cases, write

_CALLERS = ("asyncio.run(", "thread.start()", "pool.submit(work)")


def run_corpus(folder: Path) -> None:
    """Run all cases in this process, each as a step of a census, and leave."""
    import os

    from resleak.harness.child.handles.census import start

    last = max(map(int, os.listdir("/proc/self/fd")))
    census = start(folder, __file__)
    os.chdir(folder)
    head: dict[str, Any] = {"LAST": last}
    exec(compile((folder / "head.py").read_text(), str(folder / "head.py"), "exec"), head)
    kept = []
    number = 0
    census.look(3, 0, whole=True)
    head["LOOK"] = lambda: census.look(3, number, whole=True)
    wanted = range(len(list(folder.glob("case_*.py"))))
    for number in wanted:
        path = folder / f"case_{number}.py"
        space = dict(head, __file__=str(path), __name__=path.stem)
        exec(compile(path.read_text(), str(path), "exec"), space)
        kept.append(space["case"]())
        census.look(3, number + 1, number, whole=True)
        for thing in [*kept]:  # so that there are always descriptors
            release(thing)
        kept.clear()
        census.look(3, number + 1, whole=True)
    for one in sorted(census._processes):
        os.kill(one, 9)
    os._exit(0)


def release(thing: Any) -> None:
    """Release what a case returned."""
    import os
    from contextlib import suppress

    for one in thing if isinstance(thing, (tuple, list)) else (thing,):
        if isinstance(one, int) and not isinstance(one, bool) and 2 < one < 4096:
            with suppress(OSError):
                os.close(one)
        elif isinstance(one, (tuple, list)):
            release(one)
        for name in ("kill", "wait", "close", "cleanup", "unlink"):
            with suppress(Exception):
                getattr(one, name)()


def accuracy() -> dict[str, dict[str, int]]:
    """Return right, unknown and wrong by group."""
    from resleak.captures.decode.handles import Census, _lines
    from resleak.captures.raw import HANDLES

    corpus = list(cases())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        truth = write(folder, corpus)
        command = [sys.executable, __file__, "--corpus", name]
        subprocess.run(command, check=True, timeout=600, stderr=subprocess.DEVNULL)
        read = Census(_lines(folder / HANDLES))
    scores: dict[str, Counter[str]] = {}
    found = set()
    for _, kind, target, node, step, *_rest in read.opened:
        number = step - 1
        if not 0 <= number < len(corpus):
            continue
        case = corpus[number]
        found.add(number)
        line = line_in(read.nodes, node, f"case_{number}.py")
        score = "unknown" if line is None else "right" if line == truth[number] else "wrong"
        if is_incidental(case, kind, line):
            continue
        scores.setdefault(case.group, Counter())[score] += 1
        if score != ("right" if case.seen else "unknown"):
            print(f"  {score}: {kind} {target!r}, {case.group}, {case.way}", file=sys.stderr)
    for number, case in enumerate(corpus):
        if number not in found:
            scores.setdefault(case.group, Counter())["missed"] += 1
            print(f"  missed: {case.group}, {case.way}: {case.source}", file=sys.stderr)
    return {group: dict(score) for group, score in scores.items()}


def is_incidental(case: Case, kind: str, line: int | None) -> bool:
    """Return True for a resource that is not the case's own: the loop's, the caller's thread."""
    lines = case.source.split("\n")
    told = lines[line - 1] if line is not None and line <= len(lines) else ""
    if not told.endswith("# here") and any(own in told for own in _CALLERS):
        return True
    wanted = {"thread": ("thread",), "executor": ("executor",), "task": ("task",)}
    if case.group in wanted:
        return kind not in wanted[case.group]
    return kind in ("task", "executor") or (kind == "thread" and case.group != "duckdb")


def line_in(nodes: list[tuple[int, str, str, int]], node: int, file: str) -> int | None:
    """Return the innermost line of a file on a stack."""
    while node >= 0:
        node, _, path, line = nodes[node]
        if path.endswith(f"/{file}"):
            return line
    return None


COSTS = {
    "os.open": "os.close(OS_OPEN(FILE, 0))",
    "open": "OPEN(FILE).close()",
    "socket": "SOCKET().close()",
    "sqlite3": "SQLITE(FILE + '.db').close()",
}


def run_costs(folder: Path) -> None:
    """Print the cost of an open, in microseconds and as a ratio, by kind and stack depth."""
    import builtins
    import os
    import socket
    import sqlite3

    from resleak.harness.child.handles.census import start

    file = str(folder / "file")
    Path(file).touch()
    init = socket.socket.__init__

    def plain_socket() -> socket.socket:
        socket.socket.__init__ = init  # type: ignore[method-assign]
        try:
            return socket.socket()
        finally:
            socket.socket.__init__ = wrapped  # type: ignore[method-assign]

    def wrapped_socket() -> socket.socket:
        socket.socket.__init__ = init  # type: ignore[method-assign]
        socket.socket.__init__ = wrapped  # type: ignore[method-assign]
        return socket.socket()

    before = {"OS_OPEN": os.open, "OPEN": builtins.open, "SQLITE": sqlite3.connect}
    census = start(folder, "")
    wrapped = socket.socket.__init__
    after = {"OS_OPEN": os.open, "OPEN": builtins.open, "SQLITE": sqlite3.connect}
    before["SOCKET"], after["SOCKET"] = plain_socket, wrapped_socket
    answers = {}
    for kind, text in COSTS.items():
        for depth in (5, 20, 40):
            runs = [
                eval(f"lambda: {text}", {"os": os, "FILE": file, **names})
                for names in (before, after)
            ]
            answers[f"{kind}, {depth} frames"] = paired(runs, depth, census)
    for count in (20, 400):
        held = [os.open(file, os.O_RDONLY) for _ in range(count)]
        census.look(3, 0)
        taken = [down(0, lambda: census.look(3, 0), 20) for _ in range(20)]
        answers[f"a look at {count} more descriptors"] = {"us": round(min(taken), 1)}
        for number in held:
            os.close(number)
    print(json.dumps(answers))
    os._exit(0)


def paired(runs: list[Any], depth: int, census: Any, rounds: int = 60) -> dict[str, float]:
    """Return the cost of the second over the first: medians of alternating rounds."""
    times: list[list[float]] = [[], []]
    for _ in range(rounds):
        for taken, run in zip(times, runs, strict=True):
            taken.append(down(depth, run))
        census.look(3, 0)
    extra = [b - a for a, b in zip(*times, strict=True)]
    return {
        "us": round(statistics.median(extra), 2),
        "least_us": round(min(times[1]) - min(times[0]), 2),
        "ratio": round(statistics.median(times[1]) / statistics.median(times[0]), 2),
    }


def down(depth: int, run: Any, count: int = 200) -> float:
    """Return microseconds per call at a stack depth."""
    if depth:
        return down(depth - 1, run, count)
    began = time.thread_time()  # CPU time: other programs may use the machine too
    for _ in range(count):
        run()
    return (time.thread_time() - began) / count * 1e6


def run_growth(folder: Path, observed: bool, steps: int = 2000) -> None:
    """Print the growth per step of a program that closes everything it opens."""
    import asyncio
    import gc
    import os
    import socket
    import sqlite3
    import threading
    import weakref

    import psutil

    from resleak.harness.child.handles.census import start

    file = str(folder / "file")
    Path(file).touch()
    look: Any = start(folder, "").look if observed else lambda *_: None
    alive: list[weakref.ref[Any]] = []

    def step(number: int) -> None:
        with open(file) as opened, socket.socket() as connected:
            database = sqlite3.connect(file + ".db")
            thread = threading.Thread(target=int)
            thread.start()
            thread.join()
            database.close()
            if number == steps - 1:
                alive.extend(map(weakref.ref, (opened, connected, thread)))
        os.close(os.open(file, os.O_RDONLY))

    async def tasks() -> None:
        await asyncio.gather(*(asyncio.sleep(0) for _ in range(3)))

    loop = asyncio.new_event_loop()
    readings = []
    for number in range(steps):
        step(number)
        loop.run_until_complete(tasks())
        look(3, number, number if number % 10 == 9 else None)
        if number in (steps // 4, steps // 2, steps - 1):
            gc.collect()
            readings.append((sys.getallocatedblocks(), sum(psutil.heap_info()[:2])))
    _, (blocks, heap), (blocks_end, heap_end) = readings  # the first loads things of its own
    taken = steps - 1 - steps // 2
    answer = {"blocks_per_step": (blocks_end - blocks) / taken,
              "bytes_per_step": (heap_end - heap) / taken,
              "kept_alive": sum(ref() is not None for ref in alive)}  # fmt: skip
    print(json.dumps(answer))
    os._exit(0)


def run_hook() -> None:
    """Print the cost of reading a stack of 20 frames, without and with an audit hook."""
    from resleak.harness.child.handles.attribution import Calls

    calls = Calls([])
    answer = {"without_us": min(down(20, calls.here) for _ in range(200))}
    sys.addaudithook(lambda _event, _args: None)
    answer["with_us"] = min(down(20, calls.here) for _ in range(200))
    print(json.dumps({name: round(value, 2) for name, value in answer.items()}))


def asked(what: str) -> Any:
    """Return the output of a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, what, folder]
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    for part in ("corpus", "costs", "growth", "alone", "hook"):
        parser.add_argument(f"--{part}", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.corpus:
        run_corpus(options.corpus)
    if options.costs:
        run_costs(options.costs)
    if options.growth:
        run_growth(options.growth, observed=True)
    if options.alone:
        run_growth(options.alone, observed=False)
    if options.hook:
        return run_hook()
    growth = {"observed": asked("--growth"), "alone": asked("--alone")}
    answer = {"accuracy": accuracy(), "costs": asked("--costs"), "growth": growth}
    answer["hook"] = asked("--hook")
    show(answer)
    if options.json:
        options.json.write_text(json.dumps(answer, indent=1) + "\n")


def show(answer: dict[str, Any]) -> None:
    for group, score in answer["accuracy"].items():
        print(f"{group:20}", ", ".join(f"{word} {count}" for word, count in score.items()))
    seen = [score for group, score in answer["accuracy"].items() if group != "unseen"]
    right, of = (sum(s.get("right", 0) for s in seen), sum(sum(s.values()) for s in seen))
    print(f"{'all but unseen':20} {100 * right / of:.2f} % of {of}")
    for name, cost in answer["costs"].items():
        print(f"{name:20}", ", ".join(f"{key} {value}" for key, value in cost.items()))
    print("growth", answer["growth"])
    print("stack of 20 frames", answer["hook"])


if __name__ == "__main__":
    main()
