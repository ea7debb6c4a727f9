"""Allocators to preload, and a leak that only they see."""

from __future__ import annotations

from pathlib import Path

import pytest

#: Grows by 400 bytes a step that only the allocator sees.
LEAK = """
import ctypes
malloc = ctypes.CDLL(None).malloc
malloc.restype, malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
def step(i):
    malloc(400)
"""


def library(name: str) -> str:
    """Return the path of an allocator, or skip the test."""
    found = sorted(Path("/usr/lib").glob(f"*/lib{name}.so*"))
    if not found:
        pytest.skip(f"needs lib{name}")
    return str(found[0])
