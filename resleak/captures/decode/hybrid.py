"""Native stacks of memray's records as nodes, where they matter."""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import numpy as np

from resleak.captures.decode import moves
from resleak.captures.decode.expand import PythonStacks
from resleak.captures.decode.nodes import NATIVE, Nodes, native
from resleak.captures.decode.trie import Frame

if TYPE_CHECKING:
    from resleak.captures.decode.snapshots import Spans

#: Native stacks are looked up for the largest records, until these have this share of the bytes,
_ENOUGH = 0.999
#: at most for so many records,
_MOST = 20_000
#: and while the symbols take no more memory than this: each set of libraries has its own.
_SYMBOLS_BYTES = 640 * 1024**2


class HybridStacks(PythonStacks):
    """Enters Python stacks with the native frames below the innermost line of Python.

    Those between two lines of Python are the interpreter's, with few exceptions; without them, the
    same calls have the same nodes whether or not their native frames were looked up.

    Reading the symbols of the libraries is what takes time and memory, and memray reads them anew
    whenever the program loads another library. So the records are looked up by such generations,
    the largest first, and no more of them than there is memory for.
    """

    def __init__(self, nodes: Nodes, top: tuple[Frame, ...], main: int) -> None:
        super().__init__(nodes, top, main)
        self._records: list[Any] = []
        self._exact: dict[tuple[int, int, int], int] = {}
        self._frames = self._with_source = 0

    def enter(self, record: Any) -> None:
        """Take note of the next record, and hold it."""
        self._records.append(record)

    def numbers(self, spans: Spans) -> Sequence[int]:
        """Return the node of each record entered, given when its blocks were live."""
        weights = moves.most(moves.moves(moves.rows(spans)), len(spans.owners))
        most, seen = _resident_bytes() + _SYMBOLS_BYTES, 0.0
        for number in self._order(weights):
            if _resident_bytes() > most:
                break
            self._look_up(self._records[number])
            seen += weights[number]
        self.looked_up = seen / max(float(weights.sum()), 1.0)
        self.with_source = self._with_source / max(self._frames, 1)
        while self._records:  # memray's records hold on to the stacks that were read from them
            self._of.append(self.node(self._records.pop()))
        return self._of[::-1]

    def node(self, record: Any) -> int:
        """Return the node of a record, with a native frame for all those not looked up."""
        key = _key(record)
        node = self._exact.get(key)
        if node is None:
            node = self._exact[key] = self._add(record, (NATIVE,))
        return node

    def _order(self, weights: np.ndarray) -> list[int]:
        """Return the records to look up, in the order in which their symbols are worth it."""
        order = np.argsort(-weights, kind="stable")
        share = np.cumsum(weights[order]) / max(float(weights.sum()), 1.0)
        wanted = order[: min(int(np.searchsorted(share, _ENOUGH)) + 1, _MOST)]
        loaded = np.array([self._records[n].native_segment_generation for n in wanted], np.int64)
        of = np.unique(loaded, return_inverse=True)[1]
        worth = np.bincount(of, weights=weights[wanted], minlength=1)
        first = np.argsort(-worth[of], kind="stable") if len(of) else of
        return [int(number) for number in wanted[first]]

    def _look_up(self, record: Any) -> None:
        python = set(record.stack_trace())
        inner = takewhile(lambda frame: frame not in python, record.hybrid_stack_trace())
        below = []
        for frame in inner:
            named, known = native(frame)
            self._with_source += known
            below.append(named)
        self._frames += len(below)
        self._exact[_key(record)] = self._add(record, tuple(below))


def _key(record: Any) -> tuple[int, int, int]:
    return record.stack_id, record.native_stack_id, record.native_segment_generation


def _resident_bytes() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
