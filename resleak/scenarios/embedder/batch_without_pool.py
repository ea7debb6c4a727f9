"""A pool for one caller at a time; five that ask at once create five embedders, and four stay.

Each step is a batch of five documents for one model, one after the other as in the document's loop.
An embedder has a session on a real transformer, which the runtime knows in a table of its own (our
addition). The document's loop has an "incomplete clean-up", that of its 1.1: it drops the model,
and the runtime still has the session.

- `leaky`: a new embedder for each document, cleaned up like that. Five are created where one would
  do, and five sessions remain of every batch: they add up, as the document says.
- `leaky_cleaned_up`: with a complete clean-up. It wastes time; none remains, and memory is flat.
- `proposed`, the document's `EmbedderPool`: one embedder for all batches.
- `proposed_at_once`: five callers ask at the same time. All find the map empty before the first
  embedder exists, so five are created; the map keeps the last one, and the other four stay for the
  life of the process. They are four once, not with every batch.
- `proposed_cleaned_per_batch`: the same with `cleanupAll()`, a complete one, after each batch: four
  more each time.
- `fixed`, ours: the map stores the pending creation, and every caller waits for that one. If it
  fails it is removed, so that the next caller tries again.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable

from resleak.scenarios import _embedders, _models
from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="001 1.3",
    claim="a fresh embedder for each document of a batch adds up, until memory is exhausted",
    condition="constructed: the runtime's table of sessions, which the incomplete clean-up of 1.1 "
    "does not clear, is ours. With a complete one fresh embedders cost time only. The pool holds "
    "for one caller at a time; five at once leave four, once or with each cleanupAll()",
    language="TypeScript",
    symptoms={"alive": "leak", "created": "broken"},
    outcome="partly",
    fix="holds",
    fix_params=["pooled"],
    control="fds",
    limits=[
        Limit("created", at_most=1, source="the document's pool: one embedder per model"),
        Limit("alive", at_most=1, source="one embedder per model"),
    ],
    steps=24,
    warmup=8,
    block=4,
    params={
        "documents": 5,
        "dim": 16,
        "at_once": 1,
        "pooled": True,
        "per_batch": False,
        "complete": False,
    },
    requires=("numpy", "onnx", "onnxruntime"),
    extra="embedder",
    stacks=False,
)


class Embedder:
    """A model, whose session is in the runtime's table until it is cleaned up completely."""

    def __init__(self, library: Library) -> None:
        self.model = _embedders.Model(library.weights, library.params.dim)
        library.models.add(self.model)
        library.created += 1
        library.sessions.add(self.model)
        self.library = library

    async def cleanup(self) -> None:
        if self.library.params.complete:
            self.library.sessions.remove(self.model)
        del self.model


Create = Callable[[], Awaitable[Embedder]]


class Pool:
    """The document's pool: looks for the embedder, finds none, and waits for a new one."""

    def __init__(self, create: Create) -> None:
        self.create, self.instances = create, dict[str, Embedder]()

    async def get(self, model: str) -> Embedder:
        if model not in self.instances:
            self.instances[model] = await self.create()
        return self.instances[model]

    async def cleanup_all(self) -> None:
        cleanups = [embedder.cleanup() for embedder in self.instances.values()]
        await asyncio.gather(*cleanups, return_exceptions=True)
        self.instances.clear()


class SharedPool(Pool):
    """Stores the pending creation before it waits, so that all callers wait for the same one."""

    def __init__(self, create: Create) -> None:
        super().__init__(create)
        self.coming: dict[str, asyncio.Task[Embedder]] = {}

    async def get(self, model: str) -> Embedder:
        if model not in self.coming:
            self.coming[model] = asyncio.create_task(self.make(model))
        return await asyncio.shield(self.coming[model])  # cancelling one must not cancel the rest

    async def make(self, model: str) -> Embedder:
        try:
            self.instances[model] = await self.create()
        except BaseException:
            del self.coming[model]  # the next caller tries again
            raise
        return self.instances[model]

    async def cleanup_all(self) -> None:
        await super().cleanup_all()
        self.coming.clear()


class Library:
    """A batch of documents, and the state that embedders share."""

    def __init__(self, run: Run) -> None:
        self.params, self.created = run.params, 0
        self.weights = _models.transformer(dim=run.params.dim, layers=1, seed=run.seed)
        self.models: weakref.WeakSet[_embedders.Model] = weakref.WeakSet()
        self.sessions = set[_embedders.Model]()
        self.documents = [_embedders.text(run) for _ in range(run.params.documents)]
        self.pool = (SharedPool if run.variant == "fixed" else Pool)(self.create)

    async def create(self) -> Embedder:
        return await asyncio.to_thread(Embedder, self)

    async def embed(self, document: str, turn: asyncio.Semaphore) -> None:
        async with turn:
            if self.params.pooled:
                (await self.pool.get("all-MiniLM-L6-v2")).model.embed(document)
                return
            embedder = await self.create()
            embedder.model.embed(document)
            await embedder.cleanup()


@scenario.setup
async def library(run: Run) -> AsyncIterator[Library]:
    library = Library(run)
    yield library
    await library.pool.cleanup_all()


@scenario.gauge("embedders", kind="measure")
def created(library: Library) -> float:
    """Embedders created for the batch."""
    return library.created


@scenario.gauge("models")
def alive(library: Library) -> float:
    """Models still in memory."""
    return len(library.models)


@scenario.variant(
    "leaky",
    expect={"created": "broken", "alive": "leak, broken"},
    origin="constructed",
    pooled=False,
)
@scenario.variant("leaky_cleaned_up", expect={"created": "broken"}, pooled=False, complete=True)
@scenario.variant("proposed", origin="document code")
@scenario.variant("proposed_at_once", expect={"alive": "broken"}, at_once=5)
@scenario.variant(
    "proposed_cleaned_per_batch",
    expect={"created": "broken", "alive": "leak, broken"},
    at_once=5,
    per_batch=True,
    complete=True,
)
@scenario.variant("fixed", at_once=5, per_batch=True, complete=True)
async def batch(_step: int, library: Library) -> None:
    """Embed each document of a batch, with its own embedder or that of the pool."""
    library.created, turn = 0, asyncio.Semaphore(library.params.at_once)
    async with asyncio.TaskGroup() as callers:
        for document in library.documents:
            callers.create_task(library.embed(document, turn))
    if library.params.per_batch:
        await library.pool.cleanup_all()
