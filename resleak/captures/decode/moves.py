"""Spans of blocks as what came and went at each mark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from resleak.captures.decode.snapshots import NEVER

if TYPE_CHECKING:
    from resleak.captures.decode.snapshots import Spans

_LAST = 2**62


def rows(spans: Spans) -> np.ndarray:
    """Return record, snapshot of coming, of going or -1, bytes and blocks of each span."""
    of = np.repeat(np.arange(len(spans.counts)), spans.counts)
    columns = (spans.came, spans.went, spans.bytes, spans.blocks)
    return np.column_stack([of, *(np.array(column, dtype=np.int64) for column in columns)])


def moves(spans: np.ndarray, last: int = _LAST) -> np.ndarray:
    """Return mark, record, bytes and blocks of each coming and going; mark 0 is the start."""
    came = np.column_stack([spans[:, 1] + 1, spans[:, 0], spans[:, 3:]])
    gone = spans[spans[:, 2] != NEVER]
    went = np.column_stack([gone[:, 2] + 1, gone[:, 0], -gone[:, 3:]])
    rows = np.concatenate([came, went])
    rows[:, 0] = np.clip(rows[:, 0], 0, last)
    return rows


def most(rows: np.ndarray, records: int) -> np.ndarray:
    """Return the most bytes that each record held at any mark."""
    held = np.zeros(records)
    ordered = rows[np.argsort(rows[:, 1] * (rows[:, 0].max(initial=0) + 1) + rows[:, 0])]
    if len(ordered):
        level = np.cumsum(ordered[:, 2])
        first = np.flatnonzero(np.r_[True, ordered[1:, 1] != ordered[:-1, 1]])
        before = np.r_[0, level[first[1:] - 1]]
        held[ordered[first, 1]] = np.maximum.reduceat(level, first) - before
    return held
