"""Sessions created and dropped at a high rate give everything back.

A null control: the document treats rapid creation and destruction as test design. Each step creates
a real onnxruntime session on a small transformer, embeds a batch and drops the session. Threads and
descriptors return exactly; the allocator keeps memory for the next session, which is no leak.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

from resleak.scenarios import _models
from resleak.workload.scenario import Run, Scenario

scenario = Scenario(
    seed="001 3.1",
    language="TypeScript",
    gauges=("fds", "threads", "heap", "rss"),
    control="fds",
    steps=120,
    warmup=40,
    params={"batch": 4, "length": 16, "dim": 64, "layers": 2},
    requires=("numpy", "onnx", "onnxruntime"),
    extra="embedder",
)


@scenario.setup
def embedder(run: Run) -> Iterator[SimpleNamespace]:
    import numpy as np

    shape = (run.params.batch, run.params.length, run.params.dim)
    yield SimpleNamespace(
        session=_models.onnxruntime().InferenceSession,
        model=_models.transformer(dim=run.params.dim, layers=run.params.layers, seed=run.seed),
        tokens=np.random.default_rng(run.seed).normal(size=shape).astype(np.float32),
    )


@scenario.variant()
def control(_step: int, embedder: SimpleNamespace) -> None:
    """Create a session, embed a batch, drop the session."""
    session = embedder.session(embedder.model, providers=["CPUExecutionProvider"])
    session.run(["vector"], {"tokens": embedder.tokens})
