"""Call stacks of someone else's program as nodes, and names for its files that tell no home."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import compress, count
from operator import ne
from os.path import basename, commonpath, dirname
from typing import TYPE_CHECKING

from resleak.captures.decode.trie import NO_STACK, Frame
from resleak.captures.source_paths import place

if TYPE_CHECKING:
    import numpy as np

_HOME = re.compile(r"^(?:/(?:home|Users)/[^/]+|/root)(?=/)")
_LIBRARY = ("<stdlib>", "<site-packages>")
_TYPED = ("<ipython-input", "<stdin>", "<console>")
_NATIVE, _UNKNOWN = "<native>", "<unknown>"
#: The frame that stands for native frames that were not looked up.
NATIVE: Frame = (_NATIVE, _NATIVE, 0)


class Nodes:
    """Nodes in the order of their appearance, so that a parent comes before its children.

    Neighbours in the order of memray's records share most of their callers: only the frames in
    which a stack differs from the one before are looked up.
    """

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, Frame], int] = {}
        self._last: list[Frame] = []
        self._path: list[int] = []

    def __len__(self) -> int:
        return len(self._numbers)

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
        """Return the table: ``node``, ``parent``, ``function``, ``file``, ``line``, ``studied``."""
        import numpy as np  # who only enters stacks does without

        parents, frames = zip(*self._numbers, strict=True) if self._numbers else ((), ())
        named = names({file for _, file, _ in frames})
        studied = {file: _is_studied(name) for file, name in named.items()}
        return {
            "node": np.arange(len(frames), dtype=np.int32),
            "parent": np.array(parents, dtype=np.int32),
            "function": np.array([function for function, _, _ in frames], dtype=object),
            "file": np.array([named[file] for _, file, _ in frames], dtype=object),
            "line": np.array([line for _, _, line in frames], dtype=np.int32),
            "studied": np.array([studied[file] for _, file, _ in frames], dtype=bool),
        }


def is_library(file: str) -> bool:
    """Tell whether a file, as it is named here, is no code of the program's own."""
    return file.startswith((*_LIBRARY, "<frozen ", _NATIVE))


def _is_studied(name: str) -> bool:
    # What libraries compile from text is named <string> and the like; cells are a person's own.
    return not is_library(name) and (name[:1] not in ("", "<") or name.startswith(_TYPED))


def native(frame: Frame) -> tuple[Frame, bool]:
    """Return a native frame under a name of its own, and whether its source is known."""
    function, file, line = frame
    known = bool(file) and file != _UNKNOWN
    return (function, f"{_NATIVE}/{basename(file)}" if known else _NATIVE, line), known


def names(files: Iterable[str]) -> dict[str, str]:
    """Return a name for each file of a program: short, telling files apart, telling no home.

    A library's file is named by its package; any other relative to the longest folder that all
    of them share, with a home folder written as ``~``.

    Parameters
    ----------
    files : iterable of str
        All files, as the interpreter gave them.

    Returns
    -------
    dict of str to str

    Examples
    --------
    >>> list(names(["/home/ada/app/main.py", "/home/ada/app/lib/db.py"]).values())
    ['main.py', 'lib/db.py']
    """
    named = {file: place(file) if file else "" for file in files}
    own = {
        f: _HOME.sub("/~", f) for f, name in named.items() if f[:1] == "/" and not is_library(name)
    }
    if own:
        shared = commonpath([dirname(file) for file in own.values()]).rstrip("/") + "/"
        named |= {file: homeless.removeprefix(shared) for file, homeless in own.items()}
    relative = {f: f for f in named if f and f[0] not in "/<" and ".." not in f}
    return named | {file: name for file, name in relative.items() if not is_library(named[file])}
