"""With another allocator under ``malloc``, its own count is read, or its silence is said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from helpers.allocators import LEAK, library

from resleak.experiments.investigate import investigate


def investigated(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    (folder / "native.py").write_text(LEAK)
    monkeypatch.setenv("LD_PRELOAD", library(name))
    return investigate(str(folder / "native.py"), out=folder / "out", stacks=False, budget_s=0)


@pytest.mark.parametrize("name", ["jemalloc", "tcmalloc_minimal"])
def test_another_allocator_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A leak of 400 bytes a step through malloc is found, with its size class."""
    found = investigated(tmp_path, monkeypatch, name)
    native = found.variant.gauge("native")
    assert found.verdict == "leak"
    assert native is not None
    assert native.is_leak
    assert 400 <= native.per_step <= 460
    assert found.captures[0].manifest.allocator == name.partition("_")[0]


def test_an_allocator_that_does_not_tell_leaves_memory_undecided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With mimalloc the verdict is inconclusive, never flat, and says why."""
    found = investigated(tmp_path, monkeypatch, "mimalloc")
    assert found.verdict == "inconclusive"
    native = found.variant.gauge("native")
    assert native is not None
    assert native.reason == "mimalloc does not say how many bytes are in use"
    assert any(line.startswith("heap: mimalloc") for line in found.captures[0].manifest.missing)


def test_a_library_with_an_allocator_of_its_own_does_not_count(tmp_path: Path) -> None:
    """An allocator that is loaded, but does not serve malloc, is not asked."""
    code = (
        "import ctypes, sys; ctypes.CDLL(sys.argv[1])\n"
        "from resleak.harness.child import self_gauges; print(repr(self_gauges.allocator()))"
    )
    command = [sys.executable, "-c", code, library("mimalloc")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "''\n"
