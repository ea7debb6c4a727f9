"""A pool that looks, finds nothing and then waits creates one embedder per waiting caller.

Each step is a batch of ten documents for one model. An embedder has a session on a real
transformer, and is listed in the table of embedders to close at exit until it is cleaned up.

- `leaky`: a new embedder for each document, cleaned up afterwards. Ten are created where one would
  do, which wastes time; but none remains, and memory is flat. They add up only if the clean-up is
  incomplete as well: see `cleanup_incomplete`.
- `proposed`, the document's `EmbedderPool`: all ten callers find the map empty before the first
  embedder exists, so ten are created as before. The map keeps the last one, `cleanup_all()` cleans
  that one up, and nine models with 10.7 MiB remain after every batch. That is harmful: `leaky`
  cleaned them all up.
- `proposed_one_by_one`: the same pool works as long as only one caller asks at a time.
- `fixed`: the map stores the pending creation, and every caller waits for that one. If it fails it
  is removed, so that the next caller tries again.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Iterator

from resleak.scenarios import _embedders, _models
from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="001 1.3",
    claim="a fresh embedder for each document of a batch adds up, until memory is exhausted",
    symptoms={"created": "broken", "alive": "leak"},
    outcome="partly",
    fix="harmful",
    control="fds",
    limits=[Limit("created", at_most=1, source="the document's pool: one embedder per model")],
    steps=48,
    warmup=32,
    block=4,
    params={"documents": 10, "dim": 16, "at_once": 10},
    requires=("numpy", "onnx", "onnxruntime"),
    extra="embedder",
    stacks=False,
)


class Embedder:
    """A model, listed in the table of embedders to close at exit until it is cleaned up."""

    def __init__(self, library: Library) -> None:
        self.model = _embedders.Model(library.weights, library.params.dim)
        library.models.add(self.model)
        library.created += 1
        library.to_close.add(self)
        self.library = library

    async def cleanup(self) -> None:
        self.library.to_close.remove(self)
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
        self.to_close = set[Embedder]()
        self.documents = [_embedders.text(run) for _ in range(run.params.documents)]
        self.pool = (SharedPool if run.variant == "fixed" else Pool)(self.create)

    async def create(self) -> Embedder:
        return await asyncio.to_thread(Embedder, self)

    async def embed_pooled(self, document: str, turn: asyncio.Semaphore) -> None:
        async with turn:
            (await self.pool.get("all-MiniLM-L6-v2")).model.embed(document)


@scenario.setup
def library(run: Run) -> Iterator[Library]:
    yield Library(run)


@scenario.gauge("embedders", kind="measure")
def created(library: Library) -> float:
    """Embedders created for the batch."""
    return library.created


@scenario.gauge("models")
def alive(library: Library) -> float:
    """Models still in memory."""
    return len(library.models)


@scenario.variant(expect={"created": "broken"})
async def leaky(_step: int, library: Library) -> None:
    """Create an embedder for each document, and clean it up."""
    library.created = 0
    for document in library.documents:
        embedder = await library.create()
        embedder.model.embed(document)
        await embedder.cleanup()


@scenario.variant("proposed", expect={"created": "broken", "alive": "leak"})
@scenario.variant("proposed_one_by_one", at_once=1)
@scenario.variant("fixed")
async def pooled(_step: int, library: Library) -> None:
    """Get each document's embedder from a pool, which is cleaned up after the batch."""
    library.created, turn = 0, asyncio.Semaphore(library.params.at_once)
    async with asyncio.TaskGroup() as batch:
        for document in library.documents:
            batch.create_task(library.embed_pooled(document, turn))
    await library.pool.cleanup_all()
