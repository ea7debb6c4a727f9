"""Check that the shortest reference path names the true holder of what a step leaves behind.

    python benchmarks/retention.py [NAME ...]

Each case leaks one object of the class `Leaked` per step, or a substitute, through a known holder.
It is found if the first path names that holder. Then the walk is timed, on a graph of 100 000
objects, and so is objgraph's search, if it is installed.
"""

from __future__ import annotations

import gc
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from resleak.captures.frames import Capture
from resleak.harness.child.inspection.object_graph import Graph
from resleak.harness.measurement import measure
from resleak.harness.plan import CaptureOptions, jobs, plan

HEAD = '''"""{name}."""
import asyncio, atexit, collections, contextvars, enum, functools, gc, logging, queue, sys
import threading, types, weakref
from resleak.workload.scenario import Run, Scenario
scenario = Scenario(steps=24, warmup=6, stacks=False)
class Leaked:
    def method(self):
        return self
'''
TAIL = """
scenario.variant("leaky")(step)
"""

#: Name of the case to its code, and to the parts that its path must have.
CASES: dict[str, tuple[str, list[str]]] = {
    "module list": (
        "KEPT = []\ndef step(i, run): KEPT.append(Leaked())",
        ["module_list.KEPT → list"],
    ),
    "module dict": (
        "KEPT = {}\ndef step(i, run): KEPT[str(i)] = Leaked()",
        ["module_dict.KEPT → dict"],
    ),
    "deque": (
        "KEPT = collections.deque()\ndef step(i, run): KEPT.append(Leaked())",
        ["deque.KEPT → deque"],
    ),
    "set of keys": (
        "KEPT = set()\ndef step(i, run): KEPT.add(Leaked())",
        ["set_of_keys.KEPT → set"],
    ),
    "defaultdict of lists": (
        "KEPT = collections.defaultdict(list)\ndef step(i, run): KEPT[i % 3].append(Leaked())",
        ["defaultdict_of_lists.KEPT → defaultdict → list"],
    ),
    "class attribute": (
        "class Pool:\n    shared = []\ndef step(i, run): Pool.shared.append(Leaked())",
        ["class_attribute.Pool → class Pool.shared → list"],
    ),
    "attribute of a singleton": (
        "class Pool:\n    def __init__(self): self.kept = []\nPOOL = Pool()\n"
        "def step(i, run): POOL.kept.append(Leaked())",
        ["attribute_of_a_singleton.POOL → Pool.kept → list"],
    ),
    "slots": (
        "class Pool:\n    __slots__ = ('kept',)\nPOOL = Pool()\nPOOL.kept = []\n"
        "def step(i, run): POOL.kept.append(Leaked())",
        ["slots.POOL → Pool.kept → list"],
    ),
    "lru_cache": (
        "@functools.lru_cache(maxsize=None)\ndef parse(i): return Leaked()\n"
        "def step(i, run): parse(i)",
        ["lru_cache.parse → _lru_cache_wrapper"],
    ),
    "closure": (
        "def make():\n    kept = []\n    def add(): kept.append(Leaked())\n    return add\n"
        "ADD = make()\ndef step(i, run): ADD()",
        ["closure.ADD → function make.<locals>.add.kept → list"],
    ),
    "default argument": (
        "def add(kept=[]): kept.append(Leaked())\ndef step(i, run): add()",
        ["default_argument.add → function add.__defaults__"],
    ),
    "listeners": (
        "class Bus:\n    def __init__(self): self.listeners = []\nBUS = Bus()\n"
        "def step(i, run): BUS.listeners.append(Leaked().method)",
        ["listeners.BUS → Bus.listeners → list → method.__self__"],
    ),
    "thread-local": (
        "LOCAL = threading.local()\nLOCAL.kept = []\ndef step(i, run): LOCAL.kept.append(Leaked())",
        ["thread-local.LOCAL → _local", "kept → list"],
    ),
    "context variable": (
        "VAR = contextvars.ContextVar('kept')\nVAR.set([])\n"
        "def step(i, run): VAR.get().append(Leaked())",
        ["context variable kept"],
    ),
    "task": (
        "TASKS = set()\nasync def wait(leaked): await asyncio.Event().wait()\n"
        "async def step(i, run):\n    TASKS.add(asyncio.create_task(wait(Leaked())))\n"
        "    await asyncio.sleep(0)",
        ["task.TASKS → set → Task", "coroutine.leaked"],
    ),
    "generator": (
        "KEPT = []\ndef rows(leaked):\n    while True: yield 1\n"
        "def step(i, run):\n    one = rows(Leaked())\n    next(one)\n    KEPT.append(one)",
        ["generator.KEPT → list → generator.leaked"],
    ),
    "logging handler": (
        "class Keeps(logging.Handler):\n    def __init__(self):\n        super().__init__()\n"
        "        self.records = []\n    def emit(self, record): self.records.append(record)\n"
        "LOG = logging.getLogger('app')\nLOG.propagate = False\nLOG.addHandler(Keeps())\n"
        "def step(i, run): LOG.error('failed', extra={'leaked': Leaked()})",
        ["Keeps.records → list → LogRecord.leaked"],
    ),
    "exception": (
        "FAILED = []\ndef work():\n    leaked = Leaked()\n    raise ValueError\n"
        "def step(i, run):\n    try: work()\n    except ValueError as error: FAILED.append(error)",
        ["exception.FAILED → list → ValueError.__traceback__", "leaked"],
    ),
    "weakref callback": (
        "class Target: pass\nTARGET = Target()\nREFS = []\n"
        "def step(i, run): REFS.append(weakref.ref(TARGET, Leaked().method))",
        ["weakref_callback.REFS → list → ReferenceType"],
    ),
    "weakref.finalize": (
        "class Target: pass\nTARGET = Target()\n"
        "def step(i, run): weakref.finalize(TARGET, print, Leaked())",
        ["class finalize._registry → dict → finalize._Info.args"],
    ),
    "weak key, strong value": (
        "class Target: pass\nTARGETS = [Target() for _ in range(40)]\n"
        "KEPT = weakref.WeakKeyDictionary()\ndef step(i, run): KEPT[TARGETS[i]] = Leaked()",
        ["KEPT → WeakKeyDictionary.data → dict"],
    ),
    "partial at exit": (
        "def step(i, run): atexit.register(functools.partial(len, Leaked()))",
        ["C code → partial.args"],
    ),
    "registry of a metaclass": (
        "class Meta(type):\n    registry = []\n    def __init__(cls, *args):\n"
        "        super().__init__(*args)\n        Meta.registry.append(cls)\n"
        "def step(i, run): Meta('Made', (), {'leaked': Leaked()})",
        ["class Meta.registry → list → class Made.leaked"],
    ),
    "cache of a descriptor": (
        "class Cached:\n    def __init__(self): self.values = {}\n"
        "    def __get__(self, one, of): return self.values.setdefault(one.key, Leaked())\n"
        "class Model:\n    parsed = Cached()\n"
        "def step(i, run):\n    one = Model()\n    one.key = i\n    one.parsed",
        ["class Model.parsed → Cached.values → dict"],
    ),
    "interned": (
        "class Symbol:\n    known = {}\n    def __new__(cls, name):\n"
        "        return cls.known.setdefault(name, super().__new__(cls))\nLeaked = Symbol\n"
        "def step(i, run): Symbol(str(i))",
        ["class Symbol.known → dict → Symbol"],
    ),
    "jobs of a queue": (
        "JOBS = queue.Queue()\ndef step(i, run): JOBS.put(Leaked())",
        ["jobs_of_a_queue.JOBS → Queue.queue → deque"],
    ),
    "thread's variable": (
        "JOBS = queue.Queue()\ndef work():\n    held = []\n    while True:\n"
        "        held.append(JOBS.get())\n        JOBS.task_done()\n"
        "threading.Thread(target=work, name='worker', daemon=True).start()\n"
        "def step(i, run):\n    JOBS.put(Leaked())\n    JOBS.join()",
        ["held of work in thread 'worker' → list"],
    ),
    "variable of the set-up": (
        "@scenario.setup\ndef world(run):\n    kept = []\n    yield kept.append\n"
        "def step(i, add): add(Leaked())",
        ["set-up → ", "list → Leaked"],
    ),
    "chain": (
        "class Node:\n    def __init__(self, after): self.after, self.leaked = after, Leaked()\n"
        "LAST = Node(None)\ndef step(i, run):\n    global LAST\n    LAST = Node(LAST)",
        ["chain.LAST → Node.after → … → Node.leaked"],
    ),
    "module attribute": (
        "OTHER = types.ModuleType('other')\nsys.modules['other'] = OTHER\nOTHER.kept = []\n"
        "def step(i, run): OTHER.kept.append(Leaked())",
        ["other.kept → list"],
    ),
}


def path_of(name: str, folder: Path) -> str:
    """Run one case and return the first path to its leaked objects."""
    code, _ = CASES[name]
    file = folder / f"{name.replace(' ', '_')}.py"
    file.write_text(HEAD.format(name=name) + code + TAIL)
    every = jobs(plan(str(file), CaptureOptions(runs=1, seed=1, out=folder / "captures")))
    (job,) = (job for job in every if job.instrument == "forensics")
    capture = Capture(measure(job, lambda *_: None, threading.Event()))
    table = capture.table("retention")
    rows = table[table["type"].isin(["Leaked", "Symbol"])]
    return str(rows["path"].iloc[0]) if len(rows) else ""


def main(names: list[str]) -> None:
    """Print the path of each case, the share that names its holder, and the walk's cost."""
    names = names or list(CASES)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(lambda name: path_of(name, Path(folder)), names))
    right = [
        all(part in path for part in CASES[n][1]) for n, path in zip(names, paths, strict=True)
    ]
    for name, path, found in zip(names, paths, right, strict=True):
        print(f"{'yes' if found else 'NO ':3}  {name:26} {path}")
    print(
        f"\nholder named in {sum(right)} of {len(right)}: {100 * sum(right) / len(right):.0f} %\n"
    )
    times()


class Thing:
    """One of many."""

    def __init__(self, number: int) -> None:
        self.number, self.parts = number, [number]


KEPT: list[Any] = []


def times() -> None:
    """Time one walk of a large graph, and the search for one object's holder by its referrers."""
    KEPT.extend(Thing(number) for number in range(33_000))
    gc.collect()
    roots = [("", module) for module in [*sys.modules.values()]]
    took = min(_seconds(lambda: Graph(roots)) for _ in range(3))
    print(f"{len(gc.get_objects()):,} objects: all paths in {took:.2f} s of CPU time")
    try:
        import objgraph
    except ImportError:
        return print("objgraph is not installed: not compared")
    sample = KEPT[-1].parts
    took = _seconds(lambda: objgraph.find_backref_chain(sample, objgraph.is_proper_module))
    print(f"objgraph: the path of one of them in {took:.2f} s")


def _seconds(do: Any) -> float:
    start = time.process_time()
    do()
    return time.process_time() - start


if __name__ == "__main__":
    main(sys.argv[1:])
