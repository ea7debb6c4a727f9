"""Names that become paths: every one goes through here."""

from __future__ import annotations

import os
from pathlib import Path

from resleak.errors import StoreError

#: Longest name, bytes in UTF-8: file systems allow 255, and unfinished work has longer names.
NAME_BYTES = 100


def safe_name(text: str, what: str = "name") -> str:
    """Return a text that can be one file's name, or raise StoreError."""
    reason = ""
    if not text or text.startswith("."):
        reason = "starts with a dot" if text else "is empty"
    elif any(c in "/\\" or not c.isprintable() for c in text):
        reason = "has a slash or a control character"
    elif len(text.encode(errors="replace")) > NAME_BYTES:
        reason = f"is longer than {NAME_BYTES} bytes"
    if reason:
        raise StoreError(f"the {what} {text[:40]!r} {reason}; choose another that can name a file")
    return text


def inside(root: Path, *names: str, what: str = "name") -> Path:
    """Return the path of names, such as ``arc/auth_cache``, below a folder, or raise StoreError."""
    path = root.joinpath(*(safe_name(part, what) for name in names for part in name.split("/")))
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        raise StoreError(f"{path} is a link that leads out of {root}; choose another folder")
    return path
