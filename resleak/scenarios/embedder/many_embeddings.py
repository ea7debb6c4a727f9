"""Ten thousand embeddings by one embedder leave memory flat.

The document's most prominent snippet: one embedder, 10 000 documents, "memory keeps growing despite
no obvious leaks". Each step embeds the same 64 documents of 4 to 40 words in a real onnxruntime
session, and stores them in sqlite (ours): 10 240 in a run.
- `leaky`, the printed loop on onnxruntime: 0 B per step. The session's arena stops growing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from resleak.scenarios import _embedders, _models
from resleak.workload.scenario import Run, Scenario

scenario = Scenario(
    seed="001 embeddings",
    claim="memory keeps growing while one embedder embeds 10,000 documents",
    condition="never, with onnxruntime in Python and a model of one layer; transformers.js was not "
    "run. The same 64 texts 160 times, stored in SQLite (ours). The arena grows to what the "
    "longest needs. No fix was judged: cleanup() comes after the loop, priority 3 has a row",
    language="TypeScript",
    symptoms={"heap": "leak"},
    outcome="not reproduced",
    gauges=("heap", "threads", "fds"),
    control="sockets",
    steps=130,
    warmup=30,
    params={"documents": 64, "dim": 32},
    requires=("numpy", "onnx", "onnxruntime"),
    extra="embedder",
)


class Embedder:
    """A model, a store, and the documents to embed."""

    def __init__(self, run: Run) -> None:
        weights = _models.transformer(dim=run.params.dim, layers=1, seed=run.seed)
        self.model = _embedders.Model(weights, run.params.dim)
        self.store = _embedders.open_store(run.workdir / "documents.db")
        # One cursor: a connection remembers up to 200 dead ones.
        self.cursor = self.store.cursor()
        lengths = [run.rng.randrange(4, 40) for _ in range(run.params.documents)]
        self.documents = [_embedders.text(run, length) for length in lengths]

    def embed(self, row: int, text: str) -> None:
        self.model.embed(text)
        self.cursor.execute("INSERT OR REPLACE INTO documents VALUES (?, ?)", (row, text))


@scenario.setup
def embedder(run: Run) -> Iterator[Embedder]:
    embedder = Embedder(run)
    with closing(embedder.store):
        yield embedder


@scenario.variant(origin="document words")
def leaky(_step: int, embedder: Embedder) -> None:
    """Embed and store the next documents."""
    for row, text in enumerate(embedder.documents):
        embedder.embed(row, text)
