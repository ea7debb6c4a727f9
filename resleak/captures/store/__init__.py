"""Captures of many machines at one URL: immutable, indexed, and queried with SQL."""

from pathlib import Path

#: The file that tells a store from other folders.
MARKER = "resleak-store.json"


def is_store(text: str) -> bool:
    """Return True for a URL, or for a local folder that is a store."""
    return "://" in text or Path(text, MARKER).is_file()
