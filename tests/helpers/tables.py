"""Tables of stacks: made up with known answers, or as a reader left them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from resleak.captures import tables as stored_tables


@dataclass
class Tables:
    """Tables by name, as a capture has them."""

    tables: dict[str, pd.DataFrame]
    instrument: str = "memray"

    def table(self, name: str) -> pd.DataFrame:
        return self.tables[name]


def read(folder: Path) -> Tables:
    wanted = ("stacks", "live", "marks")
    return Tables(
        {n: stored_tables.read_table(folder / f"{n}.parquet").to_pandas() for n in wanted}
    )


def made_up(curves: dict[str, np.ndarray], file: str = "app.py") -> Tables:
    """Return the tables of a run with one stack for each curve of live bytes by mark."""
    count = len(next(iter(curves.values())))
    marks = pd.DataFrame({"mark": range(count), "step": range(0, 10 * count, 10)})
    marks["phase"] = "steady"
    rows = [
        {"mark": mark, "step": 10 * mark, "phase": "steady", "node": node, "bytes": b, "count": 1}
        for node, curve in enumerate(curves.values())
        for mark, b in enumerate(np.diff(curve, prepend=0.0))
    ]
    frames = [
        {"node": n, "parent": -1, "function": name, "file": file, "line": n + 1, "studied": True}
        for n, name in enumerate(curves)
    ]
    return Tables({"marks": marks, "live": pd.DataFrame(rows), "stacks": pd.DataFrame(frames)})
