"""A cache that prunes only on write keeps its expired entries once writes stop.

At most 1 000 answers are cached in sqlite. The warm-up adds twenty per step, then none come. Times
are a thousandth of the document's: 300 ms to live, pruned every 300 ms.

- `leaky`: the entries of the last 300 ms (320 to 440) expire, and all are there at the end of the
  run. But each write prunes, so there are never more: `entries` is flat.
- `leaky_ttl_cache`: `cachetools.TTLCache` in its place has the same fault. It hides expired
  entries, and frees them at the next write: the last answers stay in memory.
- `fixed`, the document's timer: no expired entry is left after the next tick.
- `proposed_reloaded`: if the configuration is read again and the old cache is dropped, its timer
  keeps it alive: one thread and one connection per reload. `fixed_reloaded` has a timer that refers
  to its cache weakly and ends with it: nothing remains.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="002#3",
    claim="the prompt cache grows without bound: expired entries accumulate when writes stop",
    condition="on disk, when writes stop: the entries that were alive remain, never more than "
    "1,000, the document's bound; the heap stays flat. If the configuration is read again, the "
    "fix's timer keeps the old cache. Times are a thousandth of its own",
    language="JavaScript",
    symptoms={"entries": "leak", "expired": "broken"},
    outcome="partly",
    fix="holds",
    gauges=("threads", "fds"),
    control="sockets",
    limits=[
        Limit("entries", at_most=1000, source="the document's bound"),
        Limit("expired", at_end=0, source="an entry goes when its time is over"),
    ],
    steps=120,
    warmup=60,
    params={"writes": 20, "max_entries": 1000, "ttl_s": 0.3, "prune_s": 0.3, "reload": False},
    requires=("cachetools",),
    extra="load_shedding",
    stacks=False,
)
CREATE = "CREATE TABLE IF NOT EXISTS prompts (id INTEGER PRIMARY KEY, expires REAL, answer TEXT)"
INSERT = "INSERT INTO prompts (expires, answer) VALUES (?, ?)"
COUNT = "SELECT count(*), count(*) FILTER (WHERE expires <= ?) FROM prompts"
PRUNE = "DELETE FROM prompts WHERE expires <= ?"
DROP_OLDEST = "DELETE FROM prompts WHERE id <= (SELECT max(id) FROM prompts) - ?"


class Cache:
    """Answers to prompts in sqlite; originally pruned only at the start and on write."""

    def __init__(self, path: Path, params: Any) -> None:
        self.params, self.lock, self.stopping = params, threading.Lock(), threading.Event()
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)  # opens
        self.db.execute("PRAGMA synchronous = OFF")
        self.db.execute(CREATE)
        self.prune()

    def put(self) -> None:
        self.prune()
        with self.lock:
            self.db.execute(INSERT, [time.monotonic() + self.params.ttl_s, "answer " * 20])
            self.db.execute(DROP_OLDEST, [self.params.max_entries])

    def prune(self) -> None:
        with self.lock:
            self.db.execute(PRUNE, [time.monotonic()])

    def count(self) -> tuple[int, int]:
        """Return how many entries there are, and how many of them have expired."""
        with self.lock:
            entries, expired = self.db.execute(COUNT, [time.monotonic()]).fetchone()
        return entries, expired

    def close(self) -> None:
        self.stopping.set()
        self.db.close()


class TimedCache(Cache):
    """The document's cache: also pruned by a timer, until it is closed."""

    def __init__(self, path: Path, params: Any) -> None:
        super().__init__(path, params)
        self.timer = threading.Thread(target=self.prune_now_and_then, daemon=True)
        self.timer.start()  # opens

    def prune_now_and_then(self) -> None:
        while not self.stopping.wait(self.params.prune_s):
            self.prune()

    def close(self) -> None:
        self.stopping.set()
        self.timer.join()
        super().close()


class OwnedTimerCache(Cache):
    """Pruned by a timer that does not keep it alive, and that ends with it."""

    def __init__(self, path: Path, params: Any) -> None:
        super().__init__(path, params)
        arguments = (weakref.ref(self), self.stopping, params.prune_s)
        timer = threading.Thread(target=prune_while_alive, args=arguments, daemon=True)
        timer.start()
        self.close_once = weakref.finalize(self, end, self.stopping, timer, self.db)

    def close(self) -> None:
        self.close_once()


def prune_while_alive(cache: weakref.ref[Cache], stopping: threading.Event, every: float) -> None:
    while not stopping.wait(every):
        if (alive := cache()) is not None:
            alive.prune()
        del alive


def end(stopping: threading.Event, timer: threading.Thread, db: sqlite3.Connection) -> None:
    stopping.set()
    if timer is not threading.current_thread():
        timer.join()
    db.close()


class Answer:
    """An entry of the in-memory cache."""


class LibraryCache:
    """`cachetools.TTLCache`, with a count of the entries still in memory."""

    def __init__(self, _path: Path, params: Any) -> None:
        from cachetools import TTLCache

        self.entries: Any = TTLCache(params.max_entries, params.ttl_s)
        self.alive: weakref.WeakSet[Answer] = weakref.WeakSet()
        self.written = 0

    def put(self) -> None:
        self.entries[self.written] = answer = Answer()
        self.alive.add(answer)
        self.written += 1

    def count(self) -> tuple[int, int]:
        """Return how many answers are in memory, and how many of them are no longer accessible."""
        return len(self.alive), len(self.alive) - sum(1 for key in self.entries)

    def close(self) -> None:
        self.entries.clear()


CACHES: dict[str, Any] = {
    "leaky": Cache,
    "leaky_ttl_cache": LibraryCache,
    "fixed_reloaded": OwnedTimerCache,
}


class Proxy:
    """Serves prompts from a cache."""

    def __init__(self, run: Run) -> None:
        self.params, self.path = run.params, run.workdir / "prompts.db"
        self.make = CACHES.get(run.variant, TimedCache)
        self.load_configuration()

    def load_configuration(self) -> None:
        self.cache = self.make(self.path, self.params)


@scenario.setup
def proxy(run: Run) -> Iterator[Proxy]:
    proxy = Proxy(run)
    yield proxy
    proxy.cache.close()


@scenario.gauge("entries")
def entries(proxy: Proxy) -> float:
    """Entries in the cache, expired or not."""
    return float(proxy.cache.count()[0])


@scenario.gauge("entries", kind="measure")
def expired(proxy: Proxy) -> float:
    """Entries that have expired and are still there."""
    return float(proxy.cache.count()[1])


@scenario.variant("leaky", expect={"expired": "broken"}, origin="document words")
@scenario.variant("leaky_ttl_cache", expect={"expired": "broken"})
@scenario.variant("proposed_reloaded", expect={"threads": "leak", "fds": "leak"}, reload=True)
@scenario.variant("fixed_reloaded", reload=True)
@scenario.variant("fixed", origin="document code")
async def serve(step: int, proxy: Proxy) -> None:
    """Cache new answers during the warm-up, then none; time alone is measured here."""
    for _ in range(proxy.params.writes if step < scenario.warmup else 0):
        proxy.cache.put()
    if proxy.params.reload:
        proxy.load_configuration()  # and drop the previous cache
    await asyncio.sleep(0.01)
