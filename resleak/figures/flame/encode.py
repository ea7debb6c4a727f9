"""A profile as columns of small numbers, which compress well and need no object per stack."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from resleak.stacks import is_library
from resleak.stacks.windows import Profile

#: The kinds of frames; a file of the import system has `_IMPORTING` added to its kind.
OTHER, STUDIED, LIBRARY, NO_FILE = range(4)
_IMPORTING = 4
_IMPORT_SYSTEM = "<frozen importlib"
#: A mean over this many captures stays exact; of more it is rounded to this part of a byte.
_MOST_PARTS = 16
_FRAME = ["function", "file", "line", "studied"]


def encode(sides: Sequence[Profile]) -> dict[str, Any]:
    """Return profiles of the same frames as plain JSON: a list of names, and numbers in base64.

    Parameters
    ----------
    sides : sequence of Profile
        One, or two for a difference: after, before.

    Returns
    -------
    dict
        ``strings`` (names as they are, so that they can be redacted), ``bdata`` (the numbers, as
        `_varints`, compressed), ``size``, ``kinds``, ``sides``: how many of each there are.
    """
    order, depth = _largest_first(sides)
    frames = sides[0].frames.iloc[order]
    which, table = _interned(frames[_FRAME])
    names, strings = pd.factorize(pd.concat([table["function"], table["file"]]))
    up = np.concatenate([[0], depth[:-1]]) + 1 - depth
    place = np.full(len(sides[0].frames), -1)
    place[order] = np.arange(len(order))
    changes = [_changes(side, place) for side in sides]
    columns = [names, table["line"], _kinds(table), up, which]
    numbers = [*columns, *(column for side, _ in changes for column in side)]
    return {
        "strings": [str(text) for text in strings],
        "bdata": _packed(b"".join(map(_varints, numbers))),
        "size": len(order),
        "kinds": len(table),
        "sides": [told for _, told in changes],
    }


def packed_strings(payload: dict[str, Any]) -> dict[str, Any]:
    """Return a payload with its names compressed too, for where nobody has to read them."""
    if not isinstance(payload.get("strings"), list):
        return payload
    names = json.dumps(payload["strings"], ensure_ascii=False).encode("utf-8", "replace")
    rest = {key: value for key, value in payload.items() if key != "strings"}
    return rest | {"packed": _packed(names)}


def _packed(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()


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


def _signed(values: np.ndarray) -> np.ndarray:
    """Fold negative numbers in between the others: 0, -1, 1, -2, 2 ... become 0, 1, 2, 3, 4 ..."""
    return np.where(values < 0, -2 * values - 1, 2 * values)


def _changes(side: Profile, place: np.ndarray) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Return the columns of a side's changes, in order of window and node, and what is of each."""
    changes, edges = side.changes, np.asarray(side.edges, dtype=float)
    at = place[changes["node"].to_numpy(dtype=np.int64)]
    window = changes["window"].to_numpy(dtype=np.int64)
    order = np.lexsort((at, window))
    order = order[at[order] >= 0]
    rows = np.bincount(window[order], minlength=max(len(edges) - 1, 0))
    nodes = at[order]
    steps = np.diff(nodes, prepend=-1)
    firsts = (np.cumsum(rows) - rows)[rows > 0]
    steps[firsts] = nodes[firsts] + 1
    values = [changes[name].to_numpy(dtype=float)[order] for name in ("bytes", "count")]
    parts = [_parts(value) for value in values]
    whole = [np.rint(v * part).astype(np.int64) for v, part in zip(values, parts, strict=True)]
    told = {"edges": edges.tolist(), "rows": rows.tolist(), "parts": parts, "per": str(side.per)}
    return [steps, *map(_signed, whole)], told


def _parts(values: np.ndarray) -> int:
    """Return by what to multiply means of captures so that they are whole numbers."""
    for parts in range(1, _MOST_PARTS):
        scaled = values * parts
        if np.allclose(scaled, np.rint(scaled), rtol=0, atol=1e-6 * parts):
            return parts
    return _MOST_PARTS


def _interned(frames: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """Return for each node the number of its frame, the most frequent first, and the frames."""
    number = frames.groupby(_FRAME, sort=False, dropna=False).ngroup().to_numpy()
    often = np.argsort(-np.bincount(number), kind="stable")
    rank = np.empty(len(often), dtype=np.int64)
    rank[often] = np.arange(len(often))
    return rank[number], frames[~frames.duplicated()].iloc[often]


def _kinds(table: pd.DataFrame) -> np.ndarray:
    file = table["file"].astype(str)
    library = np.where(file.map(is_library).astype(bool), LIBRARY, OTHER)
    kind = np.where(table["studied"].astype(bool), STUDIED, library)
    kind = np.where((file == "") & (kind == OTHER), NO_FILE, kind)
    return kind + np.where(file.str.startswith(_IMPORT_SYSTEM), _IMPORTING, 0)


def _largest_first(sides: Sequence[Profile]) -> tuple[np.ndarray, np.ndarray]:
    """Return the nodes that changed, or have such below, in pre-order, the widest child first.

    The order is that of the whole period, so that frames stay in place when a part is looked at.
    """
    frames = sides[0].frames
    parent = frames["parent"].to_numpy()
    depth = frames["depth"].to_numpy().astype(np.int64)
    size = sum((_turnover(side, len(frames)) for side in sides), np.zeros(len(frames)))
    levels = [np.flatnonzero(depth == level) for level in range(depth.max(initial=-1) + 1)]
    total, nodes = _below(size, parent, levels), np.zeros(len(frames), dtype=np.int64)
    nodes[total > 0] = 1
    nodes = _below(nodes, parent, levels).astype(np.int64)
    place = np.zeros(len(frames), dtype=np.int64)
    for level in levels:
        family = level[np.lexsort((-total[level], parent[level]))]
        before = np.cumsum(nodes[family]) - nodes[family]
        first = np.diff(parent[family], prepend=-2) != 0
        start = np.maximum.accumulate(np.where(first, before, 0))
        above = np.where(parent[family] >= 0, place[parent[family]] + 1, 0)
        place[family] = above + before - start
    kept = np.flatnonzero(total > 0)
    order = kept[np.argsort(place[kept])]
    return order, depth[order] + 1


def _turnover(side: Profile, size: int) -> np.ndarray:
    """Return by how much the stacks that end at each node changed, up or down."""
    node = side.changes["node"].to_numpy(dtype=np.int64)
    change = side.changes["bytes"].to_numpy(dtype=float)
    net = np.bincount(node, weights=change, minlength=size)
    # A stack that came back to where it was still belongs to the windows in which it moved.
    moved = np.bincount(node, weights=change != 0, minlength=size)
    turnover: np.ndarray = np.maximum(net, 0) + 1e-9 * moved
    return turnover


def _below(values: np.ndarray, parent: np.ndarray, levels: list[np.ndarray]) -> np.ndarray:
    """Return values with those of all nodes below added."""
    total: np.ndarray = values.astype(float)
    for level in reversed(levels[1:]):
        total += np.bincount(parent[level], weights=total[level], minlength=len(total))
    return total
