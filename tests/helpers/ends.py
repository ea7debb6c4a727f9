"""Programs that do not end, end late or end by force, each with the line marked that stalls."""

from __future__ import annotations

#: What each does in its clean-up; the line that is to be named ends in ``# stalls``.
BODY = '''"""{name}."""
import asyncio, atexit, ctypes, multiprocessing, os
import queue, subprocess, sys, threading, time, weakref
from concurrent.futures import ThreadPoolExecutor
from resleak.workload.scenario import Run, Scenario
scenario = Scenario(steps=3, warmup=0, exit_deadline_s={deadline}, stacks=False)
{code}
scenario.variant("leaky", close=close)({step})
'''
STEP = "lambda _step, _run: None"
ASYNC = "step"

ENDS = {
    "thread": """
def work():
    threading.Event().wait()  # stalls
def close(run):
    threading.Thread(target=work, name="worker").start()
""",
    "joined thread": """
def work(jobs):
    jobs.get()  # stalls
def close(run):
    thread = threading.Thread(target=work, args=[queue.Queue()], daemon=True)
    thread.start()
    thread.join()
""",
    "executor": """
def work():
    threading.Event().wait()  # stalls
def close(run):
    ThreadPoolExecutor(2).submit(work)
""",
    "executor that is shut down": """
def work():
    threading.Event().wait()  # stalls
def close(run):
    with ThreadPoolExecutor(2) as pool:
        pool.submit(work)
""",
    "exit callback": """
def flush():
    threading.Event().wait()  # stalls
def close(run):
    atexit.register(flush)
""",
    "finalizer": """
class Thing: pass
thing = Thing()
def flush():
    threading.Event().wait()  # stalls
def close(run):
    weakref.finalize(thing, flush)
""",
    "late finalizer": """
class Thing:
    def __del__(self, wait=threading.Event().wait):
        wait()  # stalls
def close(run):
    sys.modules["late"] = Thing()
""",
    "spinning thread": """
def spin():
    number = 0
    while True:  # stalls
        number += 1
def close(run):
    threading.Thread(target=spin).start()
""",
    "blocked in C": """
def close(run):
    ctypes.PyDLL(None).sleep(30)  # stalls
""",
    "deadlock": """
one, two = threading.Lock(), threading.Lock()
def work():
    with two:
        with one:  # stalls
            pass
def close(run):
    with one:
        thread = threading.Thread(target=work)
        thread.start()
        time.sleep(0.1)
        with two:
            pass
""",
    "descriptors closed": """
def work():
    threading.Event().wait()  # stalls
def close(run):
    threading.Thread(target=work).start()
    os.closerange(3, 256)
""",
    "process": """
def close(run):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"]).wait()  # stalls
""",
    "forked child": """
def close(run):
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=[30])
    child.start()  # stalls
""",
    "fork that keeps its thread": """
def work():
    threading.Event().wait()  # stalls
def close(run):
    if os.fork() == 0:
        time.sleep(0.2)
        os._exit(0)
    threading.Thread(target=work).start()
""",
    "task that refuses": """
async def stubborn():
    while True:
        try:
            await asyncio.sleep(3600)  # stalls
        except asyncio.CancelledError:
            pass
async def step(_step, _run):
    pass
async def close(run):
    run.task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
""",
    "task group": """
async def wait():
    await asyncio.Event().wait()  # stalls
async def step(_step, _run):
    pass
async def close(run):
    async with asyncio.TaskGroup() as group:
        group.create_task(wait())
""",
    "thread of the loop": """
def work():
    threading.Event().wait()  # stalls
async def step(_step, _run):
    pass
async def close(run):
    run.future = asyncio.get_running_loop().run_in_executor(None, work)
""",
    "by force": """
def work():
    os._exit(0)
def close(run):
    run.file = open(run.workdir / "rows.csv", "w")
    run.file.write("0123456789")
    thread = threading.Timer(0.2, work)
    thread.start()  # stalls
""",
}


def source(name: str, deadline: float = 1.5) -> str:
    """Return the scenario file of one of them."""
    code = ENDS[name]
    step = ASYNC if "async def step" in code else STEP
    return BODY.format(name=name.capitalize(), code=code, step=step, deadline=deadline)
