"""The parts of an embedding search library: a text model, a vector index, a document store."""

from __future__ import annotations

import mmap
import sqlite3
import zlib
from pathlib import Path
from typing import Any

from resleak.scenarios import _models
from resleak.workload.scenario import Run

WORDS = ("memory", "handle", "thread", "socket", "arena", "session", "vector", "index", "query")


def text(run: Run, words: int = 12) -> str:
    """Return a document of some words, drawn from the run's own random generator."""
    return " ".join(run.rng.choices(WORDS, k=words))


class Model:
    """A real onnxruntime session and what turns words into its input.

    Parameters
    ----------
    weights : bytes
        A model as `_models.transformer` makes it.
    dim : int
        The model's width.
    threads : int
        Threads of the session's pool; the caller is one of them.
    """

    def __init__(self, weights: bytes, dim: int, threads: int = 1) -> None:
        import numpy as np

        ort = _models.onnxruntime()
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        # Idle threads of the pool would otherwise burn a core each, waiting for work.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = ort.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
        self.table = np.sin(np.arange(256 * dim, dtype=np.float32)).reshape(256, dim)

    def embed(self, document: str) -> Any:
        """Return the document's vector."""
        rows = [zlib.crc32(word.encode()) % len(self.table) for word in document.split()]
        return self.session.run(["vector"], {"tokens": self.table[None, rows]})[0][0]


class Index:
    """A memory-mapped file of vectors; the map keeps a descriptor open until it is closed."""

    def __init__(self, path: Path, rows: int, dim: int) -> None:
        self.dim = dim
        with path.open("a+b") as file:
            file.truncate(rows * dim * 4)
            self.map = mmap.mmap(file.fileno(), 0)

    def put(self, row: int, vector: Any) -> None:
        """Store a vector (or all of them, at row 0)."""
        data = vector.tobytes()
        self.map[row * len(data) : (row + 1) * len(data)] = data

    def rows(self) -> Any:
        """Return all vectors as a view of the map, which cannot be closed while the view exists."""
        import numpy as np

        return np.frombuffer(self.map, np.float32).reshape(-1, self.dim)

    def nearest(self, vector: Any) -> int:
        """Return the row whose vector is most similar in direction."""
        return int((self.rows() @ vector).argmax())

    def close(self) -> None:
        """Write the vectors and close the map."""
        self.map.flush()
        self.map.close()


def open_store(path: Path) -> sqlite3.Connection:
    """Open the documents' database, with a small page cache."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA cache_size = 10")
    db.execute("CREATE TABLE IF NOT EXISTS documents (id INTEGER PRIMARY KEY, text TEXT)")
    return db
