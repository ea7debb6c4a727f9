"""A timeout around a call releases its caller; a thread that makes the call stays with the storage.

Each step uploads to and downloads from a storage that accepts connections and never answers, and
waits up to 0.5 s for the callers. When the run ends, the storage hangs up. The document does not
say whether its clients are asynchronous; `asyncio.wait_for` needs what can be cancelled.

- `leaky`: an asynchronous client without a timeout. Two more callers wait after each step.
- `proposed`: `asyncio.wait_for`, with 50 ms instead of 5 minutes. Every caller gets its
  TimeoutError, and the connection is closed: holds.
- `leaky_in_threads`, `proposed_in_threads`: real MinIO and boto3 clients, in the six threads of
  asyncio's pool, and a download from a working storage per step. With the fix the callers return,
  but six hung calls occupy all threads: the working storage is not served either way, and abandoned
  calls stay in the queue. It ends with the clients' own timeouts, which a run does not reach: 3
  minutes with boto3 (three attempts), 30 with MinIO (six).
- `fixed`, ours: short timeouts in the clients, and no retries. The call itself ends, so its thread
  is free again.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="003#7",
    claim="uploads to and downloads from cloud storage can hang indefinitely",
    condition="a storage that never answers, asked by an asynchronous client of ours that has no "
    "timeout; the fix, 50 ms for 5 min here, ends the call. With boto3 and MinIO in six threads "
    "(the document does not say) it releases the caller only: hung calls block all others until "
    "the clients' own timeouts (not reached), 3 or 5 min with boto3, by version, and 30",
    language="Python",
    symptoms={"waiting": "leak"},
    outcome="reproduced",
    fix="holds",
    control="children",
    limits=[Limit("unserved", at_end=0, source="a working storage can be read")],
    steps=12,
    warmup=3,
    block=1,
    params={
        "boto3_s": 180.0,
        "minio_s": 1800.0,
        "wait_for_s": 0.05,
        "works_s": 10.0,
        "patience_s": 0.5,
        "threads": 0,
        "size": 1000,
    },
    requires=("boto3", "minio"),
    extra="arc",
    stacks=False,
)
Ask = Callable[[Awaitable[Any]], Awaitable[None]]


@asynccontextmanager
async def storage() -> AsyncIterator[int]:
    """Answer requests for the bucket `works`, and accept all others; hang up at the end."""
    connected = set[asyncio.StreamWriter]()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.add(writer)
        try:
            while b"/works/" in (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0]:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nETag: x\r\n\r\ndata")
            await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has disconnected
        finally:
            connected.discard(writer)
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    for writer in connected:
        writer.close()
    server.close()


def s3_client(port: int, timeout: float) -> Any:
    import boto3
    from botocore.config import Config

    limits = {"connect_timeout": timeout, "read_timeout": timeout}
    style = {"s3": {"addressing_style": "path"}, "retries": {"total_max_attempts": 1}}
    config = Config(proxies={}, **style, **limits)
    address = f"http://127.0.0.1:{port}"
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    return boto3.client("s3", region_name="local", endpoint_url=address, config=config, **keys)


def minio_client(port: int, timeout: float) -> Any:
    import urllib3
    from minio import Minio

    return Minio(
        f"127.0.0.1:{port}",
        access_key="key",
        secret_key="secret",
        region="local",
        secure=False,
        http_client=urllib3.PoolManager(timeout=timeout, retries=False),
    )


class Backend:
    """Calls the storages: asynchronously, or from its own threads."""

    def __init__(self, run: Run, port: int) -> None:
        self.params, self.port, self.waiting = run.params, port, 0
        self.asked = self.served = self.sent = self.timeouts = 0
        self.users = set[asyncio.Task[None]]()  # as a server holds the requests that it serves
        self.data = b"x" * run.params.size
        if run.params.threads:
            self.threads = ThreadPoolExecutor(run.params.threads)
            asyncio.get_running_loop().set_default_executor(self.threads)
            self.s3 = s3_client(port, run.params.boto3_s)
            self.works = minio_client(port, run.params.works_s)
            self.minio = minio_client(port, run.params.minio_s)

    async def request(self, head: bytes, body: bytes = b"") -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(b"%s /silent/cpu.parquet HTTP/1.1\r\n\r\n%s" % (head, body))
            await reader.readline()
        finally:
            writer.close()

    def upload(self) -> None:
        body = io.BytesIO(self.data)
        self.minio.put_object("silent", "cpu.parquet", body, len(self.data))

    def download(self) -> None:
        self.s3.get_object(Bucket="silent", Key="cpu.parquet")

    def download_what_works(self) -> None:
        with self.works.get_object("works", "cpu.parquet") as answer:
            answer.read()
        self.served += 1

    def calls(self) -> list[Awaitable[Any]]:
        """Start an upload and a download; in threads, also one from the working storage."""
        if not self.params.threads:
            return [self.request(b"PUT", self.data), self.request(b"GET")]
        self.asked += 1
        calls = (self.upload, self.download, self.download_what_works)
        return [asyncio.wrap_future(self.threads.submit(call)) for call in calls]

    async def serve(self, ask: Ask) -> None:
        """Send the step's calls, and go on even if the storage has not answered."""

        async def use(call: Awaitable[Any]) -> None:
            self.waiting += 1
            try:
                await ask(call)
            except Exception:
                self.timeouts += 1
            finally:
                self.waiting -= 1

        users = [asyncio.create_task(use(call)) for call in self.calls()]
        self.users.update(users)
        self.sent += len(users)
        await asyncio.wait(users, timeout=self.params.patience_s)
        self.users = {user for user in self.users if not user.done()}


@scenario.setup
async def backend(run: Run) -> AsyncIterator[Backend]:
    async with storage() as port:
        yield Backend(run, port)


@scenario.gauge("callers")
def waiting(backend: Backend) -> float:
    """Callers that wait for the storage."""
    return backend.waiting


@scenario.gauge("", kind="measure")
def upload_timeout_share(backend: Backend) -> float:
    """Uploads and downloads that timed out, as a share of all."""
    return backend.timeouts / max(1, backend.sent)


@scenario.gauge("downloads", kind="counter")
def unserved(backend: Backend) -> float:
    """Downloads from the working storage that failed."""
    return backend.asked - backend.served


PILE = {"waiting": "leak"}


@scenario.variant("leaky", expect=PILE, origin="document words")
@scenario.variant("leaky_in_threads", expect={**PILE, "unserved": "broken"}, threads=6)
@scenario.variant("fixed", boto3_s=0.15, minio_s=0.15, patience_s=10.0, threads=6)
async def leaky(_step: int, backend: Backend) -> None:
    """Wait for the answer."""

    async def ask(answer: Awaitable[Any]) -> None:
        await answer

    await backend.serve(ask)


@scenario.variant("proposed", origin="document words")
@scenario.variant("proposed_in_threads", expect={"unserved": "broken"}, threads=6)
async def proposed(_step: int, backend: Backend) -> None:
    """Wait for the answer, but not for long."""

    async def ask(answer: Awaitable[Any]) -> None:
        await asyncio.wait_for(answer, backend.params.wait_for_s)

    await backend.serve(ask)
