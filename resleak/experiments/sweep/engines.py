"""Slots to measure in: threads of this process, or workers of a Dask cluster."""

from __future__ import annotations

import logging
import math
import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from importlib import import_module
from queue import Empty, SimpleQueue
from typing import Any

from resleak.captures import manifest
from resleak.captures.locks import temporary_folder
from resleak.errors import CaptureError, missing
from resleak.experiments.sweep.plan import Run
from resleak.experiments.sweep.task import INFRASTRUCTURE, KILLED, MOST_KILLS, Outcome
from resleak.harness.measurement import host

#: `task.perform` with its store; takes a run, ``canary`` and ``stop``.
Perform = Callable[..., Outcome]
#: The address of a cluster that this process starts and ends.
LOCAL = "local"
#: Seconds between two looks at the time, and at the workers that are there.
_PATIENCE_S, _LOOK_S = 1.0, 5.0
#: Seconds without any worker after which a cluster counts as gone, and to find its scheduler.
_GONE_S, _CONNECT_S = 60.0, 10.0
#: Of a cluster that we start: a lost run is rerun until the last kill, and between two runs nothing
#: but heartbeats takes processor time, which would be noise to the measured process.
_SETTINGS = {
    "distributed.scheduler.allowed-failures": MOST_KILLS - 1,
    "distributed.scheduler.work-stealing": False,
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "5s",
    "distributed.admin.tick.limit": "60s",
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.client.scheduler-info-interval": "60s",
}
_WORKER = "dask worker ADDRESS --nthreads 1 --resources slot=1 --memory-limit 0"


class Threads:
    """A thread of this process for each slot: the measured processes are the work."""

    def __init__(self, workers: int, perform: Perform) -> None:
        self._workers, self._stop = workers, threading.Event()
        self._pool = ThreadPoolExecutor(workers)
        self._perform = partial(perform, stop=self._stop)

    def slots(self) -> Mapping[str, int]:
        """Return the number of threads, of one class."""
        return {"": self._workers}

    def submit(self, run: Run, host_class: str) -> Any:
        """Begin a run in a thread."""
        return self._pool.submit(self._perform, run)

    def retire(self, future: Any) -> None:
        """Go on: there is no other host."""
        self._perform = partial(self._perform, canary=False)

    def close(self) -> None:
        """End everything that runs."""
        self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)


class Cluster:
    """Workers of a Dask cluster that offer a slot: one measurement each, none waiting there."""

    def __init__(self, client: Any, perform: Perform) -> None:
        self._client, self._perform = client, perform
        self._classes: dict[str, str] = {}
        self._retired: set[str] = set()
        self._slots: Mapping[str, int] = {}
        self._looked = -math.inf
        if not self.slots():
            raise CaptureError(f"no worker of this cluster offers a slot; start some: {_WORKER}")

    def slots(self) -> Mapping[str, int]:
        """Return the number of workers with a slot, by host class."""
        if time.monotonic() - self._looked < _LOOK_S:
            return self._slots
        with _scheduler_alive():
            workers = self._client.scheduler_info(n_workers=-1)["workers"]
            alive = {name for name, about in workers.items() if about["resources"].get("slot")}
            if new := alive - self._classes.keys():
                classes = self._client.run(host_class, workers=sorted(new), on_error="ignore")
                self._classes |= classes
        self._slots = Counter(
            self._classes[name] for name in alive - self._retired if name in self._classes
        )
        self._looked = time.monotonic()
        return self._slots

    def submit(self, run: Run, host_class: str) -> Any:
        """Begin a run on a worker of a class; on any other if that class is gone."""
        only = {name for name, one in self._classes.items() if one == host_class} - self._retired
        is_uniform = len(set(self._classes.values())) == 1 and not self._retired
        with _scheduler_alive():
            return self._client.submit(
                self._perform, run, resources={"slot": 1}, pure=False,
                key=f"resleak-{run.key}-{secrets.token_hex(4)}",
                workers=None if is_uniform else sorted(only), allow_other_workers=not is_uniform,
            )  # fmt: skip

    def retire(self, future: Any) -> None:
        """Take the workers of the host that a run was on out of use, unless it is the last."""
        with _scheduler_alive():
            places = {name for names in self._client.who_has([future]).values() for name in names}
        hosts = {name.rpartition(":")[0] for name in places}
        noisy = {name for name in self._classes if name.rpartition(":")[0] in hosts}
        if self._classes.keys() - self._retired - noisy:
            self._retired |= noisy
        else:
            self._perform = partial(self._perform, canary=False)


@contextmanager
def _scheduler_alive() -> Iterator[None]:
    try:
        yield
    except Exception:  # of a closed client, a lost connection, an answer that is cut off
        message = "the scheduler is gone; what was stored stays; run the same command again"
        raise CaptureError(message) from None


#: Slots by host class: what is compared stays in one class.
Engine = Threads | Cluster


def host_class() -> str:
    """Return the class of this host, as the manifests of its runs have it."""
    return ", ".join(filter(None, manifest.host_facts(host()).values()))


@contextmanager
def opened(cluster: str, workers: int, perform: Perform) -> Iterator[Engine]:
    """Yield threads, a cluster of this machine, or the one at an address; end what was begun."""
    if not cluster:
        with closing(Threads(workers, perform)) as threads:
            yield threads
        return
    try:
        dask, distributed = import_module("dask"), import_module("distributed")
    except ImportError:
        raise missing("a cluster needs Dask", "cluster") from None
    with ExitStack() as stack:
        address = cluster
        if cluster == LOCAL:
            # What the workers leave when they are killed goes with this folder.
            folder = str(stack.enter_context(temporary_folder()))
            settings = {**_SETTINGS, "temporary-directory": folder}
            stack.enter_context(dask.config.set(settings))
            address = stack.enter_context(
                distributed.LocalCluster(
                    n_workers=workers, threads_per_worker=1, memory_limit=0,
                    resources={"slot": 1}, dashboard_address="127.0.0.1:0",
                    silence_logs=logging.CRITICAL, env={"TMPDIR": folder},
                )
            )  # fmt: skip
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # we say what failed
        try:
            client = stack.enter_context(distributed.Client(address, timeout=_CONNECT_S))
        except (OSError, ValueError) as error:
            message = f"no scheduler answers at {cluster} ({type(error).__name__})"
            raise CaptureError(f"{message}; give its address, such as tcp://HOST:8786") from None
        yield Cluster(client, perform)


def outcome(future: Future[Outcome]) -> Outcome:
    """Return what became of a run; that its workers were killed is the start of a result."""
    try:
        return future.result()
    except Exception as error:  # of a cluster: what is performed raises none
        if type(error).__name__ == "KilledWorker":
            return Outcome(KILLED, "")
        message = f"the cluster lost the run ({type(error).__name__}); run the command again"
        return Outcome(INFRASTRUCTURE, message)


def window(
    engine: Engine, lanes: Mapping[str, deque[Run]], is_over: Callable[[], bool]
) -> Iterator[tuple[Run, Any]]:
    """Yield runs as they finish with their futures; only so many are begun as there are slots."""
    finished: SimpleQueue[Any] = SimpleQueue()
    active: dict[Any, tuple[str, Run]] = {}
    last = time.monotonic()
    while True:
        slots = engine.slots()
        last = time.monotonic() if slots else last
        if time.monotonic() - last > _GONE_S:
            raise CaptureError("all workers are gone; start some and run the same command again")
        busy = Counter(lane for lane, _ in active.values())
        for lane, runs in lanes.items():
            while runs and busy[lane] < slots.get(lane, 0) and not is_over():
                run = runs.popleft()
                busy[lane] += 1
                future = engine.submit(run, lane)
                active[future] = lane, run
                future.add_done_callback(finished.put)
        if not active and (is_over() or not any(lanes.values())):
            return
        with suppress(Empty):
            future = finished.get(timeout=_PATIENCE_S)
            yield active.pop(future)[1], future
