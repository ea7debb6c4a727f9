"""Several models at once take much memory, but no more over time.

A null control: the document calls several models at once artificial memory pressure. Four sessions
on real transformers of different widths stay loaded, and every step embeds with each of them, one
document of each length. Memory is high (57 MB on the heap, 103 MB resident) and flat: the arena of
each session grows once. A monitor that calls the height of the curve a leak fails here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from resleak.scenarios import _embedders, _models
from resleak.workload.scenario import Run, Scenario

scenario = Scenario(
    seed="001 3.2",
    language="TypeScript",
    gauges=("fds", "threads", "heap", "rss"),
    control="fds",
    steps=120,
    warmup=40,
    params={"dims": "32 64 128 256", "layers": 2, "threads": 2, "lengths": "4 12 40"},
    requires=("numpy", "onnx", "onnxruntime"),
    extra="embedder",
    stacks=False,
)


@dataclass
class Library:
    """The models that stay loaded, and the documents they embed."""

    models: list[_embedders.Model]
    documents: list[str]


@scenario.setup
def library(run: Run) -> Iterator[Library]:
    dims, lengths = (
        [int(n) for n in text.split()] for text in (run.params.dims, run.params.lengths)
    )
    weights = {
        dim: _models.transformer(dim=dim, layers=run.params.layers, seed=run.seed) for dim in dims
    }
    models = [_embedders.Model(weights[dim], dim, run.params.threads) for dim in dims]
    yield Library(models, [_embedders.text(run, length) for length in lengths])


@scenario.variant()
def control(_step: int, library: Library) -> None:
    """Embed each document with each model."""
    for model in library.models:
        for document in library.documents:
            model.embed(document)
