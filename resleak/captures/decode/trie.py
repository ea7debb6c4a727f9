"""Call stacks that share their beginnings: one node for each (function, file, line) of a caller."""

from __future__ import annotations

import re
import tokenize
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import compress, count
from operator import ne
from os.path import basename, commonpath, dirname
from pathlib import Path
from typing import TYPE_CHECKING

from resleak.captures.source_paths import is_library, is_own, place

if TYPE_CHECKING:
    import numpy as np

Frame = tuple[str, str, int]
#: The names under which a file appears, and if it is studied; None for our own harness.
Names = Callable[[str], tuple[str, bool] | None]
#: Functions of the two nodes that stand for no code of the scenario's.
NO_STACK, HARNESS = "<no Python stack>", "<resleak>"
_NATIVE, _UNKNOWN = "<native>", "<unknown>"
#: The frame that stands for native frames that were not looked up.
NATIVE: Frame = (_NATIVE, _NATIVE, 0)
_HOME = re.compile(r"^(?:/(?:home|Users)/[^/]+|/root)(?=/)")
#: Most lines that a run stores, characters of one, and bytes of a file that is read for them.
_LINES, _WIDTH, _FILE_BYTES = 20_000, 200, 4 << 20


class Nodes:
    """Nodes in the order of their appearance, so that a parent comes before its children.

    Neighbours in the order of memray's records share most of their callers: only the other frames
    of a stack are looked up.
    """

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, Frame], int] = {}
        self._last: list[Frame] = []
        self._path: list[int] = []

    def add(self, stack: list[Frame]) -> int:
        """Return the node of a stack, given with its leaf first; the list is taken over."""
        stack = stack or [(NO_STACK, "", 0)]
        stack.reverse()
        differs = map(ne, stack, self._last)
        shared = next(compress(count(), differs), min(len(stack), len(self._last)))
        numbers, path = self._numbers, self._path
        del path[shared:]
        node = path[-1] if path else -1
        for frame in stack[shared:]:
            node = numbers.setdefault((node, frame), len(numbers))
            path.append(node)
        self._last = stack
        return path[-1]

    def columns(self) -> dict[str, np.ndarray]:
        """Return the table of all nodes, their files named and judged by what they are."""
        named = program_names({file for _, (_, file, _) in self._numbers})
        return self._table(named, {file: is_own(name) for file, name in named.items()})

    def _table(self, named: dict[str, str], studied: dict[str, bool]) -> dict[str, np.ndarray]:
        import numpy as np  # a process that only enters stacks does without

        parents, frames = zip(*self._numbers, strict=True) if self._numbers else ((), ())
        return {
            "node": np.arange(len(frames), dtype=np.int32),
            "parent": np.array(parents, dtype=np.int32),
            "function": np.array([function for function, _, _ in frames], dtype=object),
            "file": np.array([named.get(file, file) for _, file, _ in frames], dtype=object),
            "line": np.array([line for _, _, line in frames], dtype=np.int32),
            "studied": np.array([studied.get(file, False) for _, file, _ in frames], dtype=bool),
        }


class Trie(Nodes):
    """Nodes of a measured process: files as `names` names them, without the harness's frames."""

    def __init__(self, names: Names) -> None:
        super().__init__()
        self._names = names
        self._studied: dict[str, bool] = {}
        self._paths: dict[str, str] = {}
        #: The node of allocations without a stack.
        self.no_stack = super().add([])

    def add(self, stack: Sequence[Frame]) -> int:
        """Return the node of a stack, given with its leaf first."""
        frames: list[Frame] = []
        for function, file, line in stack:
            if named := self._names(file):
                self._studied.setdefault(*named)
                self._paths.setdefault(named[0], file)
                frames.append((function, named[0], line))
        return super().add(frames or ([(HARNESS, "", 0)] if stack else []))

    def used(self, nodes: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Return the table of these nodes and their ancestors, and the nodes' numbers in it."""
        import numpy as np

        table = self._table({}, self._studied)
        parents, keep = table["parent"], np.zeros(len(self._numbers), dtype=bool)
        keep[nodes] = True
        for node in range(len(keep) - 1, -1, -1):
            if keep[node] and parents[node] >= 0:
                keep[parents[node]] = True
        number = np.cumsum(keep, dtype=np.int32) - np.int32(1)
        table = {name: column[keep] for name, column in table.items()}
        above = table["parent"]
        table |= {"node": number[keep], "parent": np.where(above < 0, np.int32(-1), number[above])}
        return table, number[nodes]

    def sources(self, stacks: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the source text of the lines in a table of stacks, with one before and after."""
        import numpy as np

        wanted: dict[str, set[int]] = {}
        for file, line in zip(stacks["file"].tolist(), stacks["line"].tolist(), strict=True):
            if line > 0 and file in self._paths:
                wanted.setdefault(file, set()).add(line)
        rows = [
            (file, line, text)
            for file, numbers in wanted.items()
            for line, text in _texts(Path(self._paths[file]), sorted(numbers))
        ][:_LINES]
        files, lines, texts = zip(*rows, strict=True) if rows else ((), (), ())
        return {
            "file": np.array(files, dtype=object),
            "line": np.array(lines, dtype=np.int32),
            "text": np.array(texts, dtype=object),
        }


def names(studied: Iterable[Path], root: Path | None = None) -> Names:
    """Return the function that names a file relative to a root, and says if it is studied."""
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


def program_names(files: Iterable[str]) -> dict[str, str]:
    """Return a name for each file of any program: short, distinct, without a home folder.

    A library's file is named by its package; any other relative to the longest folder that all
    of them share, with a home folder written as ``~``.
    """
    named = {file: place(file) if file else "" for file in files}
    own = {
        file: _HOME.sub("/~", file)
        for file, name in named.items()
        if file[:1] == "/" and not is_library(name)
    }
    if own:
        shared = commonpath([dirname(file) for file in own.values()]).rstrip("/") + "/"
        named |= {file: homeless.removeprefix(shared) for file, homeless in own.items()}
    relative = [f for f in named if f and f[0] not in "/<" and ".." not in f]
    return named | {file: file for file in relative if not is_library(named[file])}


def native(frame: Frame) -> tuple[Frame, bool]:
    """Return a native frame under a name of its own, and True if its source is known."""
    function, file, line = frame
    known = bool(file) and file != _UNKNOWN
    return (function, f"{_NATIVE}/{basename(file)}" if known else _NATIVE, line), known


def _texts(path: Path, numbers: list[int]) -> list[tuple[int, str]]:
    try:
        if not path.is_file() or path.stat().st_size > _FILE_BYTES:
            return []
        with tokenize.open(path) as file:
            lines = [line.rstrip()[:_WIDTH] for line in file]
    except (OSError, SyntaxError, UnicodeDecodeError):
        return []
    padded = ["", *lines, "", ""]
    return [(n, "\n".join(padded[n - 1 : n + 2])) for n in numbers if n <= len(lines)]
