"""A circuit breaker ends a pile-up of calls, once the clients have timeouts that it can count.

A request comes every 10 ms and hands one download to a boto3 client, on six threads; the backend
accepts connections and never answers. (One that refuses leaves two calls in flight either way.)

- `leaky`: clients with a timeout of their own, 1 s. More calls arrive than time out on six threads:
  per step 0.7 to 0.9 more wait.
- `proposed`: pybreaker opens after three failures. Then all calls are refused at once; at most a
  hundred had come before. (By `calling()`: `call()` would hold a lock for the whole download.)
- `leaky_no_timeout`, `proposed_no_timeout`: the client's default, 60 s; the breaker counts nothing.
- `leaky_wait_for`, `proposed_wait_for`: callers give up after 0.3 s, by #7's wait_for(). A call
  that no thread has begun stays in the executor's queue, cancelled; the breaker ends that.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="003#22",
    claim="without a circuit breaker, calls pile up when S3, MinIO or GCS are down",
    condition="constructed: six threads, clients with a timeout of 1 s, no retries, 100 calls/s, a "
    "pile-up at a silent storage (our reading; one that refuses shows none), a breaker that opens "
    "at the third failure and locks no call (ours, like the limit of 150; pybreaker's call() "
    "locks). With #7, before it in the plan, at 0.3 s (ours; clients of 60 s) only the heap leaks, "
    "and the fix holds. Without it, or at its 5 min (not run), clients of 60 s exceed 150",
    language="Python",
    symptoms={"in_flight": "leak, broken"},
    outcome="partly",
    fix="holds",
    fix_params=["breaker"],
    control="children",
    limits=[Limit("in_flight", at_most=150, source="calls that arrive until three have timed out")],
    steps=240,
    warmup=40,
    params={
        "threads": 6,
        "interval_s": 0.01,
        "fail_max": 3,
        "timeout_s": 1.0,
        "breaker": True,
        "wait_for_s": 0.3,
    },
    requires=("boto3", "pybreaker"),
    extra="arc",
    stacks=False,
)


Guard = Callable[[], AbstractContextManager[object]]


class Downloads:
    """Downloads from a storage, on threads."""

    def __init__(self, params: Any, client: Any, guard: Guard) -> None:
        self.params, self.client, self.guard = params, client, guard
        self.pool = ThreadPoolExecutor(params.threads)
        self.lock, self.in_flight, self.waiting = threading.Lock(), 0, 0
        self.callers = set[asyncio.Task[None]]()

    def start(self) -> None:
        with self.lock:
            self.in_flight += 1
        self.pool.submit(self.guarded).add_done_callback(self._ended)

    def start_impatient(self) -> None:
        """The same for a caller that waits as #7 does."""
        caller = asyncio.create_task(self.wait_for(self.params.wait_for_s))
        self.callers.add(caller)
        caller.add_done_callback(self.callers.discard)

    def guarded(self) -> None:
        with self.guard():
            self.get()

    def get(self) -> None:
        with self.lock:
            self.waiting += 1
        try:
            self.client.get_object(Bucket="metrics", Key="cpu.parquet")
        finally:
            with self.lock:
                self.waiting -= 1

    async def wait_for(self, seconds: float) -> None:
        from pybreaker import CircuitBreakerError

        self.in_flight += 1
        try:
            with self.guard():
                await asyncio.wait_for(asyncio.wrap_future(self.pool.submit(self.get)), seconds)
        except (TimeoutError, CircuitBreakerError):
            pass
        finally:
            self.in_flight -= 1

    def _ended(self, _download: Future[Any]) -> None:
        with self.lock:
            self.in_flight -= 1


def storage_client(port: int, timeout: float) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(
            connect_timeout=timeout, read_timeout=timeout, retries={"total_max_attempts": 1}
        ),
    )


def breaker(params: Any) -> Guard:
    """Return what counts the failures of a block, and refuses it after too many."""
    import pybreaker

    made: Guard = pybreaker.CircuitBreaker(fail_max=params.fail_max, reset_timeout=60).calling
    return made


@scenario.setup
def downloads(run: Run) -> Iterator[Downloads]:
    with socket.create_server(("127.0.0.1", 0), backlog=512) as backend:  # it never answers
        client = storage_client(backend.getsockname()[1], run.params.timeout_s)
        made = Downloads(
            run.params, client, breaker(run.params) if run.params.breaker else nullcontext
        )
        yield made
        made.pool.shutdown(wait=False, cancel_futures=True)
    made.pool.shutdown()  # the backend has gone: waiting calls fail


@scenario.gauge("downloads")
def in_flight(downloads: Downloads) -> float:
    """Downloads started and not finished."""
    return downloads.in_flight


@scenario.gauge("downloads", kind="measure")
def at_backend(downloads: Downloads) -> float:
    """Downloads waiting for the backend itself."""
    return downloads.waiting


PILE = {"in_flight": "leak, broken"}


@scenario.variant("leaky", expect=PILE, origin="constructed", breaker=False)
@scenario.variant("leaky_no_timeout", expect=PILE, breaker=False, timeout_s=60.0)
@scenario.variant("proposed", origin="document words")
@scenario.variant("proposed_no_timeout", expect=PILE, timeout_s=60.0)
def request(_step: int, downloads: Downloads) -> None:
    """Start a download when the next request arrives."""
    downloads.start()
    time.sleep(downloads.params.interval_s)


@scenario.variant("leaky_wait_for", expect={"heap": "leak"}, breaker=False, timeout_s=60.0)
@scenario.variant("proposed_wait_for", timeout_s=60.0)
async def impatient_request(_step: int, downloads: Downloads) -> None:
    """Start a download whose caller gives up after a time, when the next request arrives."""
    downloads.start_impatient()
    await asyncio.sleep(downloads.params.interval_s)
