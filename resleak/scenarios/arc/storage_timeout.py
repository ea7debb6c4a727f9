"""A timeout around a thread releases the caller; the thread stays with the silent storage.

Each step uploads through a real MinIO client and downloads through a real boto3 client, both to a
storage that accepts connections and never answers, and downloads once from a working storage. The
calls run in asyncio's thread pool, six threads on two cores. The caller continues after 50 ms.

- `leaky`: no timeout except the clients' own. After two steps all threads wait for the silent
  storage; every later call waits for a thread: three more in flight per step, and none from the
  working storage succeeds. The process does not end either, because `asyncio.run` waits for its
  threads. (What the document calls indefinite is the clients' own timeout: 182 s in three attempts
  for a download with boto3; for an upload with MinIO six attempts of 300 s, half an hour.)
- `proposed`: `asyncio.wait_for`. The caller gets its TimeoutError, but the six threads are as stuck
  as before: nothing from the working storage, and the process does not end. The abandoned calls
  stay in the queue that no thread serves, 9 kB per step, where `leaky` has 15. With 5 minutes
  instead of 50 ms it only takes longer. Insufficient.
- `fixed`: timeouts in the clients, and no retries. The call itself ends, so its thread is free
  again.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="003#7",
    claim="uploads to and downloads from cloud storage can hang indefinitely",
    condition="the storage accepts connections and never answers",
    language="Python",
    symptoms={"in_flight": "leak", "run": "hangs"},
    outcome="reproduced",
    fix="insufficient",
    control="children",
    limits=[Limit("unserved", at_end=0, source="a working storage can be read")],
    steps=12,
    warmup=3,
    block=1,
    params={"timeout_s": None, "works_s": 10.0, "patience_s": 0.05, "threads": 6, "size": 1000},
    exit_deadline_s=3.0,
    requires=("boto3", "minio"),
    extra="arc",
    stacks=False,
)
Call = Callable[[], Any]
Ask = Callable[[asyncio.Future[Any]], Awaitable[None]]


async def storage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer requests for the bucket `works`, and accept all others."""
    try:
        while b"/works/" in (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0]:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nETag: x\r\n\r\ndata")
        await reader.read()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # the client has disconnected
    finally:
        writer.close()


def s3_client(port: int, timeout: float | None) -> Any:
    import boto3
    from botocore.config import Config

    limits: dict[str, Any] = {"retries": {"total_max_attempts": 1}} if timeout else {}
    limits |= {"connect_timeout": timeout, "read_timeout": timeout} if timeout else {}
    config = Config(proxies={}, s3={"addressing_style": "path"}, **limits)
    address = f"http://127.0.0.1:{port}"
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    return boto3.client("s3", region_name="local", endpoint_url=address, config=config, **keys)


def minio_client(port: int, timeout: float | None) -> Any:
    import urllib3
    from minio import Minio

    pool = urllib3.PoolManager(timeout=timeout, retries=False) if timeout else None
    return Minio(
        f"127.0.0.1:{port}",
        access_key="key",
        secret_key="secret",
        region="local",
        secure=False,
        http_client=pool,
    )


class Backend:
    """Calls the storages from its own threads."""

    def __init__(self, run: Run, port: int) -> None:
        self.params, self.asked, self.served, self.timeouts = run.params, 0, 0, 0
        self.threads = ThreadPoolExecutor(run.params.threads)
        asyncio.get_running_loop().set_default_executor(self.threads)
        self.pending: set[Future[Any]] = set()
        self.s3 = s3_client(port, run.params.timeout_s)
        self.works = minio_client(port, run.params.works_s)
        self.minio = minio_client(port, run.params.timeout_s)
        self.data = b"x" * run.params.size

    def upload(self) -> None:
        body = io.BytesIO(self.data)
        self.minio.put_object("silent", "cpu.parquet", body, len(self.data))  # stalls

    def download(self) -> None:
        self.s3.get_object(Bucket="silent", Key="cpu.parquet")

    def download_what_works(self) -> None:
        with self.works.get_object("works", "cpu.parquet") as answer:
            answer.read()
        self.served += 1

    def in_thread(self, call: Call) -> asyncio.Future[Any]:
        future = self.threads.submit(call)
        self.pending.add(future)
        future.add_done_callback(self.pending.discard)
        return asyncio.wrap_future(future)

    async def serve(self, ask: Ask) -> None:
        """Send three calls, whose callers leave when they take too long."""

        async def user(call: Call) -> None:
            try:
                await ask(self.in_thread(call))
            except Exception:
                self.timeouts += call == self.upload  # its storage never answers

        self.asked += 1
        calls = (self.upload, self.download, self.download_what_works)
        users = [asyncio.create_task(user(call)) for call in calls]
        await asyncio.wait(users, timeout=self.params.patience_s)


@scenario.setup
async def backend(run: Run) -> AsyncIterator[Backend]:
    async with await asyncio.start_server(storage, "127.0.0.1", 0) as server:
        yield Backend(run, server.sockets[0].getsockname()[1])


@scenario.gauge("calls")
def in_flight(backend: Backend) -> float:
    """Calls that occupy a thread or wait for one."""
    return len(backend.pending)


@scenario.gauge("", kind="measure")
def upload_timeout_share(backend: Backend) -> float:
    """Uploads that timed out, as a share of all."""
    return backend.timeouts / max(1, backend.asked)


@scenario.gauge("downloads", kind="counter")
def unserved(backend: Backend) -> float:
    """Downloads from the working storage that failed."""
    return backend.asked - backend.served


@scenario.variant(
    expect={"in_flight": "leak", "unserved": "broken", "run": "hangs"}, origin="document words"
)
async def leaky(_step: int, backend: Backend) -> None:
    """Wait for the thread."""

    async def ask(answer: asyncio.Future[Any]) -> None:
        await answer

    await backend.serve(ask)


@scenario.variant(expect={"unserved": "broken", "run": "hangs"}, origin="document words")
async def proposed(_step: int, backend: Backend) -> None:
    """Wait for the thread, but not for long."""

    async def ask(answer: asyncio.Future[Any]) -> None:
        await asyncio.wait_for(answer, backend.params.patience_s)

    await backend.serve(ask)


@scenario.variant(timeout_s=0.15, patience_s=10.0)
async def fixed(_step: int, backend: Backend) -> None:
    """Wait for the thread; its client times out by itself."""

    async def ask(answer: asyncio.Future[Any]) -> None:
        await answer

    await backend.serve(ask)
