"""Names of source files in captures: by where they belong, without paths of this machine."""

from __future__ import annotations

import os
import re
import sysconfig
from pathlib import Path, PurePath

_PACKAGES = ("site-packages", "dist-packages")
_LIBRARY = ("<stdlib>", "<site-packages>", "<frozen ", "<native>")
_TYPED = ("<ipython-input", "<stdin>", "<console>")
_ABSOLUTE = re.compile(r"(?<![\w.:/])(?:/[\w.@+~-]+){2,}|[A-Za-z]:\\[^\s\"']+")


def place(file: str, project: Path | None = None) -> str:
    """Return a file's name by where it belongs, such as ``<stdlib>/asyncio/queues.py``."""
    if file.startswith("<"):
        return file
    parts = PurePath(file).parts
    for index in range(len(parts) - 1, 0, -1):
        if parts[index] in _PACKAGES:
            return "/".join(("<site-packages>", *parts[index + 1 :]))
        if re.fullmatch(r"python3\.\d+t?", parts[index]) and parts[index - 1].startswith("lib"):
            return "/".join(("<stdlib>", *parts[index + 1 :]))
    return _relative(file, project)


def is_library(name: str) -> bool:
    """Return whether a file, as `place` names it, belongs to the interpreter or a package."""
    return name.startswith(_LIBRARY)


def is_own(name: str) -> bool:
    """Return whether a file, as `place` names it, is the user's own: a file, or what was typed."""
    # What libraries compile from text is named <string> and the like.
    return not is_library(name) and (name[:1] not in ("", "<") or name.startswith(_TYPED))


def redact(text: str, project: Path | None = None) -> str:
    """Replace every absolute path in a text by the place of the file."""
    return _ABSOLUTE.sub(lambda match: place(match.group(), project), text)


def _relative(file: str, project: Path | None) -> str:
    ours = Path(__file__).parents[2]
    for root, base in ((ours / "resleak", ours), (project, project)):
        if root and base and file.startswith(f"{root}{os.sep}"):
            return PurePath(file).relative_to(base).as_posix()
    stdlib = sysconfig.get_paths()["stdlib"]
    if file.startswith(f"{stdlib}{os.sep}"):
        return f"<stdlib>/{PurePath(file).relative_to(stdlib).as_posix()}"
    return PurePath(file).name
