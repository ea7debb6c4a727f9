"""Resources that a stop forgets to close wait for the collector; those that a timer holds stay.

Each step is one life of a proxy: it opens a prompt cache and a session store (sqlite, with a
write-ahead log) and a pool of connections to a model, answers once, and stops.

- `leaky`, as in the document: the stop closes neither stores nor pool. In Python the next
  collection frees them: deferred, 27 descriptors where it runs every fifth step.
- `leaky_timer`: with the pruning timer that the document adds for #3, and the same stop. The
  timer's thread holds its cache, and the cache its file: one thread, two descriptors and 120 kB
  leak per restart. That fix alone turns a wait into a leak.
- `fixed`, the document's shutdown, which closes the caches, "database connections" and agents, each
  even when an earlier one fails: nothing stays. `fixed_timer` also stops the timer.
- `proposed_keeps_sessions`: only what the printed lines name, as the body of that step is elided.
  The session store waits for the collector as before.

The document's process ends after the stop; the port goes on, as tests do. The timer is detached.
"""

from __future__ import annotations

import sqlite3
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from resleak.scenarios import _servers
from resleak.workload.scenario import Run, Scenario

scenario = Scenario(
    seed="002#7",
    claim="a shutdown that closes neither caches nor sessions nor agents leaks them",
    condition="the process goes on after the stop (ours); in the document it ends, which closes "
    "all: no leak. In Python the collector frees them; in Node a dropped agent's sockets stay "
    "until the server closes them (see #6). Step 5, 'database connections (existing budget manager "
    "code)', is read as closing the session store (ours; the fault is without it), step 6 as with "
    "priority 7 of the same day, destroy() (close() here); else the fix is insufficient",
    language="JavaScript",
    symptoms={"fds": "leak", "sockets": "leak"},
    outcome="partly",
    fix="holds",
    gauges=("fds", "sockets", "threads"),
    control="children",
    steps=60,
    warmup=15,
    block=5,
    params={"timer": False, "prune_every_s": 300.0},
    requires=("httpx", "uvicorn"),
    extra="load_shedding",
    stacks=False,
)


class Store:
    """A table in a file of its own, pruned by a timer if one is requested."""

    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(path, check_same_thread=False)  # opens
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = OFF")  # do not measure the disk
        self.db.execute("CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, value TEXT)")
        self.stopped = threading.Event()
        self.timer: threading.Thread | None = None

    def put(self, key: str, value: str) -> None:
        with self.db:
            self.db.execute("INSERT OR REPLACE INTO entries VALUES (?, ?)", (key, value))

    def start_pruning(self, every_s: float) -> None:
        self.timer = threading.Thread(target=self._prune, args=[every_s], daemon=True)
        self.timer.start()  # opens

    def _prune(self, every_s: float) -> None:
        while not self.stopped.wait(every_s):
            with self.db:
                self.db.execute("DELETE FROM entries")

    def close(self) -> None:
        self.stopped.set()
        if self.timer is not None:
            self.timer.join()
        self.db.close()


class Proxy:
    """Answers from a model, and stores prompts and sessions."""

    def __init__(self, folder: Path, tls: ssl.SSLContext, params: Any) -> None:
        import httpx

        self.prompts, self.sessions = Store(folder / "prompts.db"), Store(folder / "sessions.db")
        self.agent = httpx.Client(verify=tls, trust_env=False)
        if params.timer:
            self.prompts.start_pruning(params.prune_every_s)

    def serve(self, address: str) -> None:
        answer = self.agent.get(f"{address}/100").text  # opens
        self.prompts.put("prompt", answer)
        self.sessions.put("session", answer)

    def shut_down(self) -> None:
        """Close what the document's shutdown closes."""
        with ExitStack() as stack:  # continues when one of them fails
            stack.callback(self.agent.close)
            stack.callback(self.prompts.close)

    def close(self) -> None:
        with ExitStack() as stack:
            stack.callback(self.sessions.close)
            stack.callback(self.shut_down)


class Host:
    """The place where the proxy is started and stopped."""

    def __init__(self, run: Run, address: str) -> None:
        self.run, self.address = run, address
        self.tls = ssl.create_default_context()  # one for all: creating it takes 20 ms

    def live(self) -> Proxy:
        proxy = Proxy(self.run.workdir, self.tls, self.run.params)
        proxy.serve(self.address)
        return proxy


@scenario.setup
def host(run: Run) -> Iterator[Host]:
    with _servers.in_child() as address:
        yield Host(run, address)


@scenario.variant("leaky", expect={"fds": "deferred"}, origin="document words")
@scenario.variant("leaky_timer", expect={"fds": "leak, deferred", "threads": "leak"}, timer=True)
def leaky(_step: int, host: Host) -> None:
    """Serve, then stop without closing anything."""
    host.live()


@scenario.variant("proposed_keeps_sessions", expect={"fds": "deferred"}, origin="document code")
def proposed(_step: int, host: Host) -> None:
    """Serve, then stop and close the prompt cache and the agent."""
    host.live().shut_down()


@scenario.variant("fixed", origin="document words")
@scenario.variant("fixed_timer", timer=True)
def fixed(_step: int, host: Host) -> None:
    """Serve, then stop and close everything that was started."""
    host.live().close()
