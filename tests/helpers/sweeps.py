"""Plans, stores and object stores for tests of sweeps."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from resleak.captures.manifest import Declared, Exit, Manifest
from resleak.captures.store.record import RunSpec
from resleak.captures.store.store import Store
from resleak.workload.scenario import Scenario

STEP = "def step(i):\n    pass\n"
LEAK = "kept = []\ndef step(i):\n    kept.append(bytearray(4096))\n"


def spec(**fields: Any) -> RunSpec:
    """Return a made-up question."""
    values: dict[str, Any] = {
        **{"scenario": "made/up", "variant": "leaky", "instrument": "gauges", "run": 1, "seed": 0},
        **{"steps": 60, "params": {"size": 3}, "digest": "0123456789ab", "python": "3.11.7"},
        **{"implementation": "CPython", "environment": "ba9876543210", "packages": {"x": "1"}},
    }
    return RunSpec(**{**values, **fields})


def manifest(of: RunSpec, **fields: Any) -> Manifest:
    """Return the manifest of a run that answers a question."""
    made = Scenario()
    made.name = of.scenario
    made.variant(of.variant)(lambda _step, _run: None)
    values = {"status": "complete", "session": "made up", "exit": Exit("exited", "exit", 0, 0.1)}
    return Manifest(
        scenario=Declared.parse(made.describe()), variant=of.variant, instrument=of.instrument,
        run=of.run, seed=of.seed, steps=of.steps, **{**values, **fields},
    )  # fmt: skip


def put(store: Store, of: RunSpec, *tables: Path, **fields: Any) -> bool:
    """Store a made-up run."""
    return store.put(of, manifest(of, **fields), tables, 1.0, "host")


def plan(folder: Path, text: str, **files: str) -> Path:
    """Write a plan and the workloads beside it; return the plan's path."""
    for name, source in files.items():
        (folder / f"{name}.py").write_text(source)
    path = folder / "plan.toml"
    path.write_text(text)
    return path


@contextmanager
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve an object store on this machine, and yield the URL of a folder in a bucket of it."""
    import fsspec
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    bucket = f"bucket-{secrets.token_hex(4)}"
    try:
        with _endpoint(monkeypatch, "http://{}:{}".format(*server.get_host_and_port())):
            fsspec.filesystem("s3").mkdir(bucket)
            yield f"s3://{bucket}/store"
    finally:
        server.stop()


@contextmanager
def failing_s3(monkeypatch: pytest.MonkeyPatch, status: int, code: str) -> Iterator[str]:
    """Serve an object store that answers each request with one error."""

    class Fails(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = f"<Error><Code>{code}</Code><Message>No.</Message></Error>".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", "application/xml")
            self.end_headers()
            self.wfile.write(body)

        do_PUT = do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Fails) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with _endpoint(monkeypatch, f"http://127.0.0.1:{server.server_port}"):
            yield "s3://bucket/store"
        server.shutdown()


@contextmanager
def _endpoint(monkeypatch: pytest.MonkeyPatch, url: str) -> Iterator[None]:
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "made-up")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secrets.token_hex(8))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        yield
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
