"""A data pipeline, one batch per step: `resleak investigate leak_pipeline.py`.

Each step reads, transforms and writes a batch of the same size: growth is then per batch.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator
from pathlib import Path

Rows = list[dict[str, str]]
totals: dict[str, int] = {}


# Replace this transformation by yours: from pipeline import transform
def transform(rows: Rows) -> Rows:
    """Return the rows with their total; it leaks on purpose, so that you see a verdict."""
    for row in rows:
        totals[row["order"]] = int(row["amount"]) * 2  # the leak: nothing is ever removed
    return [{**row, "total": str(totals[row["order"]])} for row in rows]


def setup() -> Iterator[Path]:
    """Run once before the steps: a folder for input and output, removed at the end."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def step(number: int, folder: Path) -> None:
    """Run one batch from file to file."""
    source, target = folder / "in.csv", folder / "out.csv"
    batch = [{"order": f"{number}-{i}", "amount": str(i)} for i in range(50)]
    write(source, batch)
    with source.open(newline="") as file:
        rows = list(csv.DictReader(file))
    write(target, transform(rows))


def write(path: Path, rows: Rows) -> None:
    """Write rows as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
