"""A cache that compresses results before it checks their size can keep those that it refused.

The document asks what a cache should do with oversized results, and recommends to compress them
first; it states no fault, so only its proposal has a verdict. A cache may take 1 MiB. Each step
brings one of four results of 3 MB from a log, and reads it twice.

- `leaky`, the document's "current behavior": what is too large is refused, and queried again.
- `proposed`: compressed by zlib a result takes some 20 kB, all four fit, and after the first round
  no read runs a query. The size that is checked is the size that is held.
- `proposed_random`: results that do not compress are refused as before.

The price is time, and memory at each hit: the whole text is made again, 3 MB here.
"""

from __future__ import annotations

import json
import zlib
from collections import OrderedDict
from collections.abc import Iterator

from resleak.workload.scenario import Limit, Run, Scenario

MAX_BYTES = 2**20
scenario = Scenario(
    seed="003 decision",
    claim="compress oversized results first, then check the size: more queries can be cached",
    condition="results that compress, here from 3 MB to 20 kB; each hit takes their full size "
    "again for a moment",
    language="Python",
    fix="holds",
    gauges=("heap",),
    control="fds",
    limits=[
        Limit("held", at_most=MAX_BYTES, source="the limit that the cache is given"),
        Limit("queries", per_second=0, source="a cached result is not queried again"),
    ],
    steps=24,
    warmup=8,
    block=4,
    params={"results": 4, "rows": 1000, "random": False},
    stacks=False,
)


class QueryCache:
    """Results by query, of at most `MAX_BYTES` together; larger ones are refused."""

    def __init__(self) -> None:
        self.entries: OrderedDict[int, bytes] = OrderedDict()

    @property
    def held(self) -> int:
        return sum(map(len, self.entries.values()))

    def encode(self, text: bytes) -> bytes:
        return text

    def decode(self, stored: bytes) -> bytes:
        return stored

    def put(self, query: int, text: bytes) -> None:
        stored = self.encode(text)
        if len(stored) > MAX_BYTES:
            return
        self.entries[query] = stored
        while self.held > MAX_BYTES:
            self.entries.popitem(last=False)


class CompressingCache(QueryCache):
    """Compresses before it checks the size."""

    def encode(self, text: bytes) -> bytes:
        return zlib.compress(text)

    def decode(self, stored: bytes) -> bytes:
        return zlib.decompress(stored)


class Api:
    """Answers queries from the cache, or by running them."""

    def __init__(self, run: Run) -> None:
        self.params, self.queries = run.params, 0
        self.cache = QueryCache() if run.variant == "leaky" else CompressingCache()
        line = "level=info host=host-1 usage=0.5 " * 90
        self.messages = [line] * run.params.rows
        if run.params.random:
            self.messages = [run.rng.randbytes(len(line) // 2).hex() for _ in self.messages]

    def run_query(self, number: int) -> bytes:
        self.queries += 1
        rows = [[number, n, message] for n, message in enumerate(self.messages)]
        return json.dumps(rows).encode()

    def read(self, number: int) -> int:
        """Return the length of a result."""
        if (stored := self.cache.entries.get(number)) is not None:
            return len(self.cache.decode(stored))
        text = self.run_query(number)
        self.cache.put(number, text)
        return len(text)


@scenario.setup
def api(run: Run) -> Iterator[Api]:
    yield Api(run)


@scenario.gauge("B")
def held(api: Api) -> float:
    """Bytes of all results in the cache."""
    return api.cache.held


@scenario.gauge("queries", kind="counter")
def queries(api: Api) -> float:
    """Queries that were run."""
    return api.queries


@scenario.variant("leaky", expect={"queries": "broken"}, origin="document words")
@scenario.variant("proposed", origin="document words")
@scenario.variant("proposed_random", expect={"queries": "broken"}, random=True)
def read_twice(step: int, api: Api) -> None:
    """Read a result twice."""
    for _ in range(2):
        api.read(step % api.params.results)
