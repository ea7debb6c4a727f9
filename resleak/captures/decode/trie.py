"""Call stacks that share their beginnings: one node for each (function, file, line) of a caller."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from resleak.captures.source_paths import place

if TYPE_CHECKING:
    import numpy as np

Frame = tuple[str, str, int]
#: The names under which a file appears, and whether it is studied; None for our own harness.
Names = Callable[[str], tuple[str, bool] | None]
#: Functions of the two nodes that stand for no code of the scenario's.
NO_STACK, HARNESS = "<no Python stack>", "<resleak>"


def names(studied: Iterable[Path], root: Path | None = None) -> Names:
    """Return the function that names a file and tells whether it is studied.

    Parameters
    ----------
    studied : iterable of Path
        Files, or folders of files, under study.
    root : Path, optional
        A folder whose files are named relative to it.
    """
    own = {form for path in studied for form in (str(path.absolute()), str(path.resolve()))}
    folders = tuple(f"{path}/" for path in own)

    @cache
    def named(file: str) -> tuple[str, bool] | None:
        name = place(file, root)
        is_studied = file in own or file.startswith(folders)
        inside = name.removeprefix("<site-packages>/")  # where the package is installed
        ours = inside.startswith("resleak/") and not inside.startswith("resleak/scenarios/")
        return None if ours and not is_studied else (name, is_studied)

    return named


class Trie:
    """Nodes in the order of their appearance, so that a parent comes before its children.

    Parameters
    ----------
    names : callable
        As `names` returns it.
    """

    def __init__(self, names: Names) -> None:
        self._names = names
        self._nodes: dict[tuple[int, str, str, int], int] = {}
        self._studied: list[bool] = []
        #: The node of allocations without a stack.
        self.no_stack = self._node(-1, (NO_STACK, "", 0), False)

    def add(self, stack: Sequence[Frame]) -> int:
        """Return the node of a stack, given with its leaf first, without the harness's frames."""
        if not stack:
            return self.no_stack
        node = -1
        for function, file, line in reversed(stack):
            named = self._names(file)
            if named is not None:
                node = self._node(node, (function, named[0], line), named[1])
        return node if node >= 0 else self._node(-1, (HARNESS, "", 0), False)

    def columns(self, used: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Return the table of the nodes that are used, and their ancestors.

        Parameters
        ----------
        used : array of int, shape (rows,)
            Nodes, any number of times.

        Returns
        -------
        columns : dict of str to array, shape (kept,)
            ``node``, ``parent``, ``function``, ``file``, ``line``, ``studied``.
        renumbered : array of int32, shape (rows,)
            `used` in the numbers of the table.
        """
        keys = list(self._nodes)
        import numpy as np  # who only enters stacks does without

        parents = np.array([key[0] for key in keys], dtype=np.int32)
        keep = np.zeros(len(keys), dtype=bool)
        keep[used] = True
        for node in range(len(keys) - 1, -1, -1):
            if keep[node] and parents[node] >= 0:
                keep[parents[node]] = True
        number = np.cumsum(keep, dtype=np.int32) - np.int32(1)
        kept = np.flatnonzero(keep)
        columns = {
            "node": number[kept],
            "parent": np.where(parents[kept] < 0, np.int32(-1), number[parents[kept]]),
            "function": np.array([keys[i][1] for i in kept], dtype=object),
            "file": np.array([keys[i][2] for i in kept], dtype=object),
            "line": np.array([keys[i][3] for i in kept], dtype=np.int32),
            "studied": np.array(self._studied, dtype=bool)[kept],
        }
        return columns, number[used]

    def _node(self, parent: int, frame: Frame, studied: bool) -> int:
        key = (parent, *frame)
        node = self._nodes.get(key)
        if node is None:
            node = self._nodes[key] = len(self._nodes)
            self._studied.append(studied)
        return node
