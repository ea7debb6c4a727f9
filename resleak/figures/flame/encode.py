"""A profile as columns of small numbers, which compress well and need no object per stack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from resleak.analysis.stacks.allocation_sites import is_library
from resleak.analysis.stacks.columns import column, numbered, rows, tested
from resleak.analysis.stacks.profiles import Layout, Tree
from resleak.captures.decode.trie import HARNESS
from resleak.figures.flame.page import packed

#: The kinds of frames; a file of the import system has `_IMPORTING` added to its kind.
OTHER, STUDIED, LIBRARY, NO_FILE = range(4)
_IMPORTING = 4
_IMPORT_SYSTEM = "<frozen importlib"
#: A mean over this many captures stays exact; of more it is rounded to this part of a byte.
_MOST_PARTS = 16
_FRAME = ("function", "file", "line", "studied")


def encode(sides: Sequence[Layout]) -> dict[str, Any]:
    """Return one profile, or two of the same frames (after, before), as plain JSON.

    ``strings`` are names as they are, so that they can be redacted; ``bdata`` the numbers, as
    `_varints`, compressed; ``size``, ``kinds`` and ``sides`` how many of each there are.
    """
    order, depth = _largest_first(sides)
    which, kinds = _interned(rows(sides[0].frames, _FRAME, order))
    functions, files, lines, studied = zip(*kinds, strict=True) if kinds else ((), (), (), ())
    strings: dict[str, int] = {}
    functions = tuple(map(called, functions))
    names = numbered([*functions, *files], strings)
    up = np.concatenate([[0], depth[:-1]]) + 1 - depth
    place = np.full(len(column(sides[0].frames, "parent")), -1)
    place[order] = np.arange(len(order))
    changes = [_changes(side, place) for side in sides]
    columns = [names, lines, _kinds(files, studied), up, which]
    numbers = [*columns, *(values for side, _ in changes for values in side)]
    return {
        "strings": list(map(str, strings)),
        "bdata": packed(b"".join(map(_varints, numbers))),
        "size": len(order),
        "kinds": len(kinds),
        "sides": [about for _, about in changes],
    }


def called(function: str) -> str:
    """Return what readers call a function; our own frames have no name of theirs."""
    return "(measurement)" if function == HARNESS else function


def _varints(values: Any) -> bytes:
    """Write numbers >= 0 with seven bits a byte, the lowest first; the last byte is below 128."""
    rest = np.asarray(values).astype(np.uint64)
    written = np.zeros((len(rest), 10), dtype=np.uint8)
    used = np.zeros(written.shape, dtype=bool)
    for byte in range(written.shape[1]):
        used[:, byte] = (rest > 0) | (byte == 0)
        more = rest > np.uint64(127)
        written[:, byte] = (rest & np.uint64(127)) | np.where(more, 128, 0).astype(np.uint64)
        rest >>= np.uint64(7)
    return written[used].tobytes()


def _changes(side: Layout, place: np.ndarray) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Return the columns of a side's changes, in order of window and node, and what is of each."""
    changes, edges = side.changes, np.asarray(side.edges, dtype=float)
    at = place[column(changes, "node", np.int64)]
    window = column(changes, "window", np.int64)
    order = np.lexsort((at, window))
    order = order[at[order] >= 0]
    rows = np.bincount(window[order], minlength=max(len(edges) - 1, 0))
    nodes = at[order]
    steps = np.diff(nodes, prepend=-1)
    firsts = (np.cumsum(rows) - rows)[rows > 0]
    steps[firsts] = nodes[firsts] + 1
    values = [column(changes, name, float)[order] for name in ("bytes", "count")]
    parts = [_parts(value) for value in values]
    whole = [np.rint(v * part).astype(np.int64) for v, part in zip(values, parts, strict=True)]
    about = {"edges": edges.tolist(), "rows": rows.tolist(), "parts": parts, "per": str(side.per)}
    # Negative numbers go in between the others: 0, -1, 1, -2, 2 ... become 0, 1, 2, 3, 4 ...
    folded = [np.where(values < 0, -2 * values - 1, 2 * values) for values in whole]
    return [steps, *folded], about


def _parts(values: np.ndarray) -> int:
    """Return by what to multiply means of captures so that they are whole numbers."""
    for parts in range(1, _MOST_PARTS):
        scaled = values * parts
        if np.allclose(scaled, np.rint(scaled), rtol=0, atol=1e-6 * parts):
            return parts
    return _MOST_PARTS


def _interned(frames: list[Any]) -> tuple[np.ndarray, list[Any]]:
    """Return for each node the number of its frame, the most frequent first, and the frames."""
    numbers: dict[Any, int] = {}
    number = numbered(frames, numbers)
    often = np.argsort(-np.bincount(number), kind="stable")
    rank = np.empty(len(often), dtype=np.int64)
    rank[often] = np.arange(len(often))
    distinct = list(numbers)
    return rank[number], [distinct[n] for n in often.tolist()]


def _kinds(files: Sequence[str], studied: Sequence[bool]) -> np.ndarray:
    library = np.where(tested(files, is_library), LIBRARY, OTHER)
    kind = np.where(np.array(studied, dtype=bool), STUDIED, library)
    kind = np.where(tested(files, lambda file: not file) & (kind == OTHER), NO_FILE, kind)
    importing = tested(files, lambda file: file.startswith(_IMPORT_SYSTEM))
    return kind + np.where(importing, _IMPORTING, 0)


def _largest_first(sides: Sequence[Layout]) -> tuple[np.ndarray, np.ndarray]:
    """Return the nodes that changed, or have such below, in pre-order, the widest child first.

    The order is that of the whole period, so that frames stay in place when a part is looked at.
    """
    depth = column(sides[0].frames, "depth", np.int64)
    tree = Tree(sides[0].frames)
    total = tree.below(sum((_turnover(side, len(depth)) for side in sides), np.zeros(len(depth))))
    order = tree.preorder(total > 0, -total)
    return order, depth[order] + 1


def _turnover(side: Layout, size: int) -> np.ndarray:
    """Return by how much the stacks that end at each node changed, up or down."""
    node = column(side.changes, "node", np.int64)
    change = column(side.changes, "bytes", float)
    net = np.bincount(node, weights=change, minlength=size)
    # A stack that came back to where it was still belongs to the windows in which it moved.
    moved = np.bincount(node, weights=change != 0, minlength=size)
    turnover: np.ndarray = np.maximum(net, 0) + 1e-9 * moved
    return turnover
