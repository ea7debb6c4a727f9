"""The source text of the lines in a table of stacks, with a line before and after each."""

from __future__ import annotations

import tokenize
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

#: Most lines that a run stores, characters of one, and bytes of a file that is read for them.
_LINES, _WIDTH, _FILE_BYTES = 20_000, 200, 4 << 20


def table(stacks: Mapping[str, np.ndarray], paths: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Return ``file``, ``line`` and ``text`` of each frame whose file is in `paths` and readable.

    A text has three lines, the middle one is the frame's.
    """
    import numpy as np

    wanted: dict[str, set[int]] = {}
    for file, line in zip(stacks["file"].tolist(), stacks["line"].tolist(), strict=True):
        if line > 0 and file in paths:
            wanted.setdefault(file, set()).add(line)
    rows = [
        (file, line, text)
        for file, numbers in wanted.items()
        for line, text in _texts(Path(paths[file]), sorted(numbers))
    ][:_LINES]
    files, lines, texts = zip(*rows, strict=True) if rows else ((), (), ())
    return {
        "file": np.array(files, dtype=object),
        "line": np.array(lines, dtype=np.int32),
        "text": np.array(texts, dtype=object),
    }


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
