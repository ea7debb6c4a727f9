"""Ten clients that send nothing open no connection: "connections: 6, leaked 1" cannot be.

The document prints a script and its output: before ten `get_client(...).async_client` the process
has 5 connections, after them 6, so one is leaked. Each step is that script, with real httpx clients
and the connections of the process counted by psutil, as in the script.

- `leaky`, the script as printed: httpx opens a connection with its first request, and the script
  sends none. 0 connections and 0 descriptors per step. (The warning that the document quotes,
  "Unclosed client session", is one of aiohttp.)
- `leaky_one_request`: with one request per script the connection that the document means is there,
  as in `httpx_never_closed`. Dropped open, it waits for the collector.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any

from resleak.scenarios import _servers
from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="004 2.2 output",
    claim="ten calls of get_client() leave one connection open: 6 instead of 5",
    condition="never: a client opens no connection before its first request",
    language="Python",
    symptoms={"left_open": "broken", "fds": "leak"},
    outcome="not reproduced",
    gauges=("fds", "sockets"),
    control="children",
    limits=[Limit("left_open", at_end=0, source="the printed output: leaked connections: 1")],
    steps=60,
    warmup=20,
    block=5,
    params={"calls": 10, "requests": 0},
    requires=("httpx", "uvicorn"),
    extra="sse_streaming",
    stacks=False,
)


class Script:
    """The document's script, and the singleton client that it asks for."""

    def __init__(self, run: Run, address: str) -> None:
        import psutil

        self.params, self.address, self.left_open = run.params, address, 0
        self.tls = ssl.create_default_context()  # one for all: creating it takes 20 ms
        self.client: Any = None
        self.process = psutil.Process()

    def get_client(self, _base_url: str) -> Any:
        import httpx

        if self.client is None:
            self.client = httpx.AsyncClient(timeout=60, verify=self.tls, trust_env=False)
        return self.client

    def connections(self) -> int:
        return len(self.process.net_connections())

    async def run(self) -> None:
        initial, self.client = self.connections(), None
        for number in range(self.params.calls):
            client = self.get_client(f"http://example{number}.com:8000")
            if number < self.params.requests:
                await client.get(f"{self.address}/100")  # opens
        self.left_open += max(0, self.connections() - initial)


@scenario.setup
def script(run: Run) -> Iterator[Script]:
    with _servers.in_child() as address:
        yield Script(run, address)


@scenario.gauge("connections", kind="counter")
def left_open(script: Script) -> float:
    """Connections that a script left open when it ended."""
    return script.left_open


@scenario.variant("leaky", origin="document code")
@scenario.variant(
    "leaky_one_request", expect={"left_open": "broken", "fds": "deferred"}, requests=1
)
async def run_script(_step: int, script: Script) -> None:
    """Get the client ten times, and count the connections."""
    await script.run()
