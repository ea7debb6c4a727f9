"""A test that must not leak: `pytest test_leak.py`, or `resleak investigate test_leak.py::test_it`.

The test is repeated in fresh processes, with its fixtures, and fails if a gauge grows.
"""

from __future__ import annotations

import os

import pytest

kept: list[int] = []


@pytest.fixture
def path() -> str:
    """Return a file; function fixtures are renewed for each step, session fixtures once."""
    return os.devnull


# fds=0 allows no descriptor, heap="16 B/step" so much memory; without any, nothing may grow.
@pytest.mark.resleak(steps=100, fds=0)
def test_it(path: str) -> None:
    """Replace the body by a call of your code; it leaks on purpose, so that you see it fail."""
    kept.append(os.open(path, os.O_RDONLY))  # the leak: never closed
    assert kept
