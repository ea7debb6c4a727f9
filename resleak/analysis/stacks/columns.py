"""Tables as columns of arrays: a data frame is one, and a dict of arrays, which needs no pandas."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np


class Columns(Protocol):
    """Columns by name, each of shape (rows,)."""

    def __getitem__(self, name: Any, /) -> Any: ...


def column(table: Columns, name: str, kind: Any = None) -> np.ndarray:
    """Return a column as an array."""
    return np.asarray(table[name], dtype=kind)


def rows(table: Columns, names: Iterable[str], at: np.ndarray | None = None) -> list[Any]:
    """Return some columns of all rows, or of those at some places, as tuples."""
    columns = (column(table, name) for name in names)
    return list(zip(*((c if at is None else c[at]).tolist() for c in columns), strict=True))


def from_rows(names: Sequence[str], rows: Collection[tuple[Any, ...]]) -> dict[str, np.ndarray]:
    """Return the columns of rows."""
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return {name: np.array(c, dtype=object) for name, c in zip(names, columns, strict=True)}


def subset(table: Columns, names: Iterable[str], at: np.ndarray) -> dict[str, np.ndarray]:
    """Return some columns of some rows, by number or by mask."""
    return {name: column(table, name)[at] for name in names}


def numbered(values: Iterable[Hashable], numbers: dict[Any, int]) -> np.ndarray:
    """Return a number for each value, in the order of first appearance; `numbers` takes them up."""
    return np.array([numbers.setdefault(v, len(numbers)) for v in values], dtype=np.int64)


def sums(of: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """Return the sum of the values of each number below `size`."""
    return np.bincount(of, weights=values, minlength=size)
