"""Stacks of memray's records as nodes: each Python stack once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from resleak.captures.decode.nodes import Nodes
from resleak.captures.decode.trie import Frame

if TYPE_CHECKING:
    from resleak.captures.decode.snapshots import Spans


class PythonStacks:
    """Enters Python stacks.

    Parameters
    ----------
    nodes : Nodes
        Where stacks are entered.
    top : sequence of Frame
        What is put above each stack.
    main : int
        The main thread, whose stacks memray cuts off where tracking began.

    Attributes
    ----------
    without : set of int
        Stacks without a frame.
    looked_up, with_source : float
        Of the bytes, the share whose native frames were looked up; of these frames, the share
        that has a source file. None without native stacks.
    """

    looked_up: float | None = None
    with_source: float | None = None

    def __init__(self, nodes: Nodes, top: tuple[Frame, ...], main: int) -> None:
        self._nodes, self._top, self._main = nodes, top, main
        self._known: dict[tuple[int, bool], int] = {}
        self._of: list[int] = []
        self.without: set[int] = set()

    def enter(self, record: Any) -> None:
        """Take note of the next record."""
        self._of.append(self.node(record))

    def numbers(self, spans: Spans) -> Sequence[int]:
        """Return the node of each record entered, given when its blocks were live."""
        return self._of

    def node(self, record: Any) -> int:
        """Return the node of a record; only the first record with a stack is asked for it."""
        key = record.stack_id, record.tid == self._main
        node = self._known.get(key)
        if node is None:
            node = self._known[key] = self._add(record, ())
        return node

    def _add(self, record: Any, below: tuple[Frame, ...]) -> int:
        stack = record.stack_trace()
        if not stack:
            self.without.add(record.stack_id)
        return self._nodes.add([*below, *stack, *self._top])
