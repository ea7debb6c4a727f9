"""A flame graph as one picture, for print and for viewers that run no script."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

import numpy as np

from resleak import formatting
from resleak.analysis.stacks.allocation_sites import is_library
from resleak.analysis.stacks.columns import column
from resleak.analysis.stacks.profiles import Layout, Tree
from resleak.figures.flame.payload import called
from resleak.figures.style import FONT, FRAMES, INK, LETTERS

#: Pixels: width of the picture, height of a row, and the narrowest frame that is drawn and named.
_WIDTH, _ROW, _LEAST, _NAMED = 900, 20, 1.5, 42.0
#: Rows that are drawn, and the average width of a letter.
_MOST_ROWS, _LETTER = 18, 6.3
#: Rows at the top are left out while one frame has so much of the growth, and none is studied.
_WHOLE = 0.98


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
        self.functions, self.files, self.lines, self.studied = (
            column(frames, name).tolist() for name in ("function", "file", "line", "studied")
        )
        own = [side.per_step() for side in sides]
        self.below = tree.below(np.maximum(own[0], 0) if len(own) == 1 else abs(own[0] - own[1]))
        self.total = float(self.below[self.parent < 0].sum())

    def children(self, node: int) -> list[int]:
        """Return what grew directly below a frame, or at the top, the largest first."""
        found = np.flatnonzero((self.parent == node) & (self.below > 0))
        return [int(child) for child in found[np.argsort(-self.below[found], kind="stable")]]

    def boxes(self) -> Iterator[tuple[int, int, float, float]]:
        """Yield node, row, left end and width of frames, from the first row that says something."""
        top = self.children(-1)
        while len(top) == 1 and not self.studied[top[0]]:
            below = self.children(top[0])
            if not below or self.below[below[0]] < _WHOLE * self.total:
                break
            top = below[:1]
        todo = [(top, 0, 0.0)]
        scale = _WIDTH / (self.total or 1.0)
        while todo:
            nodes, row, left = todo.pop()
            for node in nodes:
                width = float(self.below[node]) * scale
                if width >= _LEAST and row < _MOST_ROWS:
                    yield node, row, left, width
                    todo.append((self.children(node), row + 1, left))
                left += width

    def drawn(self, node: int, row: int, left: float, width: float, unit: str) -> str:
        """Return a frame as SVG."""
        function, file = called(self.functions[node]), str(self.files[node])
        kind = "library" if is_library(file) else "other"
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
