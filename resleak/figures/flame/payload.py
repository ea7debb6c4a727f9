"""The payload of a flame graph, as plain JSON with compressed columns; and its picture as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from resleak import formatting
from resleak.analysis.stacks.allocation_sites import FRAME, Tables, is_project, site_of, tested
from resleak.analysis.stacks.columns import column, from_rows, numbered, rows, subset, sums
from resleak.analysis.stacks.profiles import Layout, Tree, layout
from resleak.captures.decode.trie import HARNESS
from resleak.captures.source_paths import is_library
from resleak.figures.flame.page import packed
from resleak.figures.style import FONT, FRAMES, INK, LETTERS

#: Rows of the table for pages where no script may run.
_MOST = 10
#: The kinds of frames; a file of the import system has `_IMPORTING` added to its kind.
OTHER, STUDIED, LIBRARY, NEITHER = range(4)
_IMPORTING = 4
_IMPORT_SYSTEM = "<frozen importlib"
#: A mean over this many captures stays exact; of more it is rounded to this part of a byte.
_MOST_PARTS = 16
#: Pixels: width of the picture, height of a row, and the narrowest frame that is drawn and named.
_WIDTH, _ROW, _LEAST, _NAMED = 900, 20, 1.5, 42.0
#: Rows that are drawn, and the average width of a letter.
_MOST_ROWS, _LETTER = 18, 6.3
#: Frames on the way to own code are left out where one below has so much of their growth.
_WHOLE = 0.98


def drawing(
    sides: Sequence[Layout], unit: str = "B"
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the payload of one side, or of two (after, before), and the table of its lines."""
    table, per = largest(sides), str(sides[0].per)
    frames = sides[0].frames
    shown = zip(column(frames, "file").tolist(), column(frames, "line").tolist(), strict=True)
    known = {place: text for side in sides for place, text in side.sources.items()}
    texts = {f"{file}:{line}": known[file, line] for file, line in {*shown} & {*known}}
    empty = None
    if any(len(side.edges) < 2 for side in sides):
        empty = "no capture has stacks of two steady marks: nothing is known of growth"
    elif not any((side.per_step() > 0).any() for side in sides):
        empty = "nothing grew between the steady marks"
    payload = {
        **encode(sides),
        "sources": dict(sorted(texts.items())),
        "title": None,
        "unit": unit,
        "per": per,
        "empty": empty,
        "selection": {},
        "table": _texts(table, unit, per, texts),
    }
    return payload, table


def answer(tables: Tables) -> dict[str, Any]:
    """Return the payload of the flame graph of one opened memray file."""
    return drawing([layout([tables])])[0]


def largest(sides: Sequence[Layout]) -> dict[str, np.ndarray]:
    """Return net growth by line, at most ten rows, the largest first.

    ``function file line per_step share``; of two sides (after, before) ``after``, ``before`` and
    ``change``.
    """
    frames = rows(sides[0].frames, FRAME, site_of(sides[0].frames))
    lines = sorted(set(frames))
    number = {line: n for n, line in enumerate(lines)}
    of = np.array([number[frame] for frame in frames], dtype=np.int64)
    table = from_rows(FRAME, lines)
    rates = [sums(of, side.per_step(), len(lines)) for side in sides]
    if len(rates) == 1:
        size = growth = np.maximum(rates[0], 0.0)
        table |= {"per_step": growth, "share": growth / (growth.sum() or 1.0)}
    else:
        after, before = rates
        size = np.abs(after - before)
        table |= {"after": after, "before": before, "change": after - before}
    size[table["function"] == HARNESS] = 0.0  # the caller of what a step leaves in free lists
    order = np.argsort(-size, kind="stable")[:_MOST]
    return subset(table, table, order[size[order] > 0])


def _texts(
    table: dict[str, np.ndarray], unit: str, per: str, sources: Mapping[str, str]
) -> dict[str, list[Any]]:
    """Return a table of `largest` as text: a head and rows."""
    numbers = [name for name in table if name not in FRAME]
    usual = {"per_step": f"per {per}", "share": "share of the growth"}
    heads = [usual.get(name, f"{name}, per {per}") for name in numbers]
    rows = []
    for function, file, line, *values in zip(*(table[n] for n in (*FRAME, *numbers)), strict=True):
        texts = [
            formatting.share(value) if name == "share" else formatting.amount(value, unit)
            for name, value in zip(numbers, values, strict=True)
        ]
        place = f"{file}:{line}" if file else ""
        source = sources.get(place, "").split("\n")
        text = source[len(source) // 2].strip()
        rows.append([str(function), f"{place}  {text}".rstrip(), *texts])
    return {"head": ["function", "file and line", *heads], "rows": rows}


def encode(sides: Sequence[Layout]) -> dict[str, Any]:
    """Return one profile, or two of the same frames (after, before), as plain JSON.

    ``strings`` are names as they are, so that they can be redacted; ``bdata`` the numbers, as
    `_varints`, compressed; ``size``, ``kinds`` and ``sides`` how many of each there are.
    """
    order, depths = _largest_first(sides), column(sides[0].frames, "depth", np.int64)
    known: dict[Any, int] = {}
    number = numbered(rows(sides[0].frames, (*FRAME, "studied"), order), known)
    often = np.argsort(-np.bincount(number), kind="stable")  # the most frequent frame comes first
    distinct = [*known]
    frames = [distinct[n] for n in often.tolist()]
    functions, files, lines, studied = zip(*frames, strict=True) if frames else ((), (), (), ())
    strings: dict[str, int] = {}
    names = numbered([*map(called, functions), *files], strings)
    up = 1 - np.diff(depths[order], prepend=-1)
    place = np.full(len(depths), -1)
    place[order] = np.arange(len(order))
    changes = [_changes(side, place) for side in sides]
    numbers = [names, lines, _kinds(files, studied), up, np.argsort(often)[number]]
    numbers += [values for side, _ in changes for values in side]
    return {
        "strings": list(map(str, strings)),
        "bdata": packed(b"".join(map(_varints, numbers))),
        "size": len(order),
        "kinds": len(frames),
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


def _kinds(files: Sequence[str], studied: Sequence[bool]) -> np.ndarray:
    kind = np.where(tested(files, is_library), LIBRARY, NEITHER)
    kind = np.where(tested(files, is_project), OTHER, kind)
    kind = np.where(np.array(studied, dtype=bool), STUDIED, kind)
    importing = tested(files, lambda file: file.startswith(_IMPORT_SYSTEM))
    return kind + np.where(importing, _IMPORTING, 0)


def _largest_first(sides: Sequence[Layout]) -> np.ndarray:
    """Return the nodes that changed, or have such below, in pre-order, the widest child first.

    The order is that of the whole period, so that frames stay in place when a part is looked at.
    """
    tree = Tree(sides[0].frames)
    turnover = np.zeros(len(tree.parent))
    for side in sides:
        node, change = column(side.changes, "node", np.int64), column(side.changes, "bytes", float)
        # A stack that came back to where it was still belongs to the windows in which it moved.
        moved = sums(node, change != 0, len(turnover))
        turnover += np.maximum(sums(node, change, len(turnover)), 0) + 1e-9 * moved
    total = tree.below(turnover)
    return tree.preorder(total > 0, -total)


def picture(sides: Sequence[Layout], title: str, unit: str) -> str:
    """Return an SVG of what grew per step, callers above callees; of two sides, of the change."""
    growth = _Growth(sides)
    boxes = list(growth.boxes())
    rows = max((row for _, row, _, _ in boxes), default=0) + 1
    grew = formatting.rate(growth.total, unit, str(sides[0].per)) if unit == "B" else ""
    head = " · ".join(filter(None, (title, grew)))
    drawn = "".join(growth.drawn(*box, unit) for box in boxes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {rows * _ROW + 30}" '
        f'font-family="{escape(FONT, quote=True)}" font-size="12">'
        f'<text x="0" y="14" fill="{INK}">{escape(head)}</text>{drawn}</svg>'
    )


class _Growth:
    """Frames with what grew at and below each."""

    def __init__(self, sides: Sequence[Layout]) -> None:
        tree, frames = Tree(sides[0].frames), sides[0].frames
        self.parent = tree.parent
        self.functions, self.files, self.lines = (
            column(frames, name).tolist() for name in ("function", "file", "line")
        )
        self.studied = column(frames, "studied", bool)
        self.own = self.studied | tested(self.files, is_project)
        own = [side.per_step() for side in sides]
        self.below = tree.below(np.maximum(own[0], 0) if len(own) == 1 else abs(own[0] - own[1]))
        self.total = float(self.below[self.parent < 0].sum())
        self.own_below = tree.below(self.own.astype(float) * (self.below > 0))

    def children(self, node: int) -> list[int]:
        """Return what grew directly below a frame, or at the top, the largest first."""
        found = np.flatnonzero((self.parent == node) & (self.below > 0))
        return [int(child) for child in found[np.argsort(-self.below[found], kind="stable")]]

    def shown(self, node: int) -> int:
        """Return the frame, or the first below it that does more than pass growth through."""
        while not self.own[node] and self.own_below[node]:
            largest = self.children(node)[0]
            if self.below[largest] < _WHOLE * self.below[node]:
                break
            node = largest
        return node

    def boxes(self) -> Iterator[tuple[int, int, float, float]]:
        """Yield node, row, left end and width of the frames that say something."""
        todo = [(self.children(-1), 0, 0.0)]
        scale = _WIDTH / (self.total or 1.0)
        while todo:
            nodes, row, left = todo.pop()
            for node in nodes:
                width = float(self.below[node]) * scale
                if width >= _LEAST and row < _MOST_ROWS:
                    frame = self.shown(node)
                    yield frame, row, left, width
                    todo.append((self.children(frame), row + 1, left))
                left += width

    def drawn(self, node: int, row: int, left: float, width: float, unit: str) -> str:
        """Return a frame as SVG."""
        function, file = called(self.functions[node]), str(self.files[node])
        kind = "other" if self.own[node] else "library"
        colour = FRAMES["studied" if self.studied[node] else kind]
        amount = formatting.amount(float(self.below[node]), unit)
        place = f"{file.rpartition('/')[2]}:{self.lines[node]}" if file else ""
        label = " ".join(filter(None, (function, place)))
        most = int((width - 8) / _LETTER)
        shown = label if len(label) <= most else f"{label[: max(most - 1, 1)]}…"
        y = 24 + row * _ROW
        text = f'<text x="{left + 4:.1f}" y="{y + 14}" fill="{LETTERS}">{escape(shown)}</text>'
        return (
            f'<g><title>{escape(f"{label}: {amount}")}</title><rect x="{left:.1f}" y="{y}" '
            f'width="{max(width - 1, 0.5):.1f}" height="{_ROW - 1}" fill="{colour}"/>'
            f"{text if width >= _NAMED else ''}</g>"
        )
